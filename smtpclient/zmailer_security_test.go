package smtpclient_test

import (
	"crypto/tls"
	"strings"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// loggedIn wants who has logged in, and that TLS was on.
func loggedIn(z *zmailer, r smtpclient.Report) {
	o := r.Outcomes[0]
	if o.Login != "ann" || o.TLS.Reached < tlspolicy.Encrypt {
		z.t.Errorf("logged in as %q, TLS %v", o.Login, o.TLS.Reached)
	}
}

// inPlaintext wants a message that came without TLS.
func inPlaintext(z *zmailer, _ smtpclient.Report) {
	if got := z.server.Messages(); len(got) != 1 || got[0].TLS != nil {
		z.t.Errorf("messages: %+v", got)
	}
}

// refuseLogin has the server answer a login so.
func refuseLogin(verb, reply string) func(z *zmailer) {
	return func(z *zmailer) {
		z.login()
		z.at(verb, smtptest.Action{Reply: reply})
	}
}

// zmailerSecurity is section 2d: AUTH, submission, TLS.
func zmailerSecurity() []position {
	verified := func(z *zmailer) { z.client.TLS = tlspolicy.Policy{Level: tlspolicy.Verify, Roots: z.server.Roots()} }
	return []position{
		{name: "smtp-auth: on", set: func(z *zmailer) { z.login() }, check: loggedIn},
		{name: "smtp-auth: off", set: func(z *zmailer) { z.login(); z.server.Passwords = nil }, want: []string{deferredBob + "auth 4.7.4"}, check: silentAbout("MAIL", "AUTH")},
		{name: "smtp-auth: AUTH= of MAIL", set: func(z *zmailer) { z.login(); z.env.Auth = "<>" }, check: func(z *zmailer, r smtpclient.Report) {
			if !strings.Contains(z.heard(), " AUTH=<>") {
				z.t.Errorf("said %q", z.heard())
			}
		}},
		{name: "AUTH-LOGIN-also-without-TLS: off", set: func(z *zmailer) { z.login(); z.without("STARTTLS") }, want: []string{deferredBob + "starttls 4.7.4"}, check: silentAbout("AUTH", "MAIL")},
		{name: "AUTH-LOGIN-also-without-TLS: on, and never used untold", set: func(z *zmailer) {
			z.login()
			z.without("STARTTLS")
			z.profile.AuthNeedsTLS = false
		}, want: []string{deferredBob + "starttls 4.7.4"}, check: silentAbout("AUTH", "MAIL")},
		{name: "AUTH-LOGIN-also-without-TLS: on, and allowed", set: func(z *zmailer) {
			z.login()
			z.without("STARTTLS")
			z.profile.AuthNeedsTLS = false
			c := ann()
			c.Channel = tlspolicy.None
			z.client.Auth, z.client.TLS = c, tlspolicy.None
			z.wires.open = true
		}, check: inPlaintext},
		{name: "MSA-mode: with a credential", set: func(z *zmailer) { *z.profile = smtptest.ZMailerMSA(); z.login() }, check: loggedIn},
		{name: "MSA-mode: without", set: func(z *zmailer) { *z.profile = smtptest.ZMailerMSA() }, want: []string{deferredBob + "mail 4.5.1"}, check: says("log in first")},
		{name: "SMTP-auth-pipe: slow", set: func(z *zmailer) { z.login(); z.at(smtptest.AuthResponse, smtptest.Action{Delay: 4 * time.Minute}) }, check: loggedIn},
		{name: "etc, pam.d: as ever", set: func(z *zmailer) { z.login() }, check: loggedIn},
		{name: "smtp-auth-username-prompt, smtp-auth-password-prompt: any text", set: func(z *zmailer) { z.login(); z.profile.Prompts = [2]string{"Password:", "Who are you?"} }, check: loggedIn},
		{name: "no-smtp-auth-on-25", set: refuseLogin("AUTH", "503 5.7.1 not on this port"), want: []string{deferredBob + "auth 4.7.1"}, check: silentAbout("MAIL")},
		{name: "auth-failrate", set: refuseLogin(smtptest.AuthResponse, "503 5.7.1 too many failures"), want: []string{deferredBob + "auth 4.7.1"}},
		{name: "cannot: decode", set: refuseLogin(smtptest.AuthResponse, "501 cannot decode"), want: []string{deferredBob + "auth 4.7.0"}},
		{name: "not: available", set: refuseLogin("AUTH", "503 5.3.3 AUTH not available"), want: []string{deferredBob + "auth 4.3.3"}},
		{name: "auth-failrate: SASL says later", set: refuseLogin(smtptest.AuthResponse, "454 4.5.4 later"), want: []string{deferredBob + "auth 4.5.4"}},
		{name: "auth-failrate: SASL says 500", set: refuseLogin(smtptest.AuthResponse, "500 5.7.0 failure"), want: []string{deferredBob + "auth 4.7.0"}},
		{name: "usetls, use-tls: on", check: func(z *zmailer, r smtpclient.Report) {
			if r.Outcomes[0].TLS.Reached != tlspolicy.Encrypt || strings.Count(z.heard(), "EHLO") != 2 {
				z.t.Errorf("%v after %q", r.Outcomes[0].TLS, z.heard())
			}
		}},
		{name: "usetls, use-tls: off", set: func(z *zmailer) { z.without("STARTTLS"); z.profile.Disabled = []string{"STARTTLS"} }, check: inPlaintext},
		{name: "usetls: off and required", set: func(z *zmailer) { z.without("STARTTLS"); z.client.TLS = tlspolicy.Encrypt }, want: []string{deferredBob + "starttls 4.7.4"}},
		{name: "usetls: the handshake fails", set: func(z *zmailer) { z.at("STARTTLS", smtptest.Action{Fault: smtptest.BreakTLS}) }, check: inPlaintext},
		{name: "usetls: the handshake fails and is required", set: func(z *zmailer) {
			z.at("STARTTLS", smtptest.Action{Fault: smtptest.BreakTLS})
			z.client.TLS = tlspolicy.Encrypt
		}, want: []string{deferredBob + "starttls 4.7.5"}, check: silentAbout("MAIL")},
		{name: "usetls: plaintext behind 220", set: func(z *zmailer) {
			z.at("STARTTLS", smtptest.Action{Raw: []byte("220 go\r\n250 injected\r\n")})
		}, want: []string{deferredBob + "starttls 4.7.0"}, check: silentAbout("MAIL")},
		{name: "usetls: 454", set: func(z *zmailer) { z.at("STARTTLS", smtptest.Action{Reply: "454 4.3.0 not now"}) }, check: inPlaintext},
		{name: "usetls: 501", set: func(z *zmailer) { z.at("STARTTLS", smtptest.Action{Reply: "501 5.1.3 junk"}) }, check: inPlaintext},
		{name: "usetls: 220, and then nothing of it", set: func(z *zmailer) { z.at("STARTTLS", smtptest.Action{After: time.Hour}); z.unruly = true }, check: inPlaintext},
		{name: "tls-CAfile, tls-CApath, tls-cert-file, tls-key-file: good", set: verified, check: func(z *zmailer, r smtpclient.Report) {
			if r.Outcomes[0].TLS.Reached != tlspolicy.Verify {
				z.t.Errorf("%v", r.Outcomes[0].TLS)
			}
		}},
		{name: "tls-cert-file: of another", set: func(z *zmailer) { z.server.Certificate.Names = []string{"other.example.org"}; verified(z) }, want: []string{deferredBob + "starttls 4.7.5"}},
		{name: "tls-cert-file: signed by itself", set: func(z *zmailer) { z.server.Certificate.SelfSigned = true; verified(z) }, want: []string{deferredBob + "starttls 4.7.5"}},
		{name: "tls-cert-file: out of date", set: func(z *zmailer) { z.server.Certificate.NotAfter = time.Now().Add(-time.Hour); verified(z) }, want: []string{deferredBob + "starttls 4.7.5"}},
		{name: "tls-loglevel: nothing on the wire"},
		{name: "tls-enforce-tls: on", set: func(z *zmailer) { z.profile.AuthNeedsTLS = false }},
		{name: "tls-enforce-tls: on, and we have none", set: func(z *zmailer) {
			z.noTLS()
			z.at("MAIL", smtptest.Action{Reply: "530 5.7.0 STARTTLS first"})
		}, want: []string{deferredBob + "mail 4.7.0"}, check: says("STARTTLS first")},
		{name: "tls-ask-cert: we have none", set: func(z *zmailer) { z.server.TLSConfig = &tls.Config{ClientAuth: tls.RequestClientCert} }},
		{name: "tls-require-cert: we have none", set: func(z *zmailer) {
			z.server.TLSConfig = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}
			z.client.TLS = tlspolicy.Encrypt
		}, want: []string{deferredBob + "starttls 4.7.5"}},
		{name: "tls-require-cert, tls-ccert-vd: we have one", set: func(z *zmailer) {
			z.server.TLSConfig = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
			z.client.TLS = tlspolicy.Encrypt
			z.client.Dialer = &smtpclient.Dialer{DialContext: z.net.DialContext, TLSConfig: &tls.Config{Certificates: []tls.Certificate{rsaCertificate(z.t)}}}
		}, check: func(z *zmailer, _ smtpclient.Report) {
			if state := z.server.Messages()[0].TLS; len(state.PeerCertificates) != 1 {
				z.t.Error("no certificate was shown")
			}
		}},
		{name: "tls-use-scache, tls-scache-timeout: resumed", set: func(z *zmailer) {
			z.client.Dialer = &smtpclient.Dialer{DialContext: z.net.DialContext, TLSConfig: &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(4)}}
		}, check: func(z *zmailer, _ smtpclient.Report) {
			r := z.deliver(z.t.Context(), fromAnn("carol@example.net"), z.message)
			if !r.Outcomes[0].TLS.Resumed {
				z.t.Error("the TLS session was not resumed")
			}
		}},
		{name: "listen-ssmtp", set: func(z *zmailer) {
			z.server.ImplicitTLS = true
			z.net["192.0.2.10:465"] = z.server
			delete(z.net, "192.0.2.10:25")
			z.client.NextHops = []string{"[mx10.example.net]:465"}
			z.client.TLS = tlspolicy.Policy{Level: tlspolicy.Verify, Roots: z.server.Roots()}
		}},
		{name: "outlook-tls-bug: a late greeting", set: func(z *zmailer) { z.at(smtptest.Connect, smtptest.Action{Delay: 2 * time.Second}) }},
		{name: "use-tcp-wrapper: closed", set: func(z *zmailer) {
			z.at(smtptest.Connect, smtptest.Action{Reply: "421 4.7.0 NAME not for you", Delay: 2 * time.Second})
		}, want: []string{deferredBob + "greeting 4.7.0"}},
	}
}
