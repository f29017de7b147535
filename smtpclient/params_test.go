package smtpclient_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// base is a time; the clock of a bubble starts at midnight before.
var base = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

const eightBit = "Subject: x\r\n\r\ngr\xc3\xbc\xc3\x9fe\r\n"

// TestParameters shows each wish of an envelope on the wire, at a server that
// offers what it takes, and what becomes of it at one that does not.
func TestParameters(t *testing.T) {
	all := []string{"PIPELINING", "SIZE 10000", "8BITMIME", "SMTPUTF8", "DSN", "AUTH PLAIN", "MT-PRIORITY MIXER", "DELIVERBY 100",
		"FUTURERELEASE 86400 2020-01-01T00:00:00Z", "RRVS", "CHUNKING", "BINARYMIME"}
	without := func(keyword string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(e string) bool { return strings.HasPrefix(e+" ", keyword+" ") })
	}
	delivered := "delivered data-done 2.0.0"
	tests := []struct {
		name     string
		wish     func(env *smtpclient.Envelope)
		message  string // hello if empty
		mail     string // parameters of MAIL behind SIZE
		rcpt     string // of RCPT
		keyword  string // that it takes
		missing  string // outcome where that is not offered
		note     string // in the report then
		leftover string // parameters of MAIL then, behind SIZE
	}{
		{name: "nothing"},
		{name: "8-bit", message: eightBit, mail: "BODY=8BITMIME"},
		{name: "declared 7-bit", wish: func(e *smtpclient.Envelope) { e.Body = smtpclient.Body7Bit }, mail: "BODY=7BIT"},
		{name: "declared 8-bit", wish: func(e *smtpclient.Envelope) { e.Body = smtpclient.Body8Bit }, mail: "BODY=8BITMIME"},
		{name: "ENVID", wish: func(e *smtpclient.Envelope) { e.EnvID = "a+b=c d" }, mail: "ENVID=a+2Bb+3Dc+20d",
			keyword: "DSN", missing: delivered, note: "RET or ENVID was left out"},
		{name: "RET=FULL", wish: func(e *smtpclient.Envelope) { e.Return = smtpclient.ReturnFull }, mail: "RET=FULL",
			keyword: "DSN", missing: delivered, note: "RET or ENVID was left out"},
		{name: "RET=HDRS", wish: func(e *smtpclient.Envelope) { e.EnvID, e.Return = "x", smtpclient.ReturnHeaders }, mail: "ENVID=x RET=HDRS",
			keyword: "DSN", missing: delivered, note: "RET or ENVID was left out"},
		{name: "NOTIFY=NEVER", wish: func(e *smtpclient.Envelope) { e.To[0].Notify = smtpclient.NotifyNever }, rcpt: "NOTIFY=NEVER",
			keyword: "DSN", missing: delivered, note: "NOTIFY or ORCPT was left out"},
		{name: "NOTIFY", wish: func(e *smtpclient.Envelope) {
			e.To[0].Notify = smtpclient.NotifyDelay | smtpclient.NotifySuccess | smtpclient.NotifyFailure
		}, rcpt: "NOTIFY=SUCCESS,FAILURE,DELAY", keyword: "DSN", missing: delivered, note: "NOTIFY or ORCPT was left out"},
		{name: "E35 ORCPT", wish: func(e *smtpclient.Envelope) { e.To[0].ORCPT = "rfc822;bob+x=y@example.net" }, rcpt: "ORCPT=rfc822;bob+2Bx+3Dy@example.net",
			keyword: "DSN", missing: delivered, note: "NOTIFY or ORCPT was left out"},
		{name: "ORCPT before NOTIFY", wish: func(e *smtpclient.Envelope) {
			e.To[0].ORCPT, e.To[0].Notify = "rfc822;b@example.net", smtpclient.NotifyFailure
		}, rcpt: "ORCPT=rfc822;b@example.net NOTIFY=FAILURE"},
		{name: "ORCPT in UTF-8, without SMTPUTF8", wish: func(e *smtpclient.Envelope) { e.To[0].ORCPT = "utf-8;bö+b@example.net" }, rcpt: `ORCPT=utf-8;b\x{F6}\x{2B}b@example.net`},
		{name: "ORCPT in UTF-8, with SMTPUTF8", wish: func(e *smtpclient.Envelope) { e.UTF8, e.To[0].ORCPT = true, "utf-8;bö+b@example.net" },
			mail: "SMTPUTF8", rcpt: `ORCPT=utf-8;bö\x{2B}b@example.net`},
		{name: "SMTPUTF8 asked for", wish: func(e *smtpclient.Envelope) { e.UTF8 = true }, mail: "SMTPUTF8", keyword: "SMTPUTF8", missing: "failed mail 5.6.7"},
		{name: "sender in UTF-8", wish: func(e *smtpclient.Envelope) { e.From = "änn@example.org" }, mail: "SMTPUTF8", keyword: "SMTPUTF8", missing: "failed mail 5.6.7"},
		{name: "B34 header in UTF-8", message: "Subject: gr\xc3\xbc\xc3\x9fe\r\n\r\n", mail: "BODY=8BITMIME SMTPUTF8", keyword: "SMTPUTF8", missing: "failed mail 5.6.7"},
		{name: "header in Latin-1", message: "Subject: gr\xfc\xdfe\r\n\r\n", mail: "BODY=8BITMIME"},
		{name: "AUTH=", wish: func(e *smtpclient.Envelope) { e.Auth = "ann+x@example.org" }, mail: "AUTH=ann+2Bx@example.org", keyword: "AUTH", missing: delivered, note: "AUTH= was left out"},
		{name: "AUTH=<>", wish: func(e *smtpclient.Envelope) { e.Auth = "<>" }, mail: "AUTH=<>", keyword: "AUTH", missing: delivered, note: "AUTH= was left out"},
		{name: "MT-PRIORITY", wish: func(e *smtpclient.Envelope) { e.Priority = -4 }, mail: "MT-PRIORITY=-4", keyword: "MT-PRIORITY", missing: delivered, note: "MT-PRIORITY was left out"},
		{name: "BY, notify", wish: func(e *smtpclient.Envelope) { e.By.Within = 50 * time.Second }, mail: "BY=50;N", keyword: "DELIVERBY", missing: delivered, note: "BY was left out"},
		{name: "BY, trace", wish: func(e *smtpclient.Envelope) { e.By = smtpclient.DeliverBy{Within: time.Hour, Trace: true} }, mail: "BY=3600;NT", keyword: "DELIVERBY", missing: delivered, note: "BY was left out"},
		{name: "BY, late", wish: func(e *smtpclient.Envelope) { e.By.Within, e.Arrival = time.Minute, base.Add(-time.Hour) }, mail: "BY=-3540;N"},
		{name: "BY, return", wish: func(e *smtpclient.Envelope) {
			e.By, e.Arrival = smtpclient.DeliverBy{Within: time.Hour, Return: true}, base.Add(-10*time.Minute)
		}, mail: "BY=3000;R", keyword: "DELIVERBY", missing: "failed mail 5.3.3"},
		{name: "HOLDFOR", wish: func(e *smtpclient.Envelope) { e.HoldFor = time.Hour }, mail: "HOLDFOR=3600", keyword: "FUTURERELEASE", missing: "failed mail 5.3.3"},
		{name: "HOLDUNTIL", wish: func(e *smtpclient.Envelope) { e.HoldUntil = base.Add(time.Hour).In(time.FixedZone("", 3600)) }, mail: "HOLDUNTIL=2000-01-01T01:00:00Z",
			keyword: "FUTURERELEASE", missing: "failed mail 5.3.3"},
		{name: "RRVS", wish: func(e *smtpclient.Envelope) { e.To[0].Since = base }, rcpt: "RRVS=2000-01-01T00:00:00Z", keyword: "RRVS", missing: "failed mail 5.7.19"},
		{name: "all of DSN in Postfix's order", message: eightBit, wish: func(e *smtpclient.Envelope) {
			e.EnvID, e.Return, e.UTF8, e.Auth = "x", smtpclient.ReturnFull, true, "<>"
		}, mail: "BODY=8BITMIME ENVID=x RET=FULL SMTPUTF8 AUTH=<>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			message := tt.message
			if message == "" {
				message = hello
			}
			for _, extensions := range [][]string{all, without(tt.keyword)} {
				offered := len(extensions) == len(all)
				if !offered && tt.keyword == "" {
					continue
				}
				inWorld(t, func(t *testing.T, w *world) {
					mx := w.mx(10, &smtptest.Server{Extensions: extensions})
					env := fromAnn("bob@example.net")
					if tt.wish != nil {
						tt.wish(&env)
					}
					report := w.deliver(t.Context(), env, message)
					notes := strings.Join(report.Outcomes[0].Notes, "; ")
					if !offered {
						expect(t, report, "bob@example.net "+tt.missing)
						if !strings.Contains(notes, tt.note) || (notes == "") != (tt.note == "") {
							t.Errorf("notes %q, want %q", notes, tt.note)
						}
						return
					}
					expect(t, report, "bob@example.net "+delivered)
					if notes != "" {
						t.Errorf("notes %q", notes)
					}
					if t.Failed() {
						t.FailNow()
					}
					m := mx.Messages()[0]
					size, mail, _ := strings.Cut(m.FromArgs, " ")
					if !strings.HasPrefix(size, "SIZE=") || mail != tt.mail {
						t.Errorf("MAIL has %q, want SIZE and %q", m.FromArgs, tt.mail)
					}
					if m.ToArgs[0] != tt.rcpt {
						t.Errorf("RCPT has %q, want %q", m.ToArgs[0], tt.rcpt)
					}
				})
			}
		})
	}
}

// A wish that the first host cannot fulfil may be fulfilled by the next.
func TestNeededExtensionAtNextHost(t *testing.T) {
	for _, wish := range []func(env *smtpclient.Envelope){
		func(env *smtpclient.Envelope) { env.UTF8 = true },
		func(env *smtpclient.Envelope) { env.HoldFor = time.Hour },
		func(env *smtpclient.Envelope) { env.To[0].Since = base },
		func(env *smtpclient.Envelope) { env.By = smtpclient.DeliverBy{Within: time.Hour, Return: true} },
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.mx(10, &smtptest.Server{Extensions: pipelined})
			w.mx(20, &smtptest.Server{Extensions: []string{"SMTPUTF8", "FUTURERELEASE", "RRVS", "DELIVERBY"}})
			env := fromAnn("bob@example.net")
			wish(&env)
			report := w.deliver(t.Context(), env, hello)
			expect(t, report, "bob@example.net delivered data-done 2.0.0")
			if report.Outcomes[0].Host != "mx20.example.net" {
				t.Errorf("delivered to %s", report.Outcomes[0].Host)
			}
		})
	}
}

// E10: an address that needs SMTPUTF8 fails alone where the message does not.
func TestUTF8RecipientAlone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{Extensions: pipelined})
		report := w.deliver(t.Context(), fromAnn("bob@example.net", "jörg@example.net", "jan@bücher.example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0", "jörg@example.net failed mail 5.6.7", "jan@bücher.example.net failed resolve 5.4.4")
		if got := mx.Messages()[0].FromArgs; strings.Contains(got, "SMTPUTF8") {
			t.Errorf("MAIL has %q", got)
		}
	})
	inWorld(t, func(t *testing.T, w *world) { // a recipient needs it, and gets it
		mx := w.mx(10, &smtptest.Server{Extensions: []string{"SMTPUTF8"}})
		report := w.deliver(t.Context(), fromAnn("bob@example.net", "jörg@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0", "jörg@example.net delivered data-done 2.0.0")
		if got := mx.Messages()[0].FromArgs; got != "SMTPUTF8" {
			t.Errorf("MAIL has %q", got)
		}
	})
	inWorld(t, func(t *testing.T, w *world) { // SMTPUTF8 without 8BITMIME: the server forgot
		w.unruly = true
		mx := w.mx(10, &smtptest.Server{Extensions: []string{"SMTPUTF8"}, Script: on("MAIL", action{Reply: "250 ok"})})
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), eightBit)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		if got := mx.Messages()[0].FromArgs; got != "BODY=8BITMIME" {
			t.Errorf("MAIL has %q", got)
		}
	})
}

// Mode R of BY: what is late or too short is not even begun.
func TestDeliverByReturn(t *testing.T) {
	for _, tt := range []struct {
		within time.Duration
		want   string
	}{
		{9 * time.Minute, "failed mail 5.4.7"},
		{10 * time.Minute, "failed mail 5.4.7"},
		{10*time.Minute + 99*time.Second, "failed mail 5.3.3"},
		{10*time.Minute + 100*time.Second, "delivered data-done 2.0.0"},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.mx(10, &smtptest.Server{Extensions: []string{"DELIVERBY 100"}})
			env := fromAnn("bob@example.net")
			env.By, env.Arrival = smtpclient.DeliverBy{Within: tt.within, Return: true}, base.Add(-10*time.Minute)
			expect(t, w.deliver(t.Context(), env, hello), "bob@example.net "+tt.want)
		})
	}
}

// The same address with different wishes is two RCPT.
func TestDuplicatesWithDifferentWishes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{})
		env := fromAnn("bob@example.net", "bob@example.net", "bob@example.net")
		env.To[1].Notify = smtpclient.NotifyNever
		report, err := w.client.Deliver(t.Context(), env, smtpclient.Bytes([]byte(hello)))
		checkError(t, report, err)
		if got := strings.Join(mx.Messages()[0].ToArgs, "|"); got != "|NOTIFY=NEVER" {
			t.Errorf("RCPT have %q", got)
		}
	})
}

// XFORWARD goes before MAIL with what the server knows, and a refusal is only
// noted.
func TestXForward(t *testing.T) {
	info := &smtpclient.ClientInfo{Name: "a b.example", Addr: netip.MustParseAddrPort("[2001:db8::1]:4711"), Proto: "ESMTP", Helo: "hé", Login: "ann", Ident: "Q1", Source: "LOCAL",
		DestAddr: netip.MustParseAddrPort("192.0.2.9:25")}
	for reply, note := range map[string]string{"250 ok": "", "503 5.5.0 no": "XFORWARD was refused: 503 5.5.0 no"} {
		for _, mode := range [][]string{{"PIPELINING"}, {}} {
			inWorld(t, func(t *testing.T, w *world) {
				mx := w.mx(10, &smtptest.Server{Extensions: append(mode, "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"), Script: on("XFORWARD", action{Reply: reply})})
				env := fromAnn("bob@example.net")
				env.XForward = info
				report := w.deliver(t.Context(), env, hello)
				expect(t, report, "bob@example.net delivered data-done 2.0.0")
				lines := clientLines(mx, 0)
				want := []string{"EHLO client.example.org", "XFORWARD NAME=a+20b.example ADDR=IPV6:2001:db8::1 PORT=4711", "XFORWARD PROTO=ESMTP HELO=h+C3+A9 IDENT=Q1 SOURCE=LOCAL", "MAIL FROM:<ann@example.org>"}
				if !slices.Equal(lines[:4], want) {
					t.Errorf("the client said %q, want %q", lines[:4], want)
				}
				if notes := strings.Join(report.Outcomes[0].Notes, ""); note != "" && !strings.Contains(notes, note) || note == "" && notes != "" {
					t.Errorf("notes %q, want %q", notes, note)
				}
			})
		}
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{})
		env := fromAnn("bob@example.net")
		env.XForward = info
		report := w.deliver(t.Context(), env, hello)
		if notes := report.Outcomes[0].Notes; len(notes) != 1 || !strings.Contains(notes[0], "XFORWARD was left out") {
			t.Errorf("notes %q", notes)
		}
	})
	t.Run("timeout", func(t *testing.T) {
		for delay, want := range map[time.Duration]string{7*time.Second - 1: "delivered data-done 2.0.0", 7*time.Second + 1: "deferred command 4.4.2"} {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				w.mx(10, &smtptest.Server{Extensions: []string{"XFORWARD NAME"}, Script: on("XFORWARD", action{Delay: delay})})
				w.client.Dialer.Timeouts.Command = 7 * time.Second
				env := fromAnn("bob@example.net")
				env.XForward = info
				expect(t, w.deliver(t.Context(), env, hello), "bob@example.net "+want)
			})
		}
	})
}

// What another host might have taken is deferred, not failed, when ctx ends before
// it could be asked.
func TestCancelBeforeTheHostThatMightDo(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		w.mx(10, &smtptest.Server{Extensions: pipelined})
		w.mx(20, nil) // never answers
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		env := fromAnn("bob@example.net")
		env.UTF8 = true
		report := w.deliver(ctx, env, hello)
		expect(t, report, "bob@example.net deferred connect 4.4.1")
	})
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		w.mx(10, &smtptest.Server{Extensions: pipelined})
		ctx, cancel := context.WithCancel(t.Context())
		ctx = smtpclient.WithTrace(ctx, &smtpclient.Trace{Done: func(_ context.Context, e smtpclient.Event) {
			if e.Stage == smtpclient.StageHello {
				cancel()
			}
		}})
		env := fromAnn("bob@example.net")
		env.UTF8 = true
		report := w.deliver(ctx, env, hello)
		if o := report.Outcomes[0]; o.Status != smtpclient.Deferred {
			t.Errorf("%v", o.Err())
		}
	})
}
