package smtpclient_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// scripted has the server follow a script.
func scripted(s func(smtptest.Command) smtptest.Action) func(z *zmailer) {
	return func(z *zmailer) { z.server.Script = s }
}

// filtered has the content filter say something.
func filtered(a smtptest.Action) func(z *zmailer) {
	return func(z *zmailer) { z.at(smtptest.EndOfData, a) }
}

// zmailerVerdicts are sections 2e and 2f: greeting, help, policy, content, trace,
// ETRN, and what came later.
func zmailerVerdicts() []position {
	list := []position{
		{name: "hdr220: many lines", set: func(z *zmailer) {
			z.at(smtptest.Connect, smtptest.Action{Reply: "220-NAME\n220-\n220-no ESMTP in it\n220 +IDENT"})
		}},
		{name: "help: many lines", set: only(func(z *zmailer) {
			z.at("HELP", smtptest.Action{Reply: strings.Repeat("214-2.0.0 and so on\n", 40) + "214 2.0.0 and on"})
		}), check: asks(help, 214)},
		{name: "help: too many", set: only(func(z *zmailer) { z.at("HELP", smtptest.Action{Fault: smtptest.Huge}) }), check: func(z *zmailer, _ smtpclient.Report) {
			if _, err := z.dial().Help(z.t.Context(), ""); err == nil || !strings.Contains(err.Error(), "protocol error") {
				z.t.Errorf("got %v", err)
			}
		}},
		{name: "policydb: our network is rejected", set: scripted(smtptest.RejectNetwork), want: []string{deferredBob + "greeting 4.7.1"}, check: says("your network")},
		{name: "policydb: and the next host does not mind", set: func(z *zmailer) {
			z.server.Script = smtptest.RejectNetwork
			z.mx(20, &smtptest.Server{})
		}},
		{name: "policydb: the sender is rejected", set: scripted(smtptest.RejectSender), want: []string{"bob@example.net failed mail 5.7.1"}},
		{name: "policydb: the sender's DNS", set: func(z *zmailer) { z.at("MAIL", smtptest.Action{Reply: "451 4.4.3 no DNS"}) }, want: []string{deferredBob + "mail 4.4.3"}},
		{name: "policydb: the sender's domain", set: func(z *zmailer) { z.at("MAIL", smtptest.Action{Reply: "553 5.4.3 no such domain"}) }, want: []string{"bob@example.net failed mail 5.4.3"}},
		{name: "policydb: no relaying", set: func(z *zmailer) {
			z.server.Script = smtptest.RelayDenied("example.net")
			z.client.NextHops = []string{"[mx10.example.net]"}
			z.env = fromAnn("bob@example.net", "carol@example.org")
		}, want: []string{deliveredBob, "carol@example.org failed rcpt 5.7.1"}},
		{name: "policydb: greylisting", set: scripted(smtptest.Greylist(5 * time.Minute)), want: []string{deferredBob + "rcpt 4.7.1"}, check: func(z *zmailer, _ smtpclient.Report) {
			time.Sleep(5 * time.Minute)
			expect(z.t, z.deliver(z.t.Context(), z.env, z.message), deliveredBob)
		}},
		{name: "policydb: a rate", set: scripted(smtptest.RateLimit(1, time.Hour)), check: func(z *zmailer, _ smtpclient.Report) {
			expect(z.t, z.deliver(z.t.Context(), fromAnn("carol@example.net"), z.message), "carol@example.net deferred mail 4.7.1")
		}},
		{name: "policydb: frozen, which looks accepted"},
		{name: "policydb: missing", set: func(z *zmailer) { *z.profile = smtptest.BrokenPolicyDB() }, want: []string{deferredBob + "greeting 4.0.0"}, check: silentAbout("MAIL")},
		{name: "policydb: no configuration at all", set: func(z *zmailer) { *z.profile = smtptest.Unconfigured() }, want: []string{deferredBob + "greeting 4.4.2"}},
		{name: "contentfilter: accepts", set: filtered(smtptest.Action{Reply: "250 2.6.0 S12 fine"}), want: []string{"bob@example.net delivered data-done 2.6.0"}},
		{name: "contentfilter: freezes, after a while", set: filtered(smtptest.Action{Reply: "250 2.7.1 frozen", Delay: 4 * time.Minute}), want: []string{"bob@example.net delivered data-done 2.7.1"}},
		{name: "contentfilter: rejects", set: filtered(smtptest.Action{Reply: "552-5.7.1 this is\n552 5.7.1 no good"}), want: []string{"bob@example.net failed data-done 5.7.1"}, check: says("this is")},
		{name: "contentfilter: later", set: filtered(smtptest.Action{Reply: "451 4.7.1 later"}), want: []string{deferredBob + "data-done 4.7.1"}},
		{name: "contentfilter: stuck for two minutes", set: filtered(smtptest.Action{Delay: 2 * time.Minute})},
		{name: "contentfilter: lost", set: filtered(smtptest.Action{Fault: smtptest.Drop}), want: []string{"bob@example.net unknown data-done 4.4.2"}},
		{name: "contentfilter: lost, and no other host is tried", set: func(z *zmailer) {
			z.at(smtptest.EndOfData, smtptest.Action{Fault: smtptest.Reset})
			z.mx(20, &smtptest.Server{})
		}, want: []string{"bob@example.net unknown data-done 4.4.2"}},
		{name: "rcvd-ident, rcvd-whoson, rcvd-auth-user, rcvd-tls-mode, rcvd-tls-peer: our name is published", check: func(z *zmailer, _ smtpclient.Report) {
			if m := z.server.Messages()[0]; m.Client != "client.example.org" || m.With != "ESMTPS" {
				z.t.Errorf("%s with %s", m.Client, m.With)
			}
		}},
		{name: "allowsourceroute: off, none is sent", set: func(z *zmailer) {
			z.env = fromAnn("@relay.example.org:bob@example.net", "bob@example.net")
		}, want: []string{"@relay.example.org:bob@example.net failed input 5.1.3", deliveredBob}, check: silentAbout("relay.example.org")},
		{name: "allowsourceroute: on, none is sent", set: func(z *zmailer) {
			z.env = fromAnn("@relay.example.org:bob@example.net", "bob@example.net")
			z.profile.StripRoutes = false
			z.reply(smtptest.SourceRoute, "")
		}, want: []string{"@relay.example.org:bob@example.net failed input 5.1.3", deliveredBob}, check: silentAbout("relay.example.org")},
		{name: "allowsourceroute: a remark in the reply", set: func(z *zmailer) {
			z.at("RCPT", smtptest.Action{Reply: "250 2.1.5 ok, without its source route"})
		}},
		{name: "reject-percent-kludge", set: func(z *zmailer) {
			z.env = fromAnn("bob%example.org@example.net")
			z.at("RCPT", smtptest.Action{Reply: "550 5.7.1 no relaying"})
		}, want: []string{"bob%example.org@example.net failed rcpt 5.7.1"}},
		{name: "etrn-cluster: line by line", set: only(func(z *zmailer) {
			z.at("ETRN", smtptest.Action{Reply: "250-node a\n250-node b\n250-node c\n250 all", Delay: time.Minute, Fault: smtptest.Trickle})
		}), check: asks(etrn, 250)},
		{name: "SEND, SOML, SAML, EMAL: never", check: silentAbout("SEND", "SOML", "SAML", "EMAL")},
		{name: "550: we never say what a server says", set: func(z *zmailer) { z.at("RCPT", smtptest.Action{Reply: "550 5.1.1 nobody"}) },
			want: []string{"bob@example.net failed rcpt 5.1.1"}, check: silentAbout("550")},
		{name: "newgroup, BindSmtp, BindSmtpS, BindSubmit: a face for each port", set: func(z *zmailer) {
			msa := &smtptest.Server{Profile: smtptest.ZMailerMSA(), Passwords: map[string]string{"ann": thePassword}}
			z.net["192.0.2.10:587"] = msa
			z.env = fromAnn("bob@example.net")
			z.client.NextHops = []string{"[mx10.example.net]:587"}
			z.client.Auth, z.client.TLS = ann(), tlspolicy.Policy{Roots: msa.Roots()}
		}},
		{name: "*-OK: nothing on the wire"},
		{name: "force-rcpt-notify-never: asked for, and ignored", set: func(z *zmailer) { z.env.To[0].Notify = smtpclient.NotifySuccess }, check: func(z *zmailer, r smtpclient.Report) {
			if r.Outcomes[0].Owed != 0 {
				z.t.Errorf("owed %v, although the server took over", r.Outcomes[0].Owed)
			}
		}},
		{name: "contact-pointer-message: all of it is kept", set: func(z *zmailer) {
			z.at("RCPT", smtptest.Action{Reply: "550-5.7.1 call +1 555 0100\n550 5.7.1 no relaying"})
		}, want: []string{"bob@example.net failed rcpt 5.7.1"}, check: says("+1 555 0100")},
		{name: "lmtp-mode: on", set: func(z *zmailer) {
			z.server.Mode, z.server.Extensions = smtptest.LMTP, []string{}
			z.client.Protocol = smtpclient.LMTP
			z.client.NextHops = []string{"unix:/run/lmtp"}
			z.net["/run/lmtp"] = z.server
			delete(z.net, "192.0.2.10:25")
			z.env = fromAnn("bob@example.net", "nobody@example.net", "carol@example.net")
			z.server.Script = refusing("nobody@example.net", "550 5.1.1 nobody")
		}, want: []string{deliveredBob, "nobody@example.net failed rcpt 5.1.1", "carol@example.net delivered data-done 2.0.0"}},
		{name: "lmtp-mode: off, and asked for all the same", set: func(z *zmailer) {
			z.client.Protocol = smtpclient.LMTP
			z.client.NextHops = []string{"unix:/run/lmtp"}
			z.net["/run/lmtp"] = z.server
			delete(z.net, "192.0.2.10:25")
			z.unruly = true
			z.reply(smtptest.WrongProtocol, "550 5.5.2 unknown command")
		}, want: []string{deferredBob + "hello 4.5.2"}, check: silentAbout("EHLO", "MAIL")},
		{name: "spf-*: later", set: func(z *zmailer) { z.at("MAIL", smtptest.Action{Reply: "451 4.7.1 SPF has no answer"}) }, want: []string{deferredBob + "mail 4.7.1"}},
		{name: "spf-*: no", set: func(z *zmailer) { z.at("MAIL", smtptest.Action{Reply: "550 5.7.1 SPF says no"}) }, want: []string{"bob@example.net failed mail 5.7.1"}},
		{name: "perl-hook: any verdict", set: func(z *zmailer) { z.at("RCPT", smtptest.Action{Reply: "571 5.7.1 perl says no"}) }, want: []string{"bob@example.net failed rcpt 5.7.1"}},
		{name: "tracking-cluster, report-auth-file, Z-REPORT: never", check: silentAbout("Z-REPORT")},
		{name: "sum-sizeoption-value: a later recipient has no room", set: func(z *zmailer) {
			z.profile.Limits.Space, z.profile.Limits.SpaceEach = int64(len(hello))+20, true
			z.env = fromAnn("bob@example.net", "carol@example.net")
		}, want: []string{deliveredBob, "carol@example.net deferred rcpt 4.3.1"}},
	}
	for _, code := range []int{250, 251, 252, 253, 452, 458, 459, 552} {
		list = append(list, position{name: fmt.Sprintf("ETRN: %d", code), set: only(func(z *zmailer) { z.at("ETRN", smtptest.Action{Reply: fmt.Sprint(code, " x")}) }), check: asks(etrn, code)})
	}
	return list
}
