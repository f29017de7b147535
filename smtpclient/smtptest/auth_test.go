package smtptest

import (
	"testing"
)

func TestServerAuth(t *testing.T) {
	for name, tc := range map[string]struct {
		dialogue []string // lines and replies in turn
		login    string
	}{
		"plain":                 {[]string{"AUTH PLAIN AGFubgBzZXNhbWU=", "235"}, "ann"},
		"plain, asked":          {[]string{"AUTH PLAIN", "334 ", "AGFubgBzZXNhbWU=", "235"}, "ann"},
		"plain, wrong":          {[]string{"AUTH PLAIN AGFubgB4", "535 5.7.8"}, ""},
		"plain, bad":            {[]string{"AUTH PLAIN !", "501"}, ""},
		"cancelled":             {[]string{"AUTH PLAIN", "334 ", "*", "501"}, ""},
		"login":                 {[]string{"AUTH LOGIN", "334 VXNlcm5hbWU6", "YW5u", "334 UGFzc3dvcmQ6", "c2VzYW1l", "235"}, "ann"},
		"login, initial":        {[]string{"AUTH LOGIN YW5u", "334 UGFzc3dvcmQ6", "c2VzYW1l", "235"}, "ann"},
		"CRAM-MD5":              {[]string{"AUTH CRAM-MD5", "334 PDE4OTYuNjk3MTcwOTUyQG14LmV4YW1wbGUubmV0Pg==", "YW5uIDNhZjRlMGY3ZTQwZGM0ZjVlMGQ0NjQ2YjQ1ZDkyNmI0", "535"}, ""},
		"XOAUTH2":               {[]string{"AUTH XOAUTH2 dXNlcj1hbm4BYXV0aD1CZWFyZXIgc2VzYW1lAQE=", "235"}, "ann"},
		"XOAUTH2, wrong":        {[]string{"AUTH XOAUTH2 dXNlcj1hbm4BYXV0aD1CZWFyZXIgeAEB", "334 eyJzdGF0dXMiOiI0MDEi", "", "535"}, ""},
		"OAUTHBEARER":           {[]string{"AUTH OAUTHBEARER bixhPWFubiwBYXV0aD1CZWFyZXIgc2VzYW1lAQE=", "235"}, "ann"},
		"SCRAM, not a message":  {[]string{"AUTH SCRAM-SHA-256 eA==", "501"}, ""},
		"SCRAM, binding unsaid": {[]string{"AUTH SCRAM-SHA-256 cD10bHMtZXhwb3J0ZXIsLG49YW5uLHI9YWJj", "501"}, ""},
		"SCRAM, no proof":       {[]string{"AUTH SCRAM-SHA-1 biwsbj1hbm4scj1hYmM=", "334 cj1hYmNzbXRwdGVzdCxzPWMyRnNkQ0J2WmlCemJYUndkR1Z6ZEE9PSxpPTQwOTY=", "Yz1iaXdzLHI9YWJjc210cHRlc3QscD1lQT09", "535"}, ""},
		"login, unknown":        {[]string{"AUTH LOGIN Ym9i", "334 UGFzc3dvcmQ6", "c2VzYW1l", "535"}, ""},
	} {
		bubble(t, name, func(t *testing.T) {
			s := &Server{
				Passwords:  map[string]string{"ann": "sesame"},
				Extensions: []string{"PIPELINING", "AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256", "AUTH=XOAUTH2 OAUTHBEARER"},
			}
			defer s.Close()
			d := dial(t, s)
			d.hello()
			for i := 0; i < len(tc.dialogue); i += 2 {
				d.ask(tc.dialogue[i], tc.dialogue[i+1])
			}
			d.send("MAIL FROM:<a@x>", "RCPT TO:<b@x>", "DATA")
			d.want("250", "250", "354")
			d.ask(".", "250")
			if got := s.Messages()[0].Login; got != tc.login {
				t.Errorf("login %q, want %q", got, tc.login)
			}
			wantViolations(t, s)
		})
	}
	bubble(t, "any mechanism by script", func(t *testing.T) {
		s := &Server{Extensions: []string{"AUTH X-SONG"}, Script: func(c Command) Action {
			switch {
			case c.Verb == "AUTH":
				return Action{Reply: "334 bGE="}
			case c.Verb == AuthResponse && c.Args == "bGFsYQ==":
				return Action{Reply: "235 you can sing"}
			}
			return Action{}
		}}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.ask("AUTH X-SONG", "334 bGE=")
		d.ask("bGFsYQ==", "235")
		wantViolations(t, s)
	})
}
