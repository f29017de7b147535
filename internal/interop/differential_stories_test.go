package interop

import (
	"bytes"
	"crypto/tls"
	"errors"
	"strings"

	"github.com/postrider/postrider/smtpclient/smtptest"
)

// Reasons that come more than once.
const (
	mayHaveIt     = "the end of the data was sent and no reply came that could be trusted: the server may have the message, and a queue that sends it again should know"
	notLastLine   = "the lines of one reply must have one code (RFC 5321, Section 4.2.1); Postfix believes the last, we none"
	outOfPlace    = "a code that belongs to another command shows that replies and commands are out of step; Postfix looks at its first digit, or fails the message for good"
	goingDown     = "what a server says before it goes counts for all whom it leaves (RFC 5321, Section 3.8); Postfix has only a lost connection for the others"
	oneByOne      = "too many recipients for one transaction (RFC 5321, Section 4.5.3.1.10): the rest go in the next on the same connection; Postfix leaves them to its queue, or fails them at 552"
	firstWord     = "a server that has refused before the end is not given the end; Postfix sends it, believes the first word and tries again what the server may have taken"
	retried       = "where TLS is not asked for, mail goes in plaintext at once when TLS fails; Postfix does so only with mail that has waited in its queue"
	serverNotMail = "a server that does not want to talk to us says nothing about the message, so nobody fails for it"
)

func greetings() []scenario {
	return []scenario{
		{name: "greeting 220 in two lines", hosts: one(acts{"Connect": reply("220-mx.example.net\n220 ESMTP")})},
		{name: "greeting 451", hosts: one(acts{"Connect": reply("451 4.3.2 not now")})},
		{name: "greeting 554", hosts: one(acts{"Connect": reply("554 5.7.1 no service for you")})},
		{name: "greeting 421", hosts: one(acts{"Connect": reply("421 4.3.2 too busy")})},
		{name: "greeting closed", hosts: one(acts{"Connect": hangUp()})},
		{name: "greeting never comes", hosts: one(acts{"Connect": silence()})},
		{name: "greeting cut in its line", hosts: one(acts{"Connect": rawThen("220 mx.exa")})},
		{name: "greeting 354", hosts: one(acts{"Connect": reply("354 go ahead")}), because: serverNotMail},
		{name: "greeting 250", hosts: one(acts{"Connect": reply("250 mx.example.net")}), because: outOfPlace},
		{name: "greeting of a web server", hosts: one(acts{"Connect": rawThen("HTTP/1.1 400 Bad Request\r\n\r\n")}),
			because: "Postfix waits for a line with a code until the connection is lost; we know at the first line that this is no mail server"},
		{name: "greeting and a reply that nobody asked for", hosts: one(acts{"Connect": reply("220 mx.example.net\n250 already")}),
			because: "a reply that nobody asked for would be taken for that to the next command, and so on; Postfix takes it so"},
	}
}

func hellos() []scenario {
	return []scenario{
		{name: "EHLO 500", hosts: one(acts{"EHLO": reply("500 what")})},
		{name: "EHLO 502", hosts: one(acts{"EHLO": reply("502 5.5.1 not here")})},
		{name: "EHLO 421", hosts: one(acts{"EHLO": reply("421 4.3.2 going down")})},
		{name: "EHLO 450", hosts: one(acts{"EHLO": reply("450 4.3.2 later")}),
			because: "a server that knows EHLO and wants us later is taken at its word; Postfix tries HELO"},
		{name: "EHLO 500 and HELO 450", hosts: one(acts{"EHLO": reply("500 what"), "HELO": reply("450 4.3.2 later")})},
		{name: "EHLO 550 and HELO 550", hosts: one(acts{"EHLO": reply("550 5.7.1 go away"), "HELO": reply("550 5.7.1 go away")}),
			because: serverNotMail},
		{name: "EHLO closed", hosts: one(acts{"EHLO": hangUp()}), because: "a server that hangs up at EHLO may know only HELO, and gets one more connection to show it"},
		{name: "EHLO 500 and HELO closed", hosts: one(acts{"EHLO": reply("500 what"), "HELO": hangUp()})},
		{name: "EHLO 500 and HELO never answered", hosts: one(acts{"EHLO": reply("500 what"), "HELO": silence()})},
		{name: "EHLO never answered", hosts: one(acts{"EHLO": silence()})},
		{name: "EHLO 250 then 550", hosts: one(acts{"EHLO": raw("250-mx.example.net\r\n550 no\r\n")}), because: notLastLine},
		{name: "EHLO 220", hosts: one(acts{"EHLO": reply("220 mx.example.net")}), because: outOfPlace},
		{name: "EHLO with a line that is no reply", hosts: one(acts{"EHLO": raw("250-mx.example.net\r\nwelcome\r\n250 SIZE\r\n")}),
			because: "Postfix skips what has no code"},
		{name: "SIZE too small", hosts: []host{{offers: []string{"SIZE 20"}}}},
		{name: "SIZE without a limit", hosts: []host{{offers: []string{"SIZE 0"}}}},
		{name: "8-bit to 8BITMIME", message: eightBit()},
		{name: "8-bit to a server without 8BITMIME", message: eightBit(), hosts: []host{{offers: []string{"PIPELINING"}}}},
		{name: "header in UTF-8 to SMTPUTF8", message: headerInUTF8(), hosts: []host{{offers: offered("SMTPUTF8")}}},
		{name: "header in UTF-8 to a server without SMTPUTF8", message: headerInUTF8()},
		{name: "first host without SMTPUTF8", message: headerInUTF8(), hosts: []host{{}, {offers: offered("SMTPUTF8")}},
			because: "what one host cannot take another one can; Postfix fails the message at the first"},
	}
}

func headerInUTF8() []byte {
	return []byte("From: Ann <ann@example.org>\r\nSubject: gr\xc3\xbcn\r\n\r\nHello.\r\n")
}

func auths() []scenario {
	const login = "ann:secret"
	with := func(mechanisms string, a acts) []host {
		return []host{{does: a, offers: offered("AUTH " + mechanisms)}}
	}
	return []scenario{
		{name: "AUTH 235", login: login, hosts: with("PLAIN", acts{"AUTH": reply("235 2.7.0 welcome")})},
		{name: "AUTH 454", login: login, hosts: with("PLAIN", acts{"AUTH": reply("454 4.7.0 later")})},
		{name: "AUTH 535", login: login, hosts: with("PLAIN", acts{"AUTH": reply("535 5.7.8 wrong")})},
		{name: "AUTH 421", login: login, hosts: with("PLAIN", acts{"AUTH": reply("421 4.3.2 going down")})},
		{name: "AUTH closed", login: login, hosts: with("PLAIN", acts{"AUTH": hangUp()})},
		{name: "AUTH never answered", login: login, hosts: with("PLAIN", acts{"AUTH": silence()})},
		{name: "AUTH 334 without end", login: login, hosts: with("PLAIN", acts{"AUTH": reply("334 "), "AuthResponse": reply("334 ")})},
		{name: "AUTH by a mechanism that nobody knows", login: login, hosts: with("X-NOTHING", nil)},
		{name: "AUTH not offered", login: login,
			because: "a credential was configured for this server: without it we would be a stranger there, and whoever strikes AUTH out would have the mail; Postfix sends as a stranger"},
		{name: "first host 535 to AUTH", login: login, hosts: []host{
			{does: acts{"AUTH": reply("535 5.7.8 wrong")}, offers: offered("AUTH PLAIN")}, {does: acts{"AUTH": reply("235 2.7.0 welcome")}, offers: offered("AUTH PLAIN")}}},
	}
}

func eightBit() []byte {
	return []byte("From: Ann <ann@example.org>\r\nSubject: 8-bit\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngr\xc3\xbcn\r\n")
}

func startTLSes() []scenario {
	with := func(a acts) []host { return []host{{does: a, offers: offered("STARTTLS")}} }
	return []scenario{
		{name: "STARTTLS works", hosts: with(nil)},
		{name: "STARTTLS not offered", hosts: one(nil)},
		{name: "STARTTLS 454", hosts: with(acts{"STARTTLS": reply("454 4.7.0 no key today")})},
		{name: "STARTTLS 502", hosts: with(acts{"STARTTLS": reply("502 5.5.1 not really")})},
		{name: "STARTTLS 421", hosts: with(acts{"STARTTLS": reply("421 4.3.2 going down")}), because: goingDown},
		{name: "STARTTLS 250", hosts: with(acts{"STARTTLS": reply("250 2.0.0 fine")}), because: outOfPlace},
		{name: "STARTTLS closed", hosts: with(acts{"STARTTLS": hangUp()})},
		{name: "STARTTLS not offered, required", tls: "encrypt", hosts: one(nil)},
		{name: "STARTTLS 454, required", tls: "encrypt", hosts: with(acts{"STARTTLS": reply("454 4.7.0 no key today")})},
		{name: "STARTTLS 502, required", tls: "encrypt", hosts: with(acts{"STARTTLS": reply("502 5.5.1 not really")}), because: serverNotMail},
		{name: "STARTTLS 220 and plaintext behind it", hosts: with(acts{"STARTTLS": raw("220 go ahead\r\n250 injected\r\n")}),
			because: "Postfix throws the plaintext away; to us it is an attack, and the session ends (RFC 3207, Section 6)"},
		{name: "STARTTLS 220 then closed", hosts: insteadOfTLS(), because: retried},
		{name: "STARTTLS 220 then closed, required", tls: "encrypt", hosts: insteadOfTLS()},
		{name: "STARTTLS handshake refused", hosts: []host{{offers: offered("STARTTLS"), tls: refusing()}}, because: retried},
		{name: "STARTTLS handshake refused, required", tls: "encrypt", hosts: []host{{offers: offered("STARTTLS"), tls: refusing()}}},
		{name: "certificate that nobody trusts", hosts: with(nil)},
		{name: "certificate that nobody trusts, verify", tls: "verify", hosts: with(nil)},
		{name: "certificate that nobody trusts, secure", tls: "secure", hosts: with(nil)},
		{name: "STARTTLS works, then closed at EHLO", hosts: insideTLS()},
		{name: "STARTTLS works, then closed at EHLO, required", tls: "encrypt", hosts: insideTLS()},
	}
}

// insteadOfTLS is a host that hangs up when it should begin with TLS.
func insteadOfTLS() []host {
	const goAhead = "220 2.0.0 go ahead"
	return []host{{offers: offered("STARTTLS"), does: acts{"STARTTLS": reply(goAhead)},
		cuts: []smtptest.Cut{{Verb: "STARTTLS", After: int64(len(goAhead + "\r\n")), Action: hangUp()}}}}
}

// insideTLS is a host that hangs up at the first command in TLS.
func insideTLS() []host {
	return []host{{offers: offered("STARTTLS"), cuts: []smtptest.Cut{{Verb: "STARTTLS", FromClient: true, After: 1, Action: hangUp()}}}}
}

// refusing answers every ClientHello with an alert.
func refusing() *tls.Config {
	return &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return nil, errors.New("no TLS today")
	}}
}

func envelopes() []scenario {
	two, three := []string{"a", "b"}, []string{"a", "b", "c"}
	return []scenario{
		{name: "MAIL 451", hosts: one(acts{"MAIL": reply("451 4.3.0 later")})},
		{name: "MAIL 452", hosts: one(acts{"MAIL": reply("452 4.3.1 disk full")})},
		{name: "MAIL 550", hosts: one(acts{"MAIL": reply("550 5.7.1 not from you")}), to: two},
		{name: "MAIL 552", hosts: one(acts{"MAIL": reply("552 5.3.4 too big")})},
		{name: "MAIL 555", hosts: one(acts{"MAIL": reply("555 5.5.4 unknown parameter")})},
		{name: "MAIL 421", hosts: one(acts{"MAIL": reply("421 4.3.2 going down")}), to: two},
		{name: "MAIL 550 then closed", hosts: one(acts{"MAIL": then("550 5.7.1 not from you")}), to: two},
		{name: "MAIL 550 then closed, lockstep", hosts: []host{{offers: lockstep(), does: acts{"MAIL": then("550 5.7.1 not from you")}}}},
		{name: "MAIL never answered, lockstep", hosts: []host{{offers: lockstep(), does: acts{"MAIL": silence()}}}},
		{name: "MAIL reply left out", hosts: one(acts{"MAIL": silence()}), because: outOfPlace},
		{name: "MAIL closed", hosts: one(acts{"MAIL": hangUp()})},
		{name: "MAIL 354", hosts: one(acts{"MAIL": reply("354 go ahead")}), because: outOfPlace},
		{name: "MAIL 235", hosts: one(acts{"MAIL": reply("235 2.7.0 logged in")}), because: outOfPlace},
		{name: "MAIL 250 in two lines of different code", hosts: one(acts{"MAIL": raw("250-ok\r\n550 no\r\n")}), because: notLastLine},
		{name: "XFORWARD refused", args: []string{"-xforward", "NAME=x.example.net"}, hosts: []host{{does: acts{"XFORWARD": reply("550 5.7.1 not you")}, offers: offered("XFORWARD NAME ADDR PROTO HELO")}}},
		{name: "XFORWARD closed", args: []string{"-xforward", "NAME=x.example.net"}, hosts: []host{{does: acts{"XFORWARD": hangUp()}, offers: offered("XFORWARD NAME ADDR PROTO HELO")}}},
		{name: "RCPT 550 of three", hosts: one(acts{"RCPT b": reply("550 5.1.1 no such user")}), to: three},
		{name: "RCPT 450 of three", hosts: one(acts{"RCPT b": reply("450 4.2.1 try later")}), to: three},
		{name: "RCPT 450 and 550", hosts: one(acts{"RCPT a": reply("450 4.2.1 try later"), "RCPT b": reply("550 5.1.1 no such user")}), to: two},
		{name: "RCPT 550 without enhanced code", hosts: one(acts{"RCPT": reply("550 no such user")})},
		{name: "RCPT 550 with a code of another class", hosts: one(acts{"RCPT": reply("550 4.1.1 no such user")})},
		{name: "RCPT 251", hosts: one(acts{"RCPT": reply("251 2.1.5 will forward")})},
		{name: "RCPT 252", hosts: one(acts{"RCPT": reply("252 2.1.5 cannot tell")})},
		{name: "RCPT 552 for the only one", hosts: one(acts{"RCPT": reply("552 5.2.2 mailbox full")})},
		{name: "RCPT 452 for the only one", hosts: one(acts{"RCPT": reply("452 4.2.2 mailbox full")})},
		{name: "RCPT 452 behind an accepted one", hosts: one(acts{"RCPT b": reply("452 4.2.2 mailbox full")}), to: two},
		{name: "RCPT 552 behind an accepted one", hosts: one(acts{"RCPT b": reply("552 5.2.2 mailbox full")}), to: two},
		{name: "RCPT one at a time, 452", hosts: []host{{recalls: oneAtATime("452 4.5.3 too many recipients")}}, to: three, because: oneByOne},
		{name: "RCPT one at a time, 552", hosts: []host{{recalls: oneAtATime("552 too many recipients")}}, to: three, because: oneByOne},
		{name: "RCPT 421 behind an accepted one", hosts: one(acts{"RCPT b": reply("421 4.3.2 going down")}), to: three, because: goingDown},
		{name: "RCPT 550 and then 421", hosts: one(acts{"RCPT a": reply("550 5.1.1 no such user"), "RCPT b": reply("421 4.3.2 going down")}), to: three, because: goingDown},
		{name: "RCPT 554 then closed", hosts: one(acts{"RCPT": then("554 5.7.1 you are listed")})},
		{name: "RCPT reply left out", hosts: one(acts{"RCPT": silence()}), because: outOfPlace},
		{name: "RCPT one of two never answered, lockstep", to: []string{"a", "b"}, hosts: []host{{offers: lockstep(), does: acts{"RCPT b": silence()}}}},
		{name: "RCPT closed", hosts: one(acts{"RCPT b": hangUp()}), to: two},
		{name: "RCPT 354", hosts: one(acts{"RCPT": reply("354 go ahead")}), because: outOfPlace},
		{name: "RCPT 550 and DATA 354", hosts: one(acts{"RCPT": reply("550 5.1.1 no such user"), "DATA": reply("354 go ahead")}), to: two},
		{name: "RCPT 550 and DATA 354, the dot accepted", hosts: one(acts{"RCPT": reply("550 5.1.1 no such user"),
			"DATA": reply("354 go ahead"), "EndOfData": reply("250 2.0.0 an empty message")})},
		{name: "RCPT 550 and DATA closed", hosts: one(acts{"RCPT": reply("550 5.1.1 no such user"), "DATA": hangUp()})},
	}
}

// oneAtATime takes one recipient in a transaction and refuses those behind it.
func oneAtATime(refusal string) func() func(smtptest.Command) smtptest.Action {
	return func() func(smtptest.Command) smtptest.Action {
		taken := 0
		return func(c smtptest.Command) smtptest.Action {
			switch c.Verb {
			case "MAIL":
				taken = 0
			case "RCPT":
				taken++
			}
			if c.Verb == "RCPT" && taken > 1 {
				return reply(refusal)
			}
			return smtptest.Action{}
		}
	}
}

func datas() []scenario {
	two := []string{"a", "b"}
	return []scenario{
		{name: "DATA 451", hosts: one(acts{"DATA": reply("451 4.3.0 later")})},
		{name: "DATA 554", hosts: one(acts{"DATA": reply("554 5.7.1 no")}), to: two},
		{name: "DATA 503", hosts: one(acts{"DATA": reply("503 5.5.1 bad sequence")})},
		{name: "DATA 554 and a recipient 450", hosts: one(acts{"RCPT b": reply("450 4.2.1 try later"), "DATA": reply("554 5.7.1 no")}), to: two},
		{name: "DATA 421", hosts: one(acts{"DATA": reply("421 4.3.2 going down")})},
		{name: "DATA 250", hosts: one(acts{"DATA": reply("250 2.0.0 ok")}), because: outOfPlace},
		{name: "DATA closed", hosts: one(acts{"DATA": hangUp()})},
		{name: "DATA never answered", hosts: one(acts{"DATA": silence()})},
		{name: "DATA 354 cut in its line", hosts: one(acts{"DATA": rawThen("354 go")})},
		{name: "content closed", message: large(), hosts: at(midway(hangUp()))},
		{name: "content 550 then closed", message: large(), hosts: at(midway(then("550 5.7.1 spam")))},
		{name: "content 451 then closed", message: large(), hosts: at(midway(then("451 4.3.1 disk full")))},
		{name: "content 250 then closed", message: large(), hosts: at(midway(then("250 2.0.0 enough"))), because: "nobody can accept what has not been sent to its end; Postfix takes the reply for that to its final dot, and the message is lost"},
		{name: "content 451, then refused at the dot", message: large(), hosts: early("451 4.3.1 disk full", "451 4.3.1 disk full")},
		{name: "content 451, then accepted at the dot", message: large(), hosts: early("451 4.3.1 disk full", "250 2.0.0 ok"), because: firstWord},
		{name: "content 550, then accepted at the dot", message: large(), hosts: early("550 5.7.1 spam", "250 2.0.0 ok"), because: firstWord},
		{name: "content 250, then accepted at the dot", message: large(), hosts: early("250 2.0.0 enough", "250 2.0.0 ok"), because: outOfPlace},
		{name: "content 550 then closed, all sent", hosts: at(midway(then("550 5.7.1 spam")))},
	}
}

// midway is when some of the content has come.
func midway(a smtptest.Action) smtptest.Cut {
	return smtptest.Cut{Verb: "DATA", FromClient: true, After: 30, Action: a}
}

// early is a host that speaks midway and reads on.
func early(word, final string) []host {
	return []host{{does: acts{"EndOfData": reply(final)}, cuts: []smtptest.Cut{midway(reply(word))}}}
}

// large is more than a client can write ahead of a server that does not read on:
// a socket's buffers hold 4 MiB on the way out at most, and not 1 MiB on the way in
// before anything is read there.
func large() []byte {
	return body("large", string(bytes.Repeat([]byte(strings.Repeat("x", 70)+"\r\n"), (6<<20)/72)))
}

func finalReplies() []scenario {
	two := []string{"a", "b"}
	dot := func(a smtptest.Action) []host { return one(acts{"EndOfData": a}) }
	return []scenario{
		{name: "final 250", hosts: dot(reply("250 2.0.0 ok")), to: two},
		{name: "final 250, lockstep", hosts: []host{{offers: lockstep()}}, to: two},
		{name: "final 250 then closed", hosts: dot(then("250 2.0.0 ok"))},
		{name: "final 250 in two lines", hosts: dot(reply("250-2.0.0 thank\n250 2.0.0 you"))},
		{name: "final 250 with a bare LF", hosts: dot(raw("250 2.0.0 ok\n"))},
		{name: "final 250, QUIT closed", hosts: one(acts{"QUIT": hangUp()})},
		{name: "final 250, QUIT 500", hosts: one(acts{"QUIT": reply("500 5.5.1 no")})},
		{name: "final 250, QUIT never answered", hosts: one(acts{"QUIT": silence()})},
		{name: "final 250 and nothing else", hosts: dot(raw("250\r\n"))},
		{name: "final 259", hosts: dot(reply("259 fine"))},
		{name: "final 451", hosts: dot(reply("451 4.3.0 later")), to: two},
		{name: "final 452", hosts: dot(reply("452 4.3.1 disk full"))},
		{name: "final 554", hosts: dot(reply("554 5.6.0 not this")), to: two},
		{name: "final 552", hosts: dot(reply("552 5.3.4 too big"))},
		{name: "final 421", hosts: dot(reply("421 4.3.2 going down"))},
		{name: "final 499", hosts: dot(reply("499 odd"))},
		{name: "final reply never comes", hosts: one(acts{"EndOfData": silence(), "QUIT": silence()}), because: mayHaveIt},
		{name: "final reply closed", hosts: dot(hangUp()), because: mayHaveIt},
		{name: "final reply closed, lockstep", hosts: []host{{offers: lockstep(), does: acts{"EndOfData": hangUp()}}}, because: mayHaveIt},
		{name: "final reply reset", hosts: dot(smtptest.Action{Fault: smtptest.Reset}), because: mayHaveIt},
		{name: "final 250 cut in its line", hosts: dot(rawThen("250 2.0.0 o")), because: mayHaveIt},
		{name: "final 250 cut between its lines", hosts: dot(rawThen("250-2.0.0 queued\r\n")), because: mayHaveIt},
		{name: "final 451 cut in its line", hosts: dot(rawThen("451 4.3.0 la")), because: mayHaveIt},
		{name: "final 221", hosts: dot(reply("221 2.0.0 bye")), because: mayHaveIt},
		{name: "final 354", hosts: dot(reply("354 go ahead")), because: mayHaveIt},
		{name: "final 550 then 250", hosts: dot(raw("550-5.7.1 no\r\n250 2.0.0 ok\r\n")), because: mayHaveIt},
		{name: "final 250 then 550", hosts: dot(raw("250-2.0.0 ok\r\n550 5.7.1 no\r\n")), because: mayHaveIt},
		{name: "final line that is no reply, then 250", hosts: dot(raw("?SYNTAX ERROR\r\n250 2.0.0 ok\r\n")), because: mayHaveIt},
		{name: "final line that is no reply, then closed", hosts: dot(rawThen("?SYNTAX ERROR\r\n")), because: mayHaveIt},
		{name: "final line that is no reply, then 221", hosts: dot(smtptest.Action{Fault: smtptest.Garbage}), because: mayHaveIt},
		{name: "final empty line, then 250", hosts: dot(raw("\r\n250 2.0.0 ok\r\n")), because: mayHaveIt},
		{name: "final reply left out, QUIT answered", hosts: dot(silence()), because: mayHaveIt},
	}
}

func secondHosts() []scenario {
	two := []string{"a", "b"}
	twice := "Postfix sends it to the next host at once, so that both have it; we do not send again what may have been taken"
	return []scenario{
		{name: "first host refuses connections", hosts: []host{{off: true}, {}}},
		{name: "only host refuses connections", hosts: []host{{off: true}}},
		{name: "first host greets 554", hosts: andSecond(acts{"Connect": reply("554 5.7.1 no service for you")})},
		{name: "first host never greets", hosts: andSecond(acts{"Connect": silence()})},
		{name: "first host 550 to HELO", hosts: andSecond(acts{"EHLO": reply("550 5.7.1 go away"), "HELO": reply("550 5.7.1 go away")}),
			because: serverNotMail},
		{name: "first host 502 to STARTTLS, required", tls: "encrypt",
			hosts:   []host{{offers: offered("STARTTLS"), does: acts{"STARTTLS": reply("502 5.5.1 not really")}}, {offers: offered("STARTTLS")}},
			because: serverNotMail},
		{name: "first host too small", hosts: []host{{offers: []string{"SIZE 20"}}, {}}},
		{name: "first host 451 to MAIL", hosts: andSecond(acts{"MAIL": reply("451 4.3.0 later")})},
		{name: "first host 550 to MAIL", hosts: andSecond(acts{"MAIL": reply("550 5.7.1 not from you")})},
		{name: "first host 450 to one recipient", hosts: andSecond(acts{"RCPT b": reply("450 4.2.1 try later")}), to: two},
		{name: "first host 550 to one recipient", hosts: andSecond(acts{"RCPT b": reply("550 5.1.1 no such user")}), to: two},
		{name: "first host closes at the second RCPT", hosts: andSecond(acts{"RCPT b": hangUp()}), to: two},
		{name: "first host closes at DATA", hosts: andSecond(acts{"DATA": hangUp()})},
		{name: "first host 250 to DATA", hosts: andSecond(acts{"DATA": reply("250 2.0.0 ok")}), because: outOfPlace},
		{name: "first host 550 midway, closed", message: large(),
			hosts: []host{{cuts: []smtptest.Cut{midway(then("550 5.7.1 spam"))}}, {}}},
		{name: "first host closes midway", message: large(), hosts: []host{{cuts: []smtptest.Cut{midway(hangUp())}}, {}}},
		{name: "first host 451 to the dot", hosts: andSecond(acts{"EndOfData": reply("451 4.3.0 later")})},
		{name: "first host 421 to the dot", hosts: andSecond(acts{"EndOfData": reply("421 4.3.2 going down")})},
		{name: "first host 554 to the dot", hosts: andSecond(acts{"EndOfData": reply("554 5.6.0 not this")})},
		{name: "first host closes after the dot", hosts: andSecond(acts{"EndOfData": hangUp()}), because: twice},
		{name: "first host silent after the dot", hosts: andSecond(acts{"EndOfData": silence(), "QUIT": silence()}), because: twice},
		{name: "first host cut in its final 250", hosts: andSecond(acts{"EndOfData": rawThen("250 2.0.0 o")}), because: twice},
		{name: "both hosts 421 to the dot", hosts: []host{
			{does: acts{"EndOfData": reply("421 4.3.2 going down")}}, {does: acts{"EndOfData": reply("421 4.3.2 going down")}}}},
		{name: "both hosts close after the dot", hosts: []host{
			{does: acts{"EndOfData": hangUp()}}, {does: acts{"EndOfData": hangUp()}}}, because: twice},
	}
}

func lmtps() []scenario {
	two, three := []string{"a", "b"}, []string{"a", "b", "c"}
	return []scenario{
		{name: "LMTP all delivered", hosts: one(nil), to: three},
		{name: "LMTP greeting 421", hosts: one(acts{"Connect": reply("421 4.3.2 too busy")})},
		{name: "LMTP LHLO 451", hosts: one(acts{"LHLO": reply("451 4.3.2 later")})},
		{name: "LMTP LHLO closed", hosts: one(acts{"LHLO": hangUp()})},
		{name: "LMTP LHLO never answered", hosts: one(acts{"LHLO": silence()})},
		{name: "LMTP LHLO 500", hosts: one(acts{"LHLO": reply("500 what")}), because: serverNotMail},
		{name: "LMTP mixed replies", hosts: one(acts{"EndOfData b": reply("452 4.2.2 full"), "EndOfData c": reply("550 5.2.1 off")}), to: three},
		{name: "LMTP replies around a refused recipient", hosts: one(acts{"RCPT b": reply("550 5.1.1 no such user"), "EndOfData c": reply("452 4.2.2 full")}), to: three},
		{name: "LMTP closed after the first reply", hosts: one(acts{"EndOfData b": hangUp()}), to: two, because: mayHaveIt},
		{name: "LMTP second reply cut", hosts: one(acts{"EndOfData b": rawThen("250 2.0.0 o")}), to: three, because: mayHaveIt},
		{name: "LMTP second reply left out, then 221", hosts: one(acts{"EndOfData b": silence()}), to: two, because: mayHaveIt},
		{name: "LMTP second reply never comes", hosts: one(acts{"EndOfData b": silence(), "QUIT": silence()}), to: two, because: mayHaveIt},
		{name: "LMTP a reply too many", hosts: one(acts{"EndOfData b": {Fault: smtptest.Twice}}), to: two},
		{name: "LMTP 421 as the second reply", hosts: one(acts{"EndOfData b": reply("421 4.3.2 going down")}), to: three, because: mayHaveIt},
		{name: "LMTP 354 as the second reply", hosts: one(acts{"EndOfData b": reply("354 go ahead")}), to: two, because: mayHaveIt},
		{name: "LMTP all recipients refused", hosts: one(acts{"RCPT": reply("550 5.1.1 no such user")}), to: two},
		{name: "LMTP all recipients refused, DATA 354", hosts: one(acts{"RCPT": reply("550 5.1.1 no such user"), "DATA": reply("354 go ahead")}), to: two},
		{name: "LMTP DATA 554", hosts: one(acts{"DATA": reply("554 5.7.1 no")}), to: two},
		{name: "LMTP all accepted, closed after the dot", hosts: one(acts{"EndOfData a": hangUp()}), to: two, because: mayHaveIt},
		{name: "LMTP all replies 5yz", hosts: one(acts{"EndOfData": reply("550 5.7.1 spam")}), to: two},
		{name: "LMTP DATA 451", hosts: one(acts{"DATA": reply("451 4.3.0 later")}), to: two},
	}
}
