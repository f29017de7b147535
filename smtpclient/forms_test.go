package smtpclient_test

import (
	"fmt"
	"io"
	"mime/quotedprintable"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

const (
	declaredText = "From: ann@example.org\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngr\xc3\xbc\xc3\x9fe\r\n"
	// Its body cannot change without breaking the signature.
	signedText = "DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=x; h=from; bh=eA==; b=eA==\r\n" + declaredText
)

// quoted gives what the body of a message in quoted-printable says.
func quoted(t *testing.T, message []byte) string {
	t.Helper()
	head, body, ok := strings.Cut(string(message), "\r\n\r\n")
	if !ok || !strings.Contains(head, "\r\nContent-Transfer-Encoding: quoted-printable") {
		t.Fatalf("not in quoted-printable: %q", message)
	}
	text, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(body)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// 8-bit content is declared where 8BITMIME is offered, and converted where it is
// not; 7-bit content is declared nowhere (RFC 6152, Section 3).
func TestEightBit(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{Extensions: []string{"PIPELINING", "8BITMIME"}})
		for _, text := range []string{declaredText, hello} {
			if _, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), smtpclient.Bytes([]byte(text))); err != nil {
				t.Fatal(err)
			}
		}
		if m := mx.Messages(); m[0].FromArgs != "BODY=8BITMIME" || string(m[0].Data) != declaredText || m[1].FromArgs != "" {
			t.Errorf("MAIL has %q and %q", m[0].FromArgs, m[1].FromArgs)
		}
	})
	for kind, content := range map[string]smtpclient.Content{
		"memory": smtpclient.Bytes([]byte(declaredText)), "reader": reader{declaredText, 3, -1}, "file": smtpclient.File(newFile(t, declaredText)),
	} {
		t.Run(kind, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				mx := w.mx(10, &smtptest.Server{Extensions: []string{"PIPELINING", "SIZE 1000"}})
				env := fromAnn("bob@example.net")
				env.Header = "X-First: 1\r\n"
				report, err := w.client.Deliver(t.Context(), env, content)
				checkError(t, report, err)
				expect(t, report, "bob@example.net delivered data-done 2.0.0")
				m := mx.Messages()[0]
				if got := quoted(t, m.Data); got != "gr\xc3\xbc\xc3\x9fe\r\n" || !strings.HasPrefix(string(m.Data), "X-First: 1\r\nFrom: ann") {
					t.Errorf("got %q", m.Data)
				}
				if want := "SIZE=" + itoa(len(m.Data)); m.FromArgs != want {
					t.Errorf("MAIL has %q, want %q", m.FromArgs, want)
				}
				if n := report.Outcomes[0].Notes; len(n) != 1 || !strings.Contains(n[0], "converted to 7-bit") {
					t.Errorf("notes %q", n)
				}
			})
		})
	}
}

// What cannot be converted goes to a host with 8BITMIME, and fails where there is
// none; likewise where the rules refuse to convert.
func TestEightBitThatIsNotConverted(t *testing.T) {
	for name, tt := range map[string]struct {
		text  string
		rules smtpclient.ContentRules
	}{
		"signed":        {signedText, smtpclient.ContentRules{}},
		"refused":       {declaredText, smtpclient.ContentRules{EightBit: smtpclient.Refuse}},
		"from Latin-1":  {"From: J\xfcrgen <ann@example.org>\r\n\r\nhello\r\n", smtpclient.ContentRules{}},
		"signed and LF": {strings.ReplaceAll(signedText, "\r\n", "\n"), smtpclient.ContentRules{}},
	} {
		for extensions, want := range map[string]string{"8BITMIME": "delivered data-done 2.0.0", "PIPELINING": "failed mail 5.6.3"} {
			t.Run(name+"/"+extensions, func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					w.client.Dialer.Rules = tt.rules
					mx10 := w.mx(10, &smtptest.Server{Extensions: []string{"PIPELINING"}})
					w.mx(20, &smtptest.Server{Extensions: []string{extensions}})
					report := w.deliver(t.Context(), fromAnn("bob@example.net"), tt.text)
					expect(t, report, "bob@example.net "+want)
					if e := report.Outcomes[0].Earlier; len(e) != 1 || e[0].Enhanced != "5.6.3" {
						t.Errorf("earlier attempts %+v", e)
					}
					w.settle()
					if lines := strings.Join(clientLines(mx10, 0), " "); strings.Contains(lines, "MAIL") {
						t.Errorf("the client said %q", lines)
					}
				})
			})
		}
	}
}

// What goes over a bound of what is taken apart fails, but only where that is
// needed; what just keeps to it goes.
func TestTakenApart(t *testing.T) {
	multipart := func(boundary string) string {
		return "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=" + boundary + "\r\n\r\n--" + boundary + "\r\n\r\ngr\xc3\xbcn\r\n--" + boundary + "--\r\n"
	}
	nested := func(n int) string {
		var text strings.Builder
		text.WriteString("MIME-Version: 1.0\r\n")
		for i := range n {
			fmt.Fprintf(&text, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
		}
		return text.String() + "\r\ngr\xc3\xbcn\r\n"
	}
	field := func(n int) string {
		return "X: y\r\n" + strings.Repeat(" "+strings.Repeat("x", 61)+"\r\n", n/64) + declaredText
	}
	for name, tt := range map[string]struct{ fits, over string }{
		"mime_boundary_length_limit": {multipart(strings.Repeat("b", 2048)), multipart(strings.Repeat("b", 2049))},
		"mime_nesting_limit":         {nested(100), nested(101)},
		"header_size_limit":          {field(1<<20 - 64), field(1<<20 + 64)},
	} {
		t.Run(name, func(t *testing.T) {
			for text, sevenBit := range map[string]string{tt.fits: "delivered data-done 2.0.0", tt.over: "failed mail 5.6.0"} {
				for extensions, want := range map[string]string{"8BITMIME": "delivered data-done 2.0.0", "PIPELINING": sevenBit} {
					inWorld(t, func(t *testing.T, w *world) {
						w.unruly = true // a boundary makes a long line
						w.client.Dialer.Rules.LongLines = smtpclient.Keep
						w.mx(10, &smtptest.Server{Extensions: []string{extensions}})
						report, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), smtpclient.Bytes([]byte(text)))
						checkError(t, report, err)
						expect(t, report, "bob@example.net "+want)
					})
				}
			}
		})
	}
}

// A line over 998 bytes is folded, at the place where Postfix does it; that of
// signed mail goes as it is. The report says so.
func TestLongLines(t *testing.T) {
	const head = "Subject: x\r\n\r\n"
	x := func(n int) string { return strings.Repeat("x", n) }
	for name, tt := range map[string]struct{ text, want, note string }{
		"998":                {head + x(998), head + x(998), ""},
		"999":                {head + x(999), head + x(998) + "\r\n x", "of up to 999 bytes were folded"},
		"three":              {head + x(998+997+5), head + x(998) + "\r\n " + x(997) + "\r\n " + x(5), "of up to 2000 bytes were folded"},
		"within a character": {head + x(997) + "\u00fc", head + x(997) + "\r\n \u00fc", "of up to 999 bytes were folded"},
		"signed":             {"DKIM-Signature: v=1\r\n" + head + x(999), "DKIM-Signature: v=1\r\n" + head + x(999), "999 bytes was sent as it is; RFC 5321 has at most 998, since the message is signed"},
	} {
		for _, content := range []smtpclient.Content{smtpclient.Bytes([]byte(tt.text + "\r\n")), reader{tt.text + "\r\n", 100, -1}} {
			t.Run(name, func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					w.unruly = name == "signed"
					mx := w.mx(10, &smtptest.Server{})
					report, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), content)
					checkError(t, report, err)
					expect(t, report, "bob@example.net delivered data-done 2.0.0")
					if got := string(mx.Messages()[0].Data); got != tt.want+"\r\n" {
						t.Errorf("got %q, want %q", got, tt.want)
					}
					notes := strings.Join(report.Outcomes[0].Notes, "\n")
					if !strings.Contains(notes, tt.note) || (notes == "") != (tt.note == "") {
						t.Errorf("notes %q, want %q", notes, tt.note)
					}
				})
			})
		}
	}
}

// A message with both faults is converted first, and what is then still too long
// is folded.
func TestEightBitAndLongLines(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{Extensions: []string{"PIPELINING"}})
		text := "X-Long: " + strings.Repeat("word ", 400) + "\r\n" + strings.Replace(declaredText, "gr", strings.Repeat("gr", 600), 1)
		report, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), smtpclient.Bytes([]byte(text)))
		checkError(t, report, err)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		data := mx.Messages()[0].Data
		if got := quoted(t, data); got != strings.Repeat("gr", 600)+"\xc3\xbc\xc3\x9fe\r\n" {
			t.Errorf("got %.200q", got)
		}
		for line := range strings.SplitSeq(string(data), "\r\n") {
			if len(line) > 998 {
				t.Errorf("a line of %d bytes", len(line))
			}
		}
		if n := report.Outcomes[0].Notes; len(n) != 2 {
			t.Errorf("notes %q", n)
		}
	})
}

// The message is converted and scanned once, for all servers that need it; one
// that does not gets it as it is.
func TestConvertedOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for i := range 3 {
			w.mx(10+i, &smtptest.Server{Extensions: []string{"PIPELINING"}, Script: onRcpt("bob", "450 4.2.1 wait")})
		}
		w.mx(20, &smtptest.Server{Extensions: []string{"8BITMIME"}})
		w.client.Limits.Sessions = -1
		source := &counting{ReaderAt: strings.NewReader(declaredText)}
		env := fromAnn("bob@example.net")
		report, err := w.client.Deliver(t.Context(), env, smtpclient.ReaderAt(source, int64(len(declaredText))))
		checkError(t, report, err)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		checkEnds(t, w.net, env, declaredText, report)
		// To be scanned, to be planned, to be scanned again, to be sent.
		if got, want := int(source.bytes.Load()), 4*len(declaredText); got != want {
			t.Errorf("%d bytes were read, want %d", got, want)
		}
	})
}

// A file that changes before it is converted, or between the conversion and the
// sending, is not delivered.
func TestFileChangesBeforeConversion(t *testing.T) {
	long := declaredText + strings.Repeat("gr\xc3\xbcn ist die Farbe der Hoffnung\r\n", 5000)
	for _, verb := range []string{"EHLO", "RCPT", "DATA"} {
		for name, text := range map[string]string{
			"bytes": strings.Replace(long, "Hoffnung", "Sehnsuch", 1), "size": long + "more\r\n", "less": long[:len(long)/2], "nothing": "",
		} {
			t.Run(verb+"/"+name, func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					w.unruly = true
					file, changed := newFile(t, long), false
					mx := w.mx(10, &smtptest.Server{Extensions: lockstep[1:], Script: func(c smtptest.Command) action {
						if c.Verb == verb && !changed {
							changed = true
							write(t, file, text, time.Hour)
						}
						return action{}
					}})
					content := smtpclient.File(file)
					report, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), content)
					checkError(t, report, err)
					o := report.Outcomes[0]
					if o.Status != smtpclient.Deferred || o.Enhanced != "4.3.0" || !strings.Contains(fmt.Sprint(o.Cause), "content has changed") || len(mx.Messages()) != 0 {
						t.Errorf("%v, %d messages", o.Err(), len(mx.Messages()))
					}
					if _, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), content); err != nil {
						t.Errorf("the next call: %v", err)
					}
					os.Remove(file)
				})
			})
		}
	}
}
