package smtpclient_test

import (
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

const deferredAtHello = deferredBob + "hello 4.7.1"

// zmailerSwitches are sections 1 and 2a: the command line, and HELO patterns.
func zmailerSwitches() []position {
	list := []position{
		{name: "-4: and the client tries both families", set: func(z *zmailer) { z.host("mx10.example.net", "2001:db8::10") }},
		{name: "-6", set: func(z *zmailer) {
			delete(z.net, "192.0.2.10:25")
			z.host("mx10.example.net", "2001:db8::10")
			z.net["[2001:db8::10]:25"] = z.server
		}},
		{name: "-a: identd is asked before the greeting", set: func(z *zmailer) {
			z.at(smtptest.Connect, smtptest.Action{Reply: "220 NAME ready +IDENT", Delay: 5 * time.Second})
		}},
		{name: "-w: relaying by address", set: func(z *zmailer) {
			z.server.Script = func(c smtptest.Command) smtptest.Action {
				if c.Verb == "RCPT" && !strings.HasPrefix(c.Remote.String(), "192.0.2.1:") {
					return smtptest.Action{Reply: "550 5.7.1 who are you?"}
				}
				return smtptest.Action{}
			}
		}},
		{name: "-g: on", set: func(z *zmailer) { z.profile.Hello = []string{"NAME nice to see you"} }},
		{name: "-g: off, and the name is not liked", set: func(z *zmailer) {
			z.profile.Hello = []string{"               ^", "we expected another name", "5.7.1 but go on", "NAME expected another"}
		}},
		{name: "-h: off", set: func(z *zmailer) { z.reply(smtptest.BadHello, "") }},
		{name: "-h: on, and the name is good", set: func(z *zmailer) { *z.profile = smtptest.ZMailerStrict() }},
		{name: "-h: on, and the name is refused", set: func(z *zmailer) {
			z.at("EHLO", smtptest.Action{Reply: "501-5.7.1       ^\n501 5.7.1 no such name"})
			z.at("HELO", smtptest.Action{Reply: "501 5.7.1 no such name"})
		}, want: []string{deferredAtHello}, check: says("no such name")},
		{name: "-i, -v, -B: a batch", set: only(nil), check: func(z *zmailer, _ smtpclient.Report) {
			z.unruly = true // nothing in a file waits for a reply
			z.profile.Echo, z.profile.Pipelining = true, smtptest.Together
			_, reports := batch(z.t, z.server, []string{"CHUNKING"}, z.env, fromAnn("carol@example.net"))
			clear(z.net) // batch holds what the server has
			expect(z.t, reports[0], deliveredBob)
			expect(z.t, reports[1], "carol@example.net delivered data-done 2.0.0")
		}},
		{name: "-l: our own log tells no secret", set: func(z *zmailer) {
			z.login()
			z.client.Dialer = &smtpclient.Dialer{DialContext: z.net.DialContext, Transcript: smtpclient.TranscriptAll}
		}, check: func(z *zmailer, r smtpclient.Report) {
			if log := strings.Join(r.Outcomes[0].Transcript, "\n"); !strings.Contains(log, "AUTH LOGIN\nS: 334 ***\nC: ***") || strings.Contains(log, b64(thePassword)) {
				z.t.Errorf("the log is\n%s", log)
			}
		}},
		{name: "-n: no limits on connections", set: func(z *zmailer) { z.profile.Limits.PerAddress, z.profile.Limits.Connections = 0, 0 }},
		{name: "-p", set: func(z *zmailer) {
			z.net["192.0.2.10:2525"] = z.server
			delete(z.net, "192.0.2.10:25")
			z.client.NextHops = []string{"[192.0.2.10]:2525"}
		}},
		{name: "-I, -P, -R, -C, -V, -d: nothing on the wire"},
		{name: "-L: too loaded", set: func(z *zmailer) {
			z.at(smtptest.Connect, smtptest.Action{Reply: "421 4.3.2 NAME too loaded"})
		}, want: []string{deferredBob + "greeting 4.3.2"}},
		{name: "-M: refused here, without MAIL", set: func(z *zmailer) {
			z.without("SIZE")
			z.with("SIZE 20")
		}, want: []string{"bob@example.net failed mail 5.3.4"}, check: silentAbout("MAIL")},
		{name: "-s strict: nothing to complain of", set: func(z *zmailer) { *z.profile = smtptest.ZMailerStrict() }},
		{name: "-s sloppy: nothing is relied on", set: func(z *zmailer) {
			for _, in := range []smtptest.Situation{smtptest.NoHello, smtptest.BadReversePath, smtptest.BadForwardPath, smtptest.NoFromTo} {
				z.reply(in, "")
			}
		}},
		{name: "-s R: postmaster alone may be sent", set: func(z *zmailer) {
			z.client.NextHops = []string{"[mx10.example.net]"}
			z.env = fromAnn("postmaster", "bob@example.net")
			z.server.Script = func(c smtptest.Command) smtptest.Action {
				if c.Verb == "RCPT" && !strings.Contains(c.Args, "@") && !strings.HasPrefix(c.Args, "TO:<postmaster>") {
					return smtptest.Action{Reply: "550 5.1.2 not qualified"}
				}
				return smtptest.Action{}
			}
		}, want: []string{"postmaster delivered data-done 2.0.0", deliveredBob}},
		{name: "-s S: brackets all the same", set: func(z *zmailer) { z.reply(smtptest.BadReversePath, "") }, check: func(z *zmailer, _ smtpclient.Report) {
			if !strings.Contains(z.heard(), "MAIL FROM:<ann@example.org>") {
				z.t.Errorf("said %q", z.heard())
			}
		}},
		{name: "-T: nothing on the wire", set: func(z *zmailer) {
			z.server.FakePeerAddr = &net.TCPAddr{IP: net.IPv4(198, 51, 100, 7), Port: 4711}
			z.server.Script = func(c smtptest.Command) smtptest.Action {
				if c.Remote.String() != "198.51.100.7:4711" {
					return smtptest.Action{Reply: "550 5.7.1 who are you?"}
				}
				return smtptest.Action{}
			}
		}},
		{name: "pattern: letters choose a profile", set: func(z *zmailer) {
			other := smtptest.ZMailerStrict()
			other.Extensions = append(other.Extensions, "VRFY", "EXPN")
			z.profile.Hellos = []smtptest.Hello{{Pattern: "*.example.com", Reply: "501 5.7.1 no"}, {Pattern: "client.*", Profile: &other}}
		}, check: func(z *zmailer, _ smtpclient.Report) {
			if _, ok := z.dial().Extension("VRFY"); ok {
				z.t.Error("a session with another name has what ours was offered")
			}
		}},
		{name: "pattern: !text refuses the name", set: func(z *zmailer) {
			z.profile.Hellos = []smtptest.Hello{{Pattern: "client.*", Reply: "501 5.7.1 go away, client"}}
		}, want: []string{deferredAtHello}, check: says("go away")},
	}
	for _, verdict := range []struct{ reply, outcome string }{
		{"250 2.1.0 fine", ""}, {"251 2.1.5 elsewhere", ""}, {"252 2.1.5 perhaps", ""}, {"255 2.1.5 an old one", ""},
		{"400 4.4.0 no router", "deferred %s 4.4.0"}, {"440 4.4.0 router asleep", "deferred %s 4.4.0"}, {"450 4.5.0 router lost", "deferred %s 4.5.0"},
		{"550-5.7.1 the script\n550 5.7.1 says no", "failed %s 5.7.1"}, {"559 5.9.9 odd", "failed %s 5.9.9"},
	} {
		for letter, verb := range map[string]string{"f": "MAIL", "t": "RCPT"} {
			p := position{name: "-s " + letter + ": " + verdict.reply[:3], set: func(z *zmailer) {
				z.at(verb, smtptest.Action{Reply: verdict.reply, Delay: 30 * time.Second})
			}}
			if verdict.outcome != "" {
				p.want = []string{"bob@example.net " + fmt.Sprintf(verdict.outcome, strings.ToLower(verb))}
				p.check = says(verdict.reply[strings.LastIndex(verdict.reply, " ")+1:])
			}
			list = append(list, p)
		}
	}
	for _, code := range []int{250, 251, 252, 502, 550, 553} {
		list = append(list,
			position{name: fmt.Sprintf("-s v: %d", code), set: only(func(z *zmailer) { z.at("VRFY", smtptest.Action{Reply: fmt.Sprint(code, " x")}) }), check: asks(vrfy, code)},
			position{name: fmt.Sprintf("-s e: %d", code), set: only(func(z *zmailer) { z.at("EXPN", smtptest.Action{Reply: fmt.Sprint(code, " x")}) }), check: asks(expn, code)})
	}
	return list
}

// noTLS has the client do without.
func (z *zmailer) noTLS() { z.client.TLS = tlspolicy.None }
