package content

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// decode is what a reader makes of a message: the parts, each with its type and
// what it decodes to. It takes the structure from mime/multipart and the
// decoding from the standard library. Not ok are messages that it does not
// understand as the standards have it; readers may differ about them.
func decode(msg []byte, digest bool) (parts []string, ok bool) {
	fields, body, ok := splitMessage(msg)
	if !ok {
		return nil, false
	}
	typ, params, ok := contentType(fields, digest)
	if !ok {
		return nil, false
	}
	encoding, ok := contentEncoding(fields)
	if !ok {
		return nil, false
	}
	identity := encoding == "7bit" || encoding == "8bit" || encoding == "binary"
	switch {
	case strings.HasPrefix(typ, "multipart/"):
		if !identity || params["boundary"] == "" {
			return nil, false
		}
		parts = []string{typ}
		r := multipart.NewReader(bytes.NewReader(body), params["boundary"])
		for {
			// The raw part, which NextRawPart does not give with its header as it
			// was: the header is written anew.
			p, err := r.NextRawPart()
			if err == io.EOF {
				// It also says so where the message ends within a header.
				return append(parts, "end"), bytes.Contains(body, []byte("--"+params["boundary"]+"--"))
			} else if err != nil {
				return nil, false
			}
			text, err := io.ReadAll(p)
			if err != nil {
				return nil, false
			}
			var part bytes.Buffer
			for name, values := range p.Header {
				for _, v := range values {
					fmt.Fprintf(&part, "%s: %s\r\n", name, v)
				}
			}
			part.WriteString("\r\n")
			part.Write(text)
			inner, ok := decode(part.Bytes(), typ == "multipart/digest")
			if !ok {
				return nil, false
			}
			parts = append(parts, inner...)
		}
	case typ == "message/rfc822":
		if !identity {
			return nil, false
		}
		inner, ok := decode(body, false)
		return append([]string{typ}, inner...), ok
	}
	text, ok := decodeBody(body, encoding)
	return []string{typ + " " + params["charset"], string(text)}, ok
}

func decodeBody(body []byte, encoding string) ([]byte, bool) {
	var text []byte
	var err error
	switch encoding {
	case "7bit", "8bit", "binary":
		text = body
	case "quoted-printable":
		text, err = io.ReadAll(quotedprintable.NewReader(bytes.NewReader(body)))
	case "base64":
		// Characters that are not of the alphabet do not count.
		var clean []byte
		for _, c := range body {
			if c < 0x80 && c != '\r' && c != '\n' && c != ' ' {
				clean = append(clean, c)
			}
		}
		text, err = base64.StdEncoding.DecodeString(string(clean))
	default:
		return nil, false
	}
	return text, err == nil
}

// splitMessage takes a message apart; it knows the names of the fields and the
// first value of each.
func splitMessage(msg []byte) (fields map[string]string, body []byte, ok bool) {
	fields = make(map[string]string)
	name := ""
	for len(msg) > 0 {
		line, rest, found := bytes.Cut(msg, []byte("\r\n"))
		if len(line) == 0 && found {
			return fields, rest, true
		}
		msg = rest
		if name != "" && (line[0] == ' ' || line[0] == '\t') {
			fields[name] += string(line)
			continue
		}
		key, value, colon := strings.Cut(string(line), ":")
		name = strings.ToLower(key)
		if _, twice := fields[name]; !colon || !isToken(key) || twice {
			return nil, nil, false
		}
		fields[name] = value
	}
	return nil, nil, false
}

func contentType(fields map[string]string, digest bool) (typ string, params map[string]string, ok bool) {
	value, ok := fields["content-type"]
	switch {
	case !ok && digest:
		return "message/rfc822", nil, true
	case !ok:
		return "text/plain", nil, true
	}
	typ, params, err := mime.ParseMediaType(value)
	return typ, params, err == nil && strings.Contains(typ, "/") && !strings.ContainsAny(value, "()")
}

func contentEncoding(fields map[string]string) (string, bool) {
	value, ok := fields["content-transfer-encoding"]
	if !ok {
		return "7bit", true
	}
	value = strings.ToLower(strings.TrimSpace(value))
	return value, isToken(value)
}

// checkSevenBit holds a converted message to what a 7-bit server takes.
func checkSevenBit(t *testing.T, out []byte) {
	t.Helper()
	for i, c := range out {
		if c >= 0x80 {
			t.Fatalf("byte %#x at %d of %q", c, i, out)
		}
	}
	if len(out) > 0 && !bytes.HasSuffix(out, []byte("\r\n")) {
		t.Fatalf("%q has no end", out)
	}
	for line := range bytes.SplitSeq(out, []byte("\r\n")) {
		if bytes.ContainsAny(line, "\r\n") {
			t.Fatalf("%q has a CR or LF alone", out)
		}
	}
}

var convertSeeds = []string{
	"Subject: x\n\ngr\xc3\xbc\xc3\x9fe\n",
	"Content-Type: multipart/mixed; boundary=a\n\n--a\n\n\xc3\xbc\n--a\nContent-Type: multipart/digest; boundary=ab\n\n--ab\n\nSubject: y\n\n\xff\n--ab--\n\n--a--\n",
	"Content-Type: message/rfc822\n\nContent-Transfer-Encoding: 8bit\nContent-Type: text/html\n\n\xc3\xbc. \n.\n",
	"Content-Type: multipart/alternative; boundary=\"b\"\n\n--b\nContent-Transfer-Encoding: quoted-printable\n\n\xc3=\n=C3 =\n\xff=41 \n--b\nContent-Transfer-Encoding: base64\n\nYW\xffJj\n--b--\n",
	"Content-Type: application/octet-stream\nContent-Transfer-Encoding: binary\n\n\xff\xfe\n\n",
	"Content-Type: multipart/mixed; boundary=b\n\n--b\n\n\xff--b\n--b \n\n--b--x\n\xff\n--b--",
	"\n\xff",
	"Content-Type: text/plain\n\n" + strings.Repeat("\xc3\xbc --a ", 40) + "\n",
}

func FuzzSevenBit(f *testing.F) {
	for _, s := range convertSeeds {
		f.Add([]byte(crlf(s)), 7)
	}
	files, err := filepath.Glob("testdata/convert/*.eml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		in, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(in, 40)
	}
	f.Fuzz(func(t *testing.T, in []byte, n int) {
		plan, err := SevenBit{BreakSignatures: true}.Plan(pieces(in, n))
		var no *Unfit
		if err != nil {
			if !errors.As(err, &no) || len(no.Enhanced) != 5 {
				t.Fatal(err)
			}
			return
		}
		out, err := io.ReadAll(plan.Convert(pieces(in, n/3)))
		if err != nil {
			t.Fatal(err)
		}
		wire := []byte(repaired(string(in)))
		if !plan.Changed && (eightBit(wire) || !bytes.Equal(out, wire)) {
			t.Fatalf("%q became %q without need", wire, out)
		}
		checkSevenBit(t, out)
		again, err := io.ReadAll(plan.Convert(pieces(in, 1)))
		if err != nil || !bytes.Equal(again, out) {
			t.Fatalf("%q and %q by how it is read; %v", out, again, err)
		}
		want, ok := decode(wire, false)
		if !ok {
			return
		}
		got, ok := decode(out, false)
		if !ok {
			t.Fatalf("%q became %q, which cannot be decoded", wire, out)
		}
		if i := differ(got, want); i >= 0 {
			t.Fatalf("%q\nbecame\n%q\nwhere %d is\n%q\nnot\n%q", wire, out, i, got[i], want[min(i, len(want)-1)])
		}
	})
}

// differ is where two messages differ, but for the character set that stands for
// one that is not known.
func differ(got, want []string) int {
	for i := range got {
		if i >= len(want) || strings.Replace(got[i], " unknown-8bit", " ", 1) != want[i] {
			return i
		}
	}
	if len(got) < len(want) {
		return len(got) - 1
	}
	return -1
}

// pieces reads n bytes at a time.
func pieces(in []byte, n int) io.Reader {
	return &pieceReader{bytes.NewReader(in), 1 + int(uint(n)%64)}
}

type pieceReader struct {
	r io.Reader
	n int
}

func (p *pieceReader) Read(b []byte) (int, error) { return p.r.Read(b[:min(len(b), p.n)]) }
