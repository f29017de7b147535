package smtpclient_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// crowd are n recipients, and the summary if all get the message.
func crowd(n int) (env smtpclient.Envelope, want []string) {
	var to []string
	for i := range n {
		to = append(to, fmt.Sprintf("user%d@example.net", i))
		want = append(want, to[i]+" delivered data-done 2.0.0")
	}
	return fromAnn(to...), want
}

// others opens connections to the server that stay.
func (z *zmailer) others(n int) {
	for range n {
		conn, err := z.server.DialContext(z.t.Context(), "tcp", "192.0.2.10:25")
		if err != nil {
			z.t.Fatal(err)
		}
		z.t.Cleanup(func() { conn.Close() })
	}
}

// zmailerLimits is section 2b.
func zmailerLimits() []position {
	_, all150 := crowd(150)
	_, all300 := crowd(300)
	return []position{
		{name: "maxsize: 0 is no limit"},
		{name: "maxsize: not reached", set: func(z *zmailer) { z.without("SIZE"); z.with("SIZE 10000") }, check: func(z *zmailer, _ smtpclient.Report) {
			if !strings.Contains(z.heard(), fmt.Sprintf(" SIZE=%d", len(hello))) {
				z.t.Errorf("SIZE= is not what was sent: %q", z.heard())
			}
		}},
		{name: "maxsize: passed at MAIL", set: func(z *zmailer) { z.at("MAIL", smtptest.Action{Reply: "552 5.3.4 too big"}) }, want: []string{"bob@example.net failed mail 5.3.4"}},
		{name: "maxsize: passed at the dot", set: func(z *zmailer) { z.profile.Limits.Size = 20 }, want: []string{"bob@example.net failed data-done 5.3.4"}},
		{name: "maxsize: passed at a chunk", set: func(z *zmailer) {
			z.profile.Limits.Size = 20
			z.quirks(smtpclient.Quirks{Chunking: smtpclient.ChunkingAfter})
		}, want: []string{"bob@example.net failed data-done 5.3.4"}},
		{name: "min-availspace: at MAIL", set: func(z *zmailer) { z.profile.Limits.Space = 20 }, want: []string{deferredBob + "mail 4.3.1"}},
		{name: "min-availspace: at RCPT", set: func(z *zmailer) { z.at("RCPT", smtptest.Action{Reply: "452 4.3.1 no space"}) }, want: []string{deferredBob + "rcpt 4.3.1"}},
		{name: "min-availspace: at the dot", set: func(z *zmailer) { z.without("SIZE"); z.profile.Limits.Space = 20 }, want: []string{deferredBob + "data-done 4.3.0"}},
		{name: "min-availspace: the next host has some", set: func(z *zmailer) {
			z.profile.Limits.Space = 20
			z.mx(20, &smtptest.Server{})
		}},
		{name: "max-error-recipients: passed, and DATA fails for all", set: func(z *zmailer) {
			z.env, _ = crowd(4)
			z.env.From = "<>"
			z.client.Limits.Recipients = 10
		}, want: []string{"user0@example.net failed data-init 5.7.1", "user1@example.net failed data-init 5.7.1", "user2@example.net failed data-init 5.7.1", "user3@example.net failed rcpt 5.7.1"}},
		{name: "max-error-recipients: one recipient for each notice", set: func(z *zmailer) {
			z.env, _ = crowd(4)
			z.env.From = "<>"
		}, want: all150[:4]},
		{name: "MaxSameIpSource: turned away", set: func(z *zmailer) { z.profile.Limits.PerAddress = 1; z.others(1) }, want: []string{deferredBob + "greeting 4.0.0"}, check: says("too many connections")},
		{name: "MaxSameIpSource: turned away in the words of 2001", set: func(z *zmailer) {
			*z.profile = smtptest.ZMailer2001()
			z.profile.Limits.PerAddress = 1
			z.others(1)
		}, want: []string{deferredBob + "greeting 4.0.0"}},
		{name: "MaxSameIpSource: without a word", set: func(z *zmailer) { z.profile.Limits.PerAddress, z.profile.Limits.Silent = 1, 4; z.others(4) }, want: []string{deferredBob + "greeting 4.4.2"}},
		{name: "MaxParallelConnections: turned away", set: func(z *zmailer) { z.profile.Limits.Connections = 1; z.others(1) }, want: []string{deferredBob + "greeting 4.0.0"}},
		{name: "MaxParallelConnections: without a word", set: func(z *zmailer) { z.profile.Limits.SilentAll = 4; z.others(4) }, want: []string{deferredBob + "greeting 4.4.2"}},
		{name: "MaxParallelConnections: the next host has room", set: func(z *zmailer) {
			z.profile.Limits.Connections = 1
			z.others(1)
			z.mx(20, &smtptest.Server{})
		}},
		{name: "ListenQueueSize: the next host answers", set: func(z *zmailer) {
			z.net["192.0.2.10:25"] = nil
			z.mx(20, &smtptest.Server{})
		}},
		{name: "ListenQueueSize: the connection is taken late", set: func(z *zmailer) { z.profile.AcceptDelay = 20 * time.Second }},
		{name: "ListenQueueSize: the connection is taken too late", set: func(z *zmailer) { z.profile.AcceptDelay = time.Hour }, want: []string{deferredBob + "connect 4.4.1"}},
		{name: "TcpRcvBufferSize, TcpXmitBufferSize: small", set: func(z *zmailer) {
			z.server.Wire = smtptest.Wire{Window: 512}
			z.env, _ = crowd(150)
			z.message += strings.Repeat("a line of text\r\n", 10_000)
		}, want: all150},
		{name: "TcpRcvBufferSize: and slow", set: func(z *zmailer) {
			z.server.Wire = smtptest.Wire{Window: 512}
			z.profile.Limits.Rate = 1000
			z.message += strings.Repeat("a line of text\r\n", 1000)
		}},
		{name: "RcptLimitCount: not announced", set: func(z *zmailer) {
			z.without("X-RCPTLIMIT")
			z.profile.Limits.Recipients = 99
			z.client.Limits.Recipients = -1
			z.env, _ = crowd(300)
		}, want: all300, check: transactions(4)},
		{name: "RcptLimitCount: failed ones count, too", set: func(z *zmailer) {
			z.without("X-RCPTLIMIT")
			z.profile.Limits.Attempts = 99
			z.client.Limits.Recipients = -1
			z.server.Script = refusing("user0@example.net", "550 5.1.1 nobody")
			z.env, _ = crowd(150)
		}, want: append([]string{"user0@example.net failed rcpt 5.1.1"}, all150[1:]...), check: func(z *zmailer, r smtpclient.Report) {
			transactions(2)(z, r)
			if got := z.server.Messages(); len(got) == 2 && len(got[0].To) != 98 {
				z.t.Errorf("%d recipients of the first message, want 98", len(got[0].To))
			}
		}},
		{name: "RcptLimitCount: announced", set: func(z *zmailer) {
			z.without("X-RCPTLIMIT")
			z.with("X-RCPTLIMIT 120")
			z.profile.Limits.Recipients = 120
			z.env, _ = crowd(300)
		}, want: all300, check: func(z *zmailer, r smtpclient.Report) {
			transactions(3)(z, r)
			if n := len(z.server.Refused()); n > 0 {
				z.t.Errorf("%d recipients were refused, although the limit was known", n)
			}
		}},
		{name: "max-unknown-commands: none is spent", set: func(z *zmailer) {
			z.profile.Limits.Unknown = 1
			z.at("RCPT", smtptest.Action{Reply: "550 5.1.1 nobody"})
		}, want: []string{"bob@example.net failed rcpt 5.1.1"}, check: silentAbout("Subject:")},
		{name: "tarpit: 20 60", set: func(z *zmailer) {
			*z.profile = smtptest.ZMailer2001()
			z.profile.Tarpit = smtptest.Tarpit{Initial: 20 * time.Second, Mult: 60}
			z.env, _ = crowd(3)
			z.at("RCPT", smtptest.Action{Reply: "550 5.1.1 nobody"})
		}, want: []string{"user0@example.net failed rcpt 5.1.1", "user1@example.net failed rcpt 5.1.1", "user2@example.net failed rcpt 5.1.1"}},
		{name: "tarpit: 1 1 3, and the whole has a bound", set: func(z *zmailer) {
			z.profile.Tarpit = smtptest.Tarpit{Initial: 250 * time.Second, Mult: 1, Cap: 250 * time.Second}
			z.env, _ = crowd(40)
			z.at("RCPT", smtptest.Action{Reply: "550 5.1.1 nobody"})
			z.alone = true
		}, check: func(z *zmailer, _ smtpclient.Report) {
			r := z.deliver(z.t.Context(), z.env, z.message)
			failed, deferred := 0, 0
			for _, o := range r.Outcomes {
				switch o.Status {
				case smtpclient.Failed:
					failed++
				case smtpclient.Deferred:
					deferred++
				}
			}
			if failed == 0 || deferred == 0 || failed+deferred != 40 || r.Duration > 3*time.Hour {
				z.t.Errorf("%d failed, %d deferred after %v", failed, deferred, r.Duration)
			}
		}},
		{name: "BindPort", set: func(z *zmailer) {
			z.net["192.0.2.10:2525"] = z.server
			delete(z.net, "192.0.2.10:25")
			z.client.Routing.Port = 2525
		}},
		{name: "BindAddress, iface:name: and ours", set: func(z *zmailer) {
			z.client.Dialer = &smtpclient.Dialer{LocalAddr4: netip.MustParseAddr("2001:db8::1")}
			z.changed = true
		}, want: []string{deferredBob + "input 4.3.5"}},
		{name: "command-line: none is longer than the standard says", set: func(z *zmailer) {
			z.env = fromAnn(strings.Repeat("x", 60)+"@"+strings.Repeat("y", 60)+".example.net", "bob@example.net", strings.Repeat("z", 600)+"@example.net")
			z.client.NextHops = []string{"[mx10.example.net]"}
			z.alone = true
		}, check: func(z *zmailer, _ smtpclient.Report) {
			r := z.deliver(z.t.Context(), z.env, z.message)
			if r.Outcomes[2].Status != smtpclient.Failed || r.Outcomes[1].Status != smtpclient.Delivered {
				z.t.Errorf("%s", summary(r))
			}
			for line := range strings.Lines(z.heard()) {
				if len(line) > 512 {
					z.t.Errorf("%d octets: %q", len(line), line)
				}
			}
		}},
		{name: "timeouts: the end comes without 421", set: func(z *zmailer) { z.at("MAIL", smtptest.Action{Fault: smtptest.Drop}) }, want: []string{deferredBob + "mail 4.4.2"}},
		{name: "timeouts: idle for too long", set: only(func(z *zmailer) { z.profile.Limits.Idle = 20 * time.Minute }), check: func(z *zmailer, _ smtpclient.Report) {
			s := z.dial()
			time.Sleep(21 * time.Minute)
			report, _ := z.send(z.t.Context(), s, z.env, smtpclient.Bytes([]byte(z.message)))
			expect(z.t, report, deferredBob+"mail 4.4.2")
		}},
	}
}

// quirks has the client treat the server so.
func (z *zmailer) quirks(q smtpclient.Quirks) {
	z.client.Dialer = &smtpclient.Dialer{DialContext: z.net.DialContext, Quirks: func(smtpclient.Target) smtpclient.Quirks { return q }}
}

// transactions wants so many messages, on one connection.
func transactions(n int) func(*zmailer, smtpclient.Report) {
	return func(z *zmailer, _ smtpclient.Report) {
		got := z.server.Messages()
		if len(got) != n || slices.ContainsFunc(got, func(m smtptest.Message) bool { return m.Session != 0 }) {
			z.t.Errorf("%d messages in %d sessions, want %d in one", len(got), z.server.Sessions(), n)
		}
	}
}
