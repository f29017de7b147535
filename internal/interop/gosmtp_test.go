package interop

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

func goSMTP(t *testing.T) *GoSMTP {
	t.Helper()
	g, err := StartGoSMTP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

// verified reaches the server by its name, and trusts it.
func verified(g *GoSMTP) *smtpclient.Client {
	_, port, _ := strings.Cut(g.Addr, ":")
	client := clientAt(g.Addr)
	client.NextHops = []string{"[" + g.Name + "]:" + port}
	client.Resolver = resolve.Static{{Name: g.Name, Type: resolve.TypeA}: {Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}}
	client.TLS = tlspolicy.Policy{Level: tlspolicy.Verify, Roots: g.Roots}
	return client
}

// Every parameter comes to the server with its value.
func TestParametersAtGoSMTP(t *testing.T) {
	since := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	binary := append(body("binary", ""), "a\nb\rc\x00d\n.\n\r\n.\r\n"+strings.Repeat("x", 5000)+"\xff"...)
	for _, c := range []struct {
		name    string
		ask     func(env *smtpclient.Envelope)
		content []byte
		got     func(m Taken) bool
	}{
		{"nothing", func(*smtpclient.Envelope) {}, simple("nothing"), func(m Taken) bool {
			return m.Mail.Body == "" && !m.Mail.RequireTLS && !m.Mail.UTF8 && m.Mail.Return == "" && m.Mail.EnvelopeID == "" &&
				len(m.Rcpt[0].Notify) == 0 && m.Rcpt[0].OriginalRecipient == "" && m.Rcpt[0].RequireRecipientValidSince.IsZero()
		}},
		{"SIZE", func(*smtpclient.Envelope) {}, simple("size"), func(m Taken) bool { return m.Mail.Size == int64(len(simple("size"))) }},
		{"BODY=BINARYMIME", func(env *smtpclient.Envelope) { env.Body = smtpclient.BodyBinary }, binary, func(m Taken) bool {
			return m.Mail.Body == smtp.BodyBinaryMIME
		}},
		{"BODY=8BITMIME", func(env *smtpclient.Envelope) {}, body("8-bit", "gr\xc3\xbcn\r\n"), func(m Taken) bool {
			return m.Mail.Body == smtp.Body8BitMIME
		}},
		{"SMTPUTF8", func(env *smtpclient.Envelope) { env.UTF8 = true }, simple("utf8"), func(m Taken) bool { return m.Mail.UTF8 }},
		{"REQUIRETLS", func(env *smtpclient.Envelope) { env.TLS = tlspolicy.EveryHop }, simple("secret"), func(m Taken) bool {
			return m.Mail.RequireTLS
		}},
		{"RET and ENVID", func(env *smtpclient.Envelope) { env.Return, env.EnvID = smtpclient.ReturnHeaders, "QQ+1 =" }, simple("dsn"), func(m Taken) bool {
			return m.Mail.Return == smtp.DSNReturnHeaders && m.Mail.EnvelopeID == "QQ+1 ="
		}},
		{"NOTIFY and ORCPT", func(env *smtpclient.Envelope) {
			env.To[0].Notify, env.To[0].ORCPT = smtpclient.NotifySuccess|smtpclient.NotifyDelay, "rfc822;b+b=@example.net"
		}, simple("dsn"), func(m Taken) bool {
			return slices.Equal(m.Rcpt[0].Notify, []smtp.DSNNotify{smtp.DSNNotifySuccess, smtp.DSNNotifyDelayed}) &&
				m.Rcpt[0].OriginalRecipientType == smtp.DSNAddressTypeRFC822 && m.Rcpt[0].OriginalRecipient == "b+b=@example.net"
		}},
		{"ORCPT=utf-8", func(env *smtpclient.Envelope) {
			env.To[0].ORCPT = "utf-8;b\u00f6b+1@example.net"
		}, simple("dsn"), func(m Taken) bool {
			return m.Rcpt[0].OriginalRecipientType == smtp.DSNAddressTypeUTF8 && m.Rcpt[0].OriginalRecipient == "b\u00f6b+1@example.net"
		}},
		{"RRVS", func(env *smtpclient.Envelope) { env.To[0].Since = since }, simple("rrvs"), func(m Taken) bool {
			return m.Rcpt[0].RequireRecipientValidSince.Equal(since)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := goSMTP(t)
			env := envelope("bob@example.test")
			c.ask(&env)
			report := deliverTo(t, verified(g), env, smtpclient.Bytes(c.content))
			wantDelivered(t, report)
			if o := report.Outcomes[0]; o.TLS.Verified != "pkix" || len(o.Notes) != 0 {
				t.Errorf("verified by %q, notes %q", o.TLS.Verified, o.Notes)
			}
			taken := g.Taken()
			if len(taken) != 1 || !c.got(taken[0]) {
				t.Fatalf("the server has got %+v", taken)
			}
			wantBytes(t, taken[0].Content, c.content)
		})
	}
}

// BY and MT-PRIORITY stand at MAIL, where go-smtp refuses them. Moved to where it
// looks for them, their values are as they should be.
func TestDeliverByAndPriorityAtGoSMTP(t *testing.T) {
	for _, c := range []struct {
		name string
		ask  func(env *smtpclient.Envelope)
		got  func(o smtp.RcptOptions) bool
	}{
		{"BY, return", func(env *smtpclient.Envelope) { env.By = smtpclient.DeliverBy{Within: time.Hour, Return: true} }, func(o smtp.RcptOptions) bool {
			return o.DeliverBy != nil && *o.DeliverBy == smtp.DeliverByOptions{Time: time.Hour, Mode: smtp.DeliverByReturn}
		}},
		{"BY, notify, trace", func(env *smtpclient.Envelope) { env.By = smtpclient.DeliverBy{Within: -time.Second, Trace: true} }, func(o smtp.RcptOptions) bool {
			return o.DeliverBy != nil && *o.DeliverBy == smtp.DeliverByOptions{Time: -time.Second, Mode: smtp.DeliverByNotify, Trace: true}
		}},
		{"MT-PRIORITY", func(env *smtpclient.Envelope) { env.Priority = -4 }, func(o smtp.RcptOptions) bool { return o.MTPriority != nil && *o.MTPriority == -4 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := goSMTP(t)
			env := envelope("bob@example.test")
			c.ask(&env)
			refused := deliverTo(t, clientAt(g.Addr), env, smtpclient.Bytes(simple("at MAIL"))).Outcomes[0]
			if refused.Status != smtpclient.Failed || refused.Stage != smtpclient.StageMail || refused.Reply.Code != 500 {
				t.Errorf("at MAIL: got %v at %v, %v; want failed at mail, by 500", refused.Status, refused.Stage, refused.Err())
			}

			_, port, _ := strings.Cut(g.Addr, ":")
			f, err := NewFront(Watched+":"+port, MoveToRcpt(g.Addr))
			listen(t, f, err)
			wantDelivered(t, deliverTo(t, clientAt(Watched+":"+port), env, smtpclient.Bytes(simple("at RCPT"))))
			taken := g.Taken()
			if len(taken) != 1 || !c.got(taken[0].Rcpt[0]) {
				t.Errorf("the server has got %+v", taken)
			}
		})
	}
}

// With return the time left must be what the server asks for at least: here a
// minute.
func TestDeliverByBelowTheMinimum(t *testing.T) {
	g := goSMTP(t)
	env := envelope("bob@example.test")
	env.By = smtpclient.DeliverBy{Within: 2 * time.Minute, Return: true}
	env.Arrival = time.Now().Add(-90 * time.Second)
	report := deliverTo(t, clientAt(g.Addr), env, smtpclient.Bytes(simple("late")))
	wantOutcome(t, report.Outcomes[0], smtpclient.Failed, "5.3.3", smtpclient.StageMail)
}

// What no server of ours but go-smtp offers: where it is needed, the message fails
// before MAIL; where it is advice, it is left out and noted.
func TestNotOffered(t *testing.T) {
	for _, c := range []struct {
		name     string
		ask      func(env *smtpclient.Envelope)
		enhanced string // "": delivered, with a note
	}{
		{"BINARYMIME", func(env *smtpclient.Envelope) { env.Body = smtpclient.BodyBinary }, "5.6.3"},
		{"RRVS", func(env *smtpclient.Envelope) { env.To[0].Since = time.Unix(1, 0) }, "5.7.19"},
		{"BY, return", func(env *smtpclient.Envelope) { env.By = smtpclient.DeliverBy{Within: time.Hour, Return: true} }, "5.3.3"},
		{"HOLDFOR", func(env *smtpclient.Envelope) { env.HoldFor = time.Hour }, "5.3.3"},
		{"BY, notify", func(env *smtpclient.Envelope) { env.By = smtpclient.DeliverBy{Within: time.Hour} }, ""},
		{"MT-PRIORITY", func(env *smtpclient.Envelope) { env.Priority = 3 }, ""},
	} {
		for _, p := range peers() {
			t.Run(c.name+"/"+p.name, func(t *testing.T) {
				s := p.start(t)
				env := envelope(s.NewMailbox("example.test"))
				c.ask(&env)
				o := deliverTo(t, clientTo(s, p.door), env, smtpclient.Bytes(simple("not offered"))).Outcomes[0]
				if c.enhanced != "" {
					wantOutcome(t, o, smtpclient.Failed, c.enhanced, smtpclient.StageMail)
					return
				}
				wantOutcome(t, o, smtpclient.Delivered, "2.0.0", smtpclient.StageDataDone)
				if len(o.Notes) != 1 {
					t.Errorf("notes %q, want one", o.Notes)
				}
				_, got := stored(t, s, env.To[0].Address)
				wantBytes(t, got, p.stored(simple("not offered")))
			})
		}
	}
}

// A binary message comes as it is also in several chunks, and with bytes that look
// like the end of the data.
func TestBinaryInChunks(t *testing.T) {
	g := goSMTP(t)
	env := envelope("bob@example.test")
	env.Body = smtpclient.BodyBinary
	content := append(body("binary", ""), bytes.Repeat([]byte("\r\n.\r\n\x00\n\rQUIT\r\n"), 10_000)...)
	for _, size := range []int{0, 16 << 10, 50_000} {
		client := withQuirks(clientAt(g.Addr), smtpclient.Quirks{ChunkSize: size})
		wantDelivered(t, deliverTo(t, client, env, smtpclient.Bytes(content)))
	}
	for _, m := range g.Taken() {
		wantBytes(t, m.Content, content)
	}
	if n := len(g.Taken()); n != 3 {
		t.Errorf("the server has got %d messages, want 3", n)
	}
}
