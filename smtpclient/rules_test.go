package smtpclient_test

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// What the rules refuse for every server is refused before anything is looked up;
// what they keep goes as it is, with a note.
func TestContentRules(t *testing.T) {
	const (
		refused   = "failed input 5.6.0"
		delivered = "delivered data-done 2.0.0"
	)
	long := hello + strings.Repeat("x", 999) + "\r\n"
	for name, tt := range map[string]struct {
		rules smtpclient.ContentRules
		text  string
		want  string
		note  string
	}{
		"LF alone, repaired":    {smtpclient.ContentRules{}, "Subject: x\n\ny\n", delivered, ""},
		"LF alone, refused":     {smtpclient.ContentRules{StrayCRLF: smtpclient.Refuse}, "Subject: x\n\ny\n", refused, ""},
		"CR alone, refused":     {smtpclient.ContentRules{StrayCRLF: smtpclient.Refuse}, hello + "a\rb\r\n", refused, ""},
		"CR at the end":         {smtpclient.ContentRules{StrayCRLF: smtpclient.Refuse}, hello + "a\r", refused, ""},
		"none, refused":         {smtpclient.ContentRules{StrayCRLF: smtpclient.Refuse}, hello, delivered, ""},
		"no final line end":     {smtpclient.ContentRules{StrayCRLF: smtpclient.Refuse}, hello + "end", delivered, ""},
		"kept is no choice":     {smtpclient.ContentRules{StrayCRLF: smtpclient.Keep}, hello, "deferred input 4.3.5", ""},
		"no such treatment":     {smtpclient.ContentRules{LongLines: 7}, hello, "deferred input 4.3.5", ""},
		"NUL":                   {smtpclient.ContentRules{}, hello + "\x00\r\n", refused, ""},
		"long line, refused":    {smtpclient.ContentRules{LongLines: smtpclient.Refuse}, long, refused, ""},
		"998, refused":          {smtpclient.ContentRules{LongLines: smtpclient.Refuse}, hello + strings.Repeat("x", 998) + "\r\n", delivered, ""},
		"long line, kept":       {smtpclient.ContentRules{LongLines: smtpclient.Keep}, long, delivered, "a line of 999 bytes was sent as it is"},
		"8-bit, kept":           {smtpclient.ContentRules{EightBit: smtpclient.Keep}, hello + "\xfc\r\n", delivered, "8-bit content was sent as it is"},
		"8-bit, refused":        {smtpclient.ContentRules{EightBit: smtpclient.Refuse}, hello + "\xfc\r\n", "failed mail 5.6.3", ""},
		"8-bit, refused, 7-bit": {smtpclient.ContentRules{EightBit: smtpclient.Refuse}, hello, delivered, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				if strings.Contains(tt.want, "input") {
					w.untouched()
				}
				mx := w.mx(10, &smtptest.Server{Extensions: []string{"PIPELINING"}})
				w.unruly = tt.rules.EightBit == smtpclient.Keep
				w.client.Dialer.Rules = tt.rules
				report, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), smtpclient.Bytes([]byte(tt.text)))
				checkError(t, report, err)
				for _, m := range mx.Messages() {
					if string(m.Data) != arrives(tt.text) {
						t.Errorf("got %q", m.Data)
					}
				}
				expect(t, report, "bob@example.net "+tt.want)
				notes := strings.Join(report.Outcomes[0].Notes, "\n")
				if !strings.HasPrefix(notes, tt.note) || (notes == "") != (tt.note == "") {
					t.Errorf("notes %q, want %q", notes, tt.note)
				}
				if cause := report.Outcomes[0].Cause; tt.want == "deferred input 4.3.5" && !strings.Contains(cause.Error(), "Dialer.Rules") {
					t.Errorf("cause %q does not name the field", cause)
				}
			})
		})
	}
}

// The rules of a Dialer hold for its Sessions, and not for binary content.
func TestContentRulesOfSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{Extensions: chunking})
		w.client.Dialer.Rules = smtpclient.ContentRules{StrayCRLF: smtpclient.Refuse, EightBit: smtpclient.Refuse, LongLines: smtpclient.Refuse}
		s, err := w.client.Dialer.Dial(t.Context(), smtpclient.Target{Addr: "192.0.2.10:25"})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Quit(t.Context())
		text := smtpclient.Bytes([]byte("Subject: x\n\n\x00\xff" + strings.Repeat("x", 2000)))
		env := fromAnn("bob@example.net")
		report, err := w.send(t.Context(), s, env, text)
		checkError(t, report, err)
		expect(t, report, "bob@example.net failed input 5.6.0")
		env.Body = smtpclient.BodyBinary
		report, err = w.send(t.Context(), s, env, text)
		checkError(t, report, err)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
	})
}
