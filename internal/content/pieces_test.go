package content

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
)

// pieceEnd is where the first piece of a long line ends that begins near the begin
// of a message: what was read by then has more than maxPiece bytes of it.
const pieceEnd = maxPiece + readSize

// What stands where a long line is cut in pieces is converted as anywhere else.
func TestPiecesOfLines(t *testing.T) {
	for _, encoding := range []string{"8bit", "quoted-printable", "base64"} {
		for _, core := range []string{"=C3\xbc", "=3D", "=\r\n", "= \t\r\n", " \r\n", "\t \xff", "\r\n--b--x\r\n", "\r\n--bb\r\n", "From --.", ".\r\n.\r\n", "\xe2\x82\xac", "\r\n\r\n"} {
			if encoding == "base64" && strings.ContainsAny(core, "=-. \t") {
				continue // would not be any
			}
			for offset := -6; offset <= 6; offset++ {
				head := "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n" +
					"Content-Transfer-Encoding: " + encoding + "\r\n\r\n"
				text, at := strings.Repeat("QUJD", pieceEnd/4), pieceEnd-len(head)+offset
				in := head + text[:at] + core + text[at:] + "\r\n--b--\r\n"
				checkPieces(t, fmt.Sprintf("%s, %q%+d", encoding, core, offset), in)
			}
		}
	}
}

func checkPieces(t *testing.T, name, in string) {
	t.Helper()
	out, _, err := converted(in, SevenBit{})
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	checkSevenBit(t, []byte(out))
	for line := range strings.SplitSeq(out, "\r\n") {
		if len(line) > MaxLine {
			t.Errorf("%s: a line of %d bytes", name, len(line))
		}
	}
	if got, want := partOf(t, out), partOf(t, in); got != want {
		t.Errorf("%s: became\n%.300q, not\n%.300q", name, got[max(0, len(got)-600):], want[max(0, len(want)-600):])
	}
}

// partOf decodes the one part of a message. The readers of the standard library
// do not take such long lines.
func partOf(t *testing.T, message string) string {
	t.Helper()
	_, part, _ := strings.Cut(message, "\r\n--b\r\n")
	part, ended := strings.CutSuffix(part, "\r\n--b--\r\n")
	header, body, ok := strings.Cut(part, "\r\n\r\n")
	_, encoding, declared := strings.Cut(header, "Content-Transfer-Encoding: ")
	if !ok || !ended || !declared {
		t.Fatalf("no part in %.300q", message)
	}
	switch encoding {
	case "quoted-printable":
		return unquoted(body)
	case "base64":
		text, ok := decodeBody([]byte(body), encoding)
		if !ok {
			t.Fatalf("no base64: %.300q", body)
		}
		return string(text)
	}
	return body
}

// unquoted decodes quoted-printable by the rules of RFC 2045, Section 6.7.
func unquoted(body string) string {
	var text strings.Builder
	for line := range strings.SplitAfterSeq(body, "\r\n") {
		line, end := strings.TrimSuffix(line, "\r\n"), line[len(strings.TrimSuffix(line, "\r\n")):]
		line = strings.TrimRight(line, " \t")
		if soft, ok := strings.CutSuffix(line, "="); ok {
			line, end = soft, ""
		}
		for i := 0; i < len(line); i++ {
			if line[i] == '=' && i+2 < len(line) && isHex(line[i+1]) && isHex(line[i+2]) {
				c, _ := strconv.ParseUint(line[i+1:i+3], 16, 8)
				text.WriteByte(byte(c))
				i += 2
				continue
			}
			text.WriteByte(line[i])
		}
		text.WriteString(end)
	}
	return text.String()
}

// A fold takes nothing away, wherever the pieces of a line end, and cuts no
// character.
func TestFoldOfPieces(t *testing.T) {
	for offset := -6; offset <= 6; offset++ {
		for _, core := range []string{"\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\r\n", "\n", " x ", "\xff\xff\xff\xff"} {
			head := "Subject: x\r\n\r\n"
			in := head + strings.Repeat("y", pieceEnd-len(head)+offset) + strings.Repeat(core, 1500) + "end"
			out, err := io.ReadAll(Fold(strings.NewReader(in)))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.ReplaceAll(string(out), "\r\n ", ""); got != in && core != "\r\n" && core != "\n" {
				t.Errorf("%q%+d: %d bytes became %d", core, offset, len(in), len(got))
			}
			for line := range strings.SplitSeq(string(out), "\n") {
				if line = strings.TrimSuffix(line, "\r"); len(line) > MaxLine {
					t.Errorf("%q%+d: a line of %d bytes", core, offset, len(line))
				} else if core[0] != 0xff && strings.ToValidUTF8(line, "") != line {
					t.Errorf("%q%+d: a character is cut", core, offset)
				}
			}
		}
	}
}

// Where a line is broken that was quoted already, no line begins with what a
// reader could take for more than text.
func TestRequotedLinesAreSafe(t *testing.T) {
	for _, core := range []string{"--b", "--b--", "From x", "."} {
		for n := 55; n < 80; n++ {
			in := "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n" +
				"Content-Transfer-Encoding: quoted-printable\r\n\r\n\xc3\xbc" + strings.Repeat("x", n) + core + "\r\n--b--\r\n"
			checkPieces(t, fmt.Sprintf("%q behind %d", core, n), in)
			out, _, _ := converted(in, SevenBit{})
			checkLines(t, in, out)
			if strings.Contains(out, "\r\nFrom ") || strings.Contains(out, "\r\n.") {
				t.Errorf("%q behind %d became %q", core, n, out)
			}
		}
	}
}
