package smtpclient_test

import (
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// zmailerVerbs is section 2c: verbs and extensions, on and off.
func zmailerVerbs() []position {
	list := []position{
		{name: "DEBUGcmd: a code never seen before", set: only(func(z *zmailer) { z.at("NOOP", smtptest.Action{Reply: "200 fine"}) }), check: asks(noop, 200)},
		{name: "VRFYcmd: on", set: only(func(z *zmailer) { z.with("VRFY"); z.at("VRFY", smtptest.Action{Reply: "250 <bob@example.net>"}) }), check: asks(vrfy, 250)},
		{name: "VRFYcmd: off", set: only(func(z *zmailer) { z.profile.Disabled = []string{"VRFY"} }), check: asks(vrfy, 550)},
		{name: "EXPNcmd: on", set: only(func(z *zmailer) {
			z.with("EXPN")
			z.at("EXPN", smtptest.Action{Reply: "250-<bob@example.net>\n250 <carol@example.net>"})
		}), check: asks(expn, 250)},
		{name: "EXPNcmd: off", set: only(func(z *zmailer) { z.profile.Disabled = []string{"EXPN"} }), check: asks(expn, 550)},
		{name: "enable-router: on", set: func(z *zmailer) { z.at("RCPT", smtptest.Action{Reply: "251 2.1.5 by script"}) }},
		{name: "enable-router: off"},
		{name: "NoEHLO: HELO is next", set: func(z *zmailer) { z.profile.Disabled = []string{"EHLO"}; z.profile.Limits.Unknown = 2 }, check: func(z *zmailer, _ smtpclient.Report) {
			if m := z.server.Messages()[0]; m.With != "SMTP" || m.FromArgs != "" || z.server.Sessions() != 1 {
				z.t.Errorf("%+v", m)
			}
		}},
		{name: "NoEHLO: and TLS is required", set: func(z *zmailer) {
			z.profile.Disabled = []string{"EHLO"}
			z.client.TLS = tlspolicy.Encrypt
		}, want: []string{deferredBob + "starttls 4.7.4"}, check: silentAbout("MAIL")},
		{name: "NoEHLO: and the connection drops", set: func(z *zmailer) { z.at("EHLO", smtptest.Action{Fault: smtptest.Drop}) }},
		{name: "No8BITMIME: 8-bit is converted", set: func(z *zmailer) {
			z.without("8BITMIME")
			z.message = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngr\u00fc\u00df\r\n"
			z.changed = true
		}, check: func(z *zmailer, _ smtpclient.Report) {
			m := z.server.Messages()[0]
			if slices.ContainsFunc(m.Data, func(b byte) bool { return b > 127 }) || strings.Contains(m.FromArgs, "BODY") {
				z.t.Errorf("%s %q", m.FromArgs, m.Data)
			}
		}},
		{name: "No8BITMIME: or refused, where the user wants that", set: func(z *zmailer) {
			z.without("8BITMIME")
			z.message = "Content-Type: text/plain; charset=utf-8\r\n\r\ngr\u00fc\u00df\r\n"
			z.client.Dialer = &smtpclient.Dialer{DialContext: z.net.DialContext, Rules: smtpclient.ContentRules{EightBit: smtpclient.Refuse}}
		}, want: []string{"bob@example.net failed mail 5.6.3"}},
		{name: "NoCHUNKING: no BDAT", set: func(z *zmailer) {
			z.without("CHUNKING")
			z.quirks(smtpclient.Quirks{Chunking: smtpclient.ChunkingAfter})
		}, check: silentAbout("BDAT")},
		{name: "NoDSN: no parameters, and the duty stays here", set: func(z *zmailer) {
			z.without("DSN")
			z.env.Return, z.env.EnvID = smtpclient.ReturnFull, "x"
			z.env.To[0].Notify, z.env.To[0].ORCPT = smtpclient.NotifySuccess, "rfc822;b@example.net"
		}, check: func(z *zmailer, r smtpclient.Report) {
			silentAbout("RET=", "ENVID=", "NOTIFY=", "ORCPT=")(z, r)
			if r.Outcomes[0].Owed&smtpclient.NotifySuccess == 0 || r.Outcomes[0].Action != "relayed" {
				z.t.Errorf("owed %v, action %s", r.Outcomes[0].Owed, r.Outcomes[0].Action)
			}
		}},
		{name: "NoETRN", set: only(func(z *zmailer) { z.without("ETRN"); z.profile.Disabled = []string{"ETRN"} }), check: func(z *zmailer, r smtpclient.Report) {
			if _, err := z.dial().Etrn(z.t.Context(), "example.org"); err == nil || !strings.Contains(err.Error(), "does not offer ETRN") {
				z.t.Errorf("got %v", err)
			}
			silentAbout("ETRN")(z, r)
		}},
		{name: "NoPIPELINING: one by one", set: func(z *zmailer) { z.without("PIPELINING"); z.profile.Pipelining = smtptest.Singly }},
		{name: "NoPIPELINING: where early input is thrown away", set: func(z *zmailer) {
			z.without("PIPELINING")
			z.profile.Pipelining = smtptest.DropInput
			z.server.Script = refusing("nobody@example.net", "550 5.1.1 nobody")
			z.env = fromAnn("nobody@example.net", "bob@example.net")
		}, want: []string{"nobody@example.net failed rcpt 5.1.1", deliveredBob}},
		{name: "NoPIPELINING: where early input closes the connection", set: func(z *zmailer) { z.without("PIPELINING"); z.profile.Pipelining = smtptest.CloseEarly }},
		{name: "no-multiline-replies: on", set: func(z *zmailer) {
			z.profile.Caret = false
			z.reply(smtptest.MailParameter, "501 5.5.4 no")
		}},
		{name: "no-multiline-replies: off, with a caret", set: only(func(z *zmailer) {
			z.profile.Disabled = []string{"NOOP"}
			z.reply(smtptest.UnknownCommand, "500 5.5.2 what?")
		}),
			check: func(z *zmailer, _ smtpclient.Report) {
				reply, err := z.dial().Noop(z.t.Context())
				if err == nil || len(reply.Lines) != 3 || !strings.Contains(reply.Lines[0], "^") {
					z.t.Errorf("%q, %v", reply.Lines, err)
				}
			}},
		{name: "HELP, SIZE: in any order", set: func(z *zmailer) { slices.Reverse(z.profile.Extensions) }},
		{name: "deliverby: offered", set: func(z *zmailer) {
			z.with("DELIVERBY 60")
			z.env.By = smtpclient.DeliverBy{Within: time.Hour, Return: true}
		}, check: func(z *zmailer, _ smtpclient.Report) {
			if !strings.Contains(z.heard(), " BY=3600;R") {
				z.t.Errorf("said %q", z.heard())
			}
		}},
		{name: "deliverby: an empty line behind a reply", set: func(z *zmailer) {
			z.with("DELIVERBY 60")
			z.env.By = smtpclient.DeliverBy{Within: time.Hour}
			z.at("MAIL", smtptest.Action{Raw: []byte("553 5.7.1 too soon\r\n\r\n")})
		}, want: []string{"bob@example.net failed mail 5.7.1"}},
		{name: "deliverby: an empty line before a reply", set: func(z *zmailer) { z.at("RCPT", smtptest.Action{Fault: smtptest.EmptyLine}) }, want: []string{deferredBob + "rcpt 4.5.0"}},
	}
	for _, param := range []string{"NoENHANCEDSTATUSCODES", "NoENHANCEDSTATUS"} {
		list = append(list,
			position{name: param + ": no codes", set: func(z *zmailer) { z.without("ENHANCEDSTATUSCODES") }},
			position{name: param + ": and a refusal", set: func(z *zmailer) {
				z.without("ENHANCEDSTATUSCODES")
				z.at("RCPT", smtptest.Action{Reply: "550 nobody here"})
			}, want: []string{"bob@example.net failed rcpt 5.0.0"}},
			position{name: param + ": off, and only some have one", set: func(z *zmailer) { z.profile.Enhanced = smtptest.EnhancedMixed }},
			position{name: param + ": off, and of the wrong class", set: func(z *zmailer) {
				z.profile.Enhanced = smtptest.EnhancedWrongClass
				z.reply(smtptest.TooManyRecipients, "550 5.1.1 nobody")
				z.server.Script = refusing("nobody@example.net", "550 2.1.1 nobody")
				z.env = fromAnn("nobody@example.net", "bob@example.net")
			}, want: []string{"nobody@example.net failed rcpt 5.0.0", deliveredBob}})
	}
	for name, code := range map[string]string{"500": "500 5.5.2 what?", "502": "502 5.5.1 not here", "550": "550 5.5.2 unknown command"} {
		list = append(list, position{name: "NoEHLO: " + name, set: func(z *zmailer) { z.at("EHLO", smtptest.Action{Reply: code}) }})
	}
	return list
}
