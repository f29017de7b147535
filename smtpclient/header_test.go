package smtpclient_test

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// The lines of Envelope.Header stand before the content, whatever the content is
// and however it goes.
func TestHeaderIsPutBefore(t *testing.T) {
	const header = "Received: by client.example.org;\r\n\tSat, 21 Nov 2026 10:00:00 +0000\nX-Long: " + "y\r\n"
	want := strings.ReplaceAll(strings.ReplaceAll(header, "\r\n", "\n"), "\n", "\r\n")
	for name, text := range map[string]string{
		"plain": hello, "LF": strings.ReplaceAll(hello, "\r\n", "\n"), "dots": hello + ".\r\n..\r\n", "cut off": hello + "end",
		"nothing": "", "long": longMessage(200_000), "long with dots": strings.ReplaceAll(longMessage(200_000), "\r\n000", "\r\n.000"),
	} {
		t.Run(name, func(t *testing.T) {
			for _, content := range []smtpclient.Content{smtpclient.Bytes([]byte(text)), reader{text, 4093, -1}} {
				for _, q := range []smtpclient.Quirks{{}, {Chunking: smtpclient.ChunkingAfter}, {Chunking: smtpclient.ChunkingAfter, ChunkSize: 20_000}, {Chunking: smtpclient.ChunkingGrouped}} {
					inWorld(t, func(t *testing.T, w *world) {
						mx := w.mx(10, &smtptest.Server{Extensions: chunking})
						w.client.Dialer.Quirks = withQuirks(q)
						env := fromAnn("bob@example.net")
						env.Header = header
						report, err := w.client.Deliver(t.Context(), env, content)
						checkError(t, report, err)
						expect(t, report, "bob@example.net delivered data-done 2.0.0")
						checkEnds(t, w.net, env, want+text, report)
						if m := mx.Messages()[0]; m.FromArgs != "SIZE="+itoa(len(arrives(want+text))) {
							t.Errorf("MAIL has %q", m.FromArgs)
						}
					})
				}
			}
		})
	}
}

// A header line in UTF-8 needs SMTPUTF8, as one in the content does.
func TestHeaderInUTF8(t *testing.T) {
	for extensions, want := range map[string]string{"8BITMIME SMTPUTF8": "delivered data-done 2.0.0", "8BITMIME": "failed mail 5.6.7"} {
		inWorld(t, func(t *testing.T, w *world) {
			mx := w.mx(10, &smtptest.Server{Extensions: strings.Fields(extensions)})
			env := fromAnn("bob@example.net")
			env.Header = "X-Name: J\u00fcrgen\r\n"
			report, err := w.client.Deliver(t.Context(), env, smtpclient.Bytes([]byte(hello)))
			checkError(t, report, err)
			expect(t, report, "bob@example.net "+want)
			for _, m := range mx.Messages() {
				if m.FromArgs != "BODY=8BITMIME SMTPUTF8" {
					t.Errorf("MAIL has %q", m.FromArgs)
				}
			}
		})
	}
}

// What is no whole header line is refused before anything is sent.
func TestHeaderIsChecked(t *testing.T) {
	for name, header := range map[string]string{
		"no end":           "X: y",
		"no end after one": "X: y\r\nZ: a",
		"empty line":       "X: y\r\n\r\nZ: a\r\n",
		"empty line, LF":   "X: y\n\nZ: a\n",
		"only a line end":  "\r\n",
		"blank line":       "X: y\r\n \t\r\nZ: a\r\n",
		"no colon":         "X y\r\n",
		"no name":          ": y\r\n",
		"space in name":    "X : y\r\n",
		"8-bit in name":    "\u00dc: y\r\n",
		"continues none":   " X: y\r\n",
		"CR alone":         "X: y\rZ: a\r\n",
		"CR before CRLF":   "X: y\r\r\n",
		"NUL":              "X: \x00\r\n",
		"control":          "X: \x1b\r\n",
		"DEL":              "X: \x7f\r\n",
		"Latin-1":          "X: \xfc\r\n",
		"999 bytes":        "X: " + strings.Repeat("y", 996) + "\r\n",
		"999, continued":   "X: y\r\n " + strings.Repeat("y", 998) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.untouched()
				env := fromAnn("bob@example.net")
				env.Header = header
				report := w.deliver(t.Context(), env, hello)
				expect(t, report, "bob@example.net failed input 5.6.0")
				if !strings.Contains(report.Err().Error(), "Envelope.Header: ") {
					t.Errorf("error %q does not name the field", report.Err())
				}
			})
		})
	}
	for name, header := range map[string]string{"998 bytes": "X: " + strings.Repeat("y", 995) + "\r\n", "a dot": ".X:\r\n", "tab": "X:\ty\r\n\tz\r\n"} {
		inWorld(t, func(t *testing.T, w *world) {
			w.mx(10, &smtptest.Server{})
			env := fromAnn("bob@example.net")
			env.Header = header
			report, _ := w.client.Deliver(t.Context(), env, smtpclient.Bytes([]byte(hello)))
			if expect(t, report, "bob@example.net delivered data-done 2.0.0"); t.Failed() {
				t.Log(name)
			}
			checkEnds(t, w.net, env, header+hello, report)
		})
	}
}

// A message for which TLS is not required says so to further servers, once.
func TestTLSRequiredNo(t *testing.T) {
	const field = "TLS-Required: No\r\n"
	for name, tt := range map[string]struct{ header, text, want string }{
		"not there":       {"", hello, field + hello},
		"there":           {"", field + hello, field + hello},
		"there, folded":   {"", "tls-required:\r\n  no\r\n" + hello, "tls-required:\r\n  no\r\n" + hello},
		"in the header":   {field, hello, field + hello},
		"in the body":     {"", hello + "\r\n" + field, field + hello + "\r\n" + field},
		"no header":       {"", "\r\n" + field, field + "\r\n" + field},
		"no header, LF":   {"", "\n" + field, field + "\n" + field},
		"within a value":  {"", "X: y\r\n " + field + hello, field + "X: y\r\n " + field + hello},
		"header in front": {"X: y\r\n", hello, field + "X: y\r\n" + hello},
	} {
		for kind, content := range map[string]smtpclient.Content{"memory": smtpclient.Bytes([]byte(tt.text)), "reader": reader{tt.text, 1, -1}} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					w.mx(10, &smtptest.Server{})
					env := fromAnn("bob@example.net")
					env.TLS, env.Header = tlspolicy.NotRequired, tt.header
					report, err := w.client.Deliver(t.Context(), env, content)
					checkError(t, report, err)
					expect(t, report, "bob@example.net delivered data-done 2.0.0")
					checkEnds(t, w.net, env, tt.want, report)
				})
			})
		}
	}
}
