package smtptest

import (
	"slices"
	"testing"
)

// Who strips source routes sees the mailbox alone, of senders as of recipients;
// all others see what was written.
func TestStripRoutes(t *testing.T) {
	for name, tc := range map[string]struct {
		strip bool
		from  string
		to    []string
	}{
		"kept":     {false, "@r:a@x", []string{"@a,@b:u@c", "@:", "@odd", `"@a:b"@x`}},
		"stripped": {true, "a@x", []string{"u@c", "@:", "@odd", `"@a:b"@x`}},
	} {
		bubble(t, name, func(t *testing.T) {
			s := &Server{Profile: Profile{StripRoutes: tc.strip}}
			defer s.Close()
			d := dial(t, s)
			d.hello()
			d.ask("MAIL FROM:<@r:a@x>", "250")
			for _, path := range []string{"@a,@b:u@c", "@:", "@odd", `"@a:b"@x`} {
				d.ask("RCPT TO:<"+path+">", "250")
			}
			d.ask("DATA", "354")
			d.ask(".", "250")
			if m := s.Messages()[0]; m.From != tc.from || !slices.Equal(m.To, tc.to) {
				t.Errorf("from %q to %q, want %q to %q", m.From, m.To, tc.from, tc.to)
			}
			wantViolations(t, s)
		})
	}
}
