package smtpclient_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// What users of other libraries had to complain about in AUTH, one story each, with
// the place where they did.
func TestComplaintsAboutAuth(t *testing.T) {
	stories := map[string]func(t *testing.T, w *world){
		"xhit/go-simple-mail#117: LOGIN with an initial response is refused by strict servers": func(t *testing.T, w *world) {
			s := submission("AUTH LOGIN")
			s.Script = func(c smtptest.Command) smtptest.Action {
				if c.Verb == "AUTH" && c.Args != "LOGIN" {
					return smtptest.Action{Reply: "501 5.5.4 no initial response here"}
				}
				return smtptest.Action{}
			}
			w.smarthost(s)
			expect(t, w.deliverAs(ann()), deliveredBob)
		},
		"xhit/go-simple-mail#1, go-gomail/gomail#16, gogs/gogs#1514, uptrace/uptrace#359: servers with nothing but LOGIN, and prompts of their own": func(t *testing.T, w *world) {
			s := submission("AUTH=LOGIN", "AUTH LOGIN")
			s.Script = script("334 "+b64("User Name\x00"), "334 "+b64("Kennwort?"), "235 ok")
			w.smarthost(s)
			expect(t, w.deliverAs(ann()), deliveredBob)
			if said := strings.Join(clientLines(s, 0), "\n"); !strings.Contains(said, "AUTH LOGIN\n"+b64("ann")+"\n"+b64(thePassword)+"\n") {
				t.Errorf("the client said %q", said)
			}
		},
		"wneessen/go-mail#242: no SCRAM": func(t *testing.T, w *world) {
			s := w.smarthost(submission("AUTH PLAIN LOGIN SCRAM-SHA-256"))
			expect(t, w.deliverAs(ann()), deliveredBob)
			if said := strings.Join(clientLines(s, 0), "\n"); !strings.Contains(said, "AUTH SCRAM-SHA-256 ") {
				t.Errorf("the client said %q", said)
			}
		},
		"mjl-/mox#51, the-djmaze/snappymail#1813: SCRAM with channel binding that is none": func(t *testing.T, w *world) {
			// The server's own idea of the channel decides: smtptest takes nothing
			// but the secret of this connection.
			s := w.smarthost(submission("AUTH SCRAM-SHA-256-PLUS"))
			expect(t, w.deliverAs(ann()), deliveredBob)
			if got := s.Messages()[0].Login; got != "ann" {
				t.Errorf("logged in as %q", got)
			}
		},
		"warmbly/warmbly#359: no common mechanism is reported as a wrong password": func(t *testing.T, w *world) {
			w.smarthost(submission("AUTH GSSAPI NTLM"))
			err := w.deliverAs(ann()).Err()
			if !errors.Is(err, smtpclient.AuthNoMechanism) || errors.Is(err, smtpclient.AuthBadCredentials) || !strings.Contains(err.Error(), "GSSAPI NTLM") {
				t.Errorf("no common mechanism: %v", err)
			}
			w.smarthost(submission("AUTH PLAIN"))
			err = w.deliverAs(&smtpclient.Credential{User: "ann", Password: wrongPassword}).Err()
			if !errors.Is(err, smtpclient.AuthBadCredentials) || errors.Is(err, smtpclient.AuthNoMechanism) {
				t.Errorf("wrong password: %v", err)
			}
		},
		"nodemailer/nodemailer#1835: a password goes out in plaintext, since TLS failed or was said to be there": func(t *testing.T, w *world) {
			w.unruly = true
			s := submission("AUTH PLAIN LOGIN")
			s.Script = on("STARTTLS", action{Raw: []byte("220 go\r\n250-smtp\r\n250 AUTH PLAIN\r\n")})
			w.smarthost(s)
			report := w.deliverAs(ann())
			if said := strings.Join(clientLines(s, 0), "\n"); report.Outcomes[0].Status != smtpclient.Deferred || strings.Contains(said, "AUTH") {
				t.Errorf("%v; the client said %q", report.Err(), said)
			}
		},
	}
	for name, story := range stories {
		t.Run(name, func(t *testing.T) { inWorld(t, story) })
	}
	// cole/aiosmtplib#170: names and passwords that are not ASCII go as UTF-8.
	for _, mechanism := range []string{"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"} {
		inWorld(t, func(t *testing.T, w *world) {
			s := submission(allMechanisms)
			s.Passwords["jürgen@exämple.org"] = "pässwörd-ключ"
			w.smarthost(s)
			expect(t, w.deliverAs(&smtpclient.Credential{User: "jürgen@exämple.org", Password: "pässwörd-ключ", Mechanisms: []string{mechanism}}), deliveredBob)
			if got := s.Messages()[0].Login; got != "jürgen@exämple.org" {
				t.Errorf("%s: logged in as %q", mechanism, got)
			}
		})
	}
}

// With FinalAuth a 5yz to AUTH fails the recipients, also a remembered one; else,
// and for what is not the server's word, they wait.
func TestFinalAuth(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := w.smarthost(submission("AUTH PLAIN"))
		wrong := &smtpclient.Credential{User: "ann", Password: wrongPassword}
		expect(t, w.deliverAs(wrong), deferredBob+"auth 4.7.8")
		w.client.Limits.Final = smtpclient.FinalAuth
		expect(t, w.deliverAs(wrong), "bob@example.net failed auth 5.7.8") // remembered
		w.client.AuthMemory.TTL = -1
		expect(t, w.deliverAs(wrong), "bob@example.net failed auth 5.7.8")
		if got := s.Sessions(); got != 2 {
			t.Errorf("%d sessions, want 2", got)
		}
		expect(t, w.deliverAs(ann("SCRAM-SHA-1")), deferredBob+"auth 4.7.0")
	})
	// Every 5yz is one, with the code that says what it was.
	for reply, want := range map[string]string{
		"535 no": "5.7.8", "534 5.7.9 too weak": "5.7.9", "538 no": "5.7.11", "530 5.7.0 STARTTLS first": "5.7.0", "500 5.5.6 line too long": "5.5.6",
	} {
		inWorld(t, func(t *testing.T, w *world) {
			s := submission("AUTH PLAIN")
			s.Script = script(reply)
			w.smarthost(s)
			w.client.NextHops = append(w.client.NextHops, "[192.0.2.20]:25")
			other := w.mx(20, &smtptest.Server{})
			w.client.Limits.Final = smtpclient.FinalAuth
			expect(t, w.deliverAs(ann()), "bob@example.net failed auth "+want)
			if other.Sessions() != 0 {
				t.Errorf("%s: another next hop was asked after a refusal for good", reply)
			}
		})
	}
	inWorld(t, func(t *testing.T, w *world) {
		s := submission("AUTH PLAIN")
		s.Script = script("454 4.7.0 later")
		w.smarthost(s)
		w.client.Limits.Final = smtpclient.FinalAuth
		expect(t, w.deliverAs(ann()), deferredBob+"auth 4.7.0")
	})
}

// A18: what a server offers after AUTH is not asked for again, and not assumed to
// be more.
func TestNoHelloAfterAuth(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := w.smarthost(submission("AUTH PLAIN"))
		expect(t, w.deliverAs(ann()), deliveredBob)
		hellos := 0
		for _, line := range clientLines(s, 0) {
			if strings.HasPrefix(line, "EHLO") {
				hellos++
			}
		}
		if hellos != 2 {
			t.Errorf("EHLO was said %d times, want once in plaintext and once inside TLS", hellos)
		}
	})
}
