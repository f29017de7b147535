package cuts

import (
	"crypto/tls"
	"strings"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// golden is a whole session that is cut everywhere.
type golden struct {
	name     string
	server   spec
	policy   tlspolicy.Policy
	mail     [][]string // local parts of the recipients of each message
	content  string     // "": a few lines
	quirks   smtpclient.Quirks
	login    bool
	pooled   bool // the messages share a Pool of one session, one after another
	together bool // all at once
	envelope func(*smtpclient.Envelope)
	want     string // of all recipients in order: d(elivered), D(eferred), f(ailed)
}

const short = "From: ann@example.org\r\nSubject: cut\r\n\r\n.dot\r\nbye\r\n"

// long fills several blocks and chunks: it is cut in steps.
var long = short + strings.Repeat("0123456789 0123456789 0123456789 0123456789\r\n", 2200)

// delay is that of replies where messages have to overlap.
func (g *golden) delay() time.Duration {
	if g.together {
		return 10 * time.Millisecond
	}
	return 0
}

func (g *golden) text() string {
	if g.content == "" {
		return short
	}
	return g.content
}

var (
	one   = [][]string{{"bob"}}
	three = [][]string{{"bob", "carol", "dave"}}
	turns = [][]string{{"bob"}, {"carol"}, {"dave"}}
)

func words(list string) []string { return strings.Fields(list) }

// inTLS are the kinds of channels inside TLS.
var inTLS = []struct {
	name   string
	offers string
	policy tlspolicy.Policy
}{
	{"STARTTLS", " STARTTLS", tlspolicy.Policy{Level: tlspolicy.Encrypt}},
	{"implicit TLS", "", tlspolicy.Policy{Level: tlspolicy.Encrypt, Implicit: true}},
}

// goldens are the sessions: products of what can be combined, and others that
// stand alone.
func goldens() (all []golden) {
	all = append(all, plain()...)
	all = append(all, refusals()...)
	all = append(all, stores()...)
	all = append(all, convoys()...)
	all = append(all, secured()...)
	return all
}

var ways = []struct {
	name, offers string
	quirks       smtpclient.Quirks
}{
	{"pipelined", "PIPELINING SIZE 8BITMIME", smtpclient.Quirks{}},
	{"lockstep", "8BITMIME", smtpclient.Quirks{}},
	{"BDAT", "PIPELINING CHUNKING", smtpclient.Quirks{Chunking: smtpclient.ChunkingAfter}},
	{"BDAT lockstep", "CHUNKING", smtpclient.Quirks{Chunking: smtpclient.ChunkingAfter}},
	{"BDAT grouped", "PIPELINING CHUNKING", smtpclient.Quirks{Chunking: smtpclient.ChunkingGrouped}},
}

// plain are sessions in which all goes well, or some recipients are refused.
func plain() (all []golden) {
	mixed := map[string]string{"RCPT bob": "550-5.1.1 no\n550 5.1.1 such user", "RCPT dave": "451 4.7.1 later"}
	for _, way := range ways {
		g := golden{quirks: way.quirks, server: spec{offers: words(way.offers)}}
		with := func(name string, mail [][]string, answers map[string]string, want string) {
			g.name, g.mail, g.want, g.server.answers = way.name+", "+name, mail, want, answers
			all = append(all, g)
		}
		with("one", one, nil, "d")
		with("three", three, nil, "ddd")
		with("mixed", three, mixed, "fdD")
		with("refused at the end", three, map[string]string{".": "554-5.7.1 spam\n554 5.7.1 really"}, "fff")
	}
	return all
}

// refusals are sessions that end early, or that go another way.
func refusals() []golden {
	pipelined, lockstep, helo := words("PIPELINING"), words("8BITMIME"), map[string]string{"EHLO": "502 5.5.1 no"}
	return []golden{
		{name: "turned away", mail: one, server: spec{answers: map[string]string{"greeting": "554-no\n554 service"}}, want: "D"},
		{name: "greeted by 421", mail: one, server: spec{answers: map[string]string{"greeting": "421 4.3.2 busy"}}, want: "D"},
		{name: "HELO", mail: three, server: spec{answers: helo}, want: "ddd"},
		{name: "MAIL refused", mail: three, server: spec{offers: pipelined, answers: map[string]string{"MAIL": "550 5.7.1 not you"}}, want: "fff"},
		{name: "MAIL refused, lockstep", mail: one, server: spec{offers: lockstep, answers: map[string]string{"MAIL": "451 4.7.1 later"}}, want: "D"},
		{name: "all refused", mail: three, server: spec{offers: pipelined, answers: map[string]string{"RCPT": "550 5.1.1 no"}}, want: "fff"},
		{name: "all refused, and 354", mail: three, server: spec{offers: pipelined, answers: map[string]string{"RCPT": "550 5.1.1 no", "empty": "354 go"}}, want: "fff"},
		{name: "DATA refused", mail: three, server: spec{offers: pipelined, answers: map[string]string{"DATA": "451 4.3.0 later"}}, want: "DDD"},
		{name: "DATA refused, lockstep", mail: one, server: spec{offers: lockstep, answers: map[string]string{"DATA": "554 5.3.0 no"}}, want: "f"},
		{name: "421 at RCPT", mail: three, server: spec{offers: pipelined, answers: map[string]string{"RCPT carol": "421 4.3.2 down"}}, want: "DDD"},
		{name: "421 at the end", mail: three, server: spec{offers: pipelined, answers: map[string]string{".": "421 4.3.2 down"}}, want: "DDD"},
		{name: "deferred at the end, lockstep", mail: one, server: spec{offers: lockstep, answers: map[string]string{".": "451 4.3.0 later"}}, want: "D"},
		{name: "too many", mail: three, server: spec{offers: pipelined, answers: map[string]string{"RCPT dave": "452 4.5.3 too many"}}, want: "ddD"},
		{name: "parameters", mail: three, server: spec{offers: []string{"PIPELINING", "SIZE 1000000", "8BITMIME", "DSN", "SMTPUTF8", "XFORWARD NAME ADDR"}},
			envelope: func(env *smtpclient.Envelope) {
				env.EnvID, env.Return, env.UTF8 = "cut", smtpclient.ReturnHeaders, true
				env.To[1].Notify = smtpclient.NotifyNever
				env.XForward = &smtpclient.ClientInfo{Name: "front.example.org"}
			}, want: "ddd"},
		{name: "long", mail: one, server: spec{offers: pipelined}, content: long, want: "d"},
		{name: "long, refused early", mail: three, server: spec{offers: pipelined, early: 70000, answers: map[string]string{"early": "552 5.3.4 too big"}}, content: long, want: "fff"},
		{name: "long, in chunks", mail: three, server: spec{offers: words("PIPELINING CHUNKING")}, content: long,
			quirks: smtpclient.Quirks{Chunking: smtpclient.ChunkingAfter, ChunkSize: 20000}, want: "ddd"},
		{name: "long, a chunk refused", mail: three, server: spec{offers: words("PIPELINING CHUNKING"), answers: map[string]string{"BDAT": "552 5.3.4 too big"}}, content: long,
			quirks: smtpclient.Quirks{Chunking: smtpclient.ChunkingAfter, ChunkSize: 20000}, want: "fff"},
	}
}

// stores are sessions of LMTP.
func stores() (all []golden) {
	for _, way := range ways {
		g := golden{quirks: way.quirks, server: spec{lmtp: true, offers: words(way.offers)}}
		with := func(name string, mail [][]string, answers map[string]string, want string) {
			g.name, g.mail, g.want, g.server.answers = "LMTP "+way.name+", "+name, mail, want, answers
			all = append(all, g)
		}
		with("one", one, nil, "d")
		with("three", three, map[string]string{". carol": "552-5.2.2 over\n552 5.2.2 quota", ". dave": "451 4.3.0 later"}, "dfD")
		with("two accepted", three, map[string]string{"RCPT carol": "550 5.1.1 no", ". dave": "550 5.7.1 no"}, "dff")
	}
	return append(all, golden{name: "LMTP all refused, and 354", mail: three, want: "fff",
		server: spec{lmtp: true, offers: words("PIPELINING"), answers: map[string]string{"RCPT": "550 5.1.1 no", "empty": "354 go"}}})
}

// convoys are several messages in one session, one after another or overlapped.
func convoys() (all []golden) {
	refused := map[string]string{". carol": "554 5.7.1 spam"}
	for _, way := range ways {
		all = append(all,
			golden{name: "reused " + way.name, mail: turns, pooled: true, quirks: way.quirks, server: spec{offers: words(way.offers)}, want: "ddd"},
			golden{name: "reused " + way.name + ", one refused", mail: turns, pooled: true, quirks: way.quirks, server: spec{offers: words(way.offers), answers: refused}, want: "dfd"})
	}
	pipelined := words("PIPELINING")
	return append(all,
		golden{name: "overlapped", mail: turns, pooled: true, together: true, server: spec{offers: pipelined}, want: "ddd"},
		golden{name: "overlapped, one refused", mail: turns, pooled: true, together: true, server: spec{offers: pipelined, answers: refused}, want: "dfd"},
		golden{name: "overlapped, MAIL refused", mail: turns, pooled: true, together: true, server: spec{offers: pipelined, answers: map[string]string{"RCPT carol": "450 4.2.1 later"}}, want: "dDd"},
		golden{name: "overlapped, three each", mail: [][]string{{"b1", "b2", "b3"}, {"c1", "c2", "c3"}}, pooled: true, together: true,
			server: spec{offers: pipelined, answers: map[string]string{"RCPT b2": "550 5.1.1 no", "RCPT c1": "550 5.1.1 no"}}, want: "dfdfdd"},
		golden{name: "LMTP reused", mail: turns, pooled: true, server: spec{lmtp: true, offers: pipelined, answers: refused}, want: "dfd"},
		golden{name: "LMTP overlapped", mail: turns, pooled: true, together: true, server: spec{lmtp: true, offers: pipelined, answers: refused}, want: "dfd"},
		golden{name: "LMTP overlapped, three each", mail: [][]string{{"b1", "b2", "b3"}, {"c1", "c2", "c3"}}, pooled: true, together: true,
			server: spec{lmtp: true, offers: pipelined, answers: map[string]string{". b2": "550 5.1.1 no", ". c1": "550 5.1.1 no"}}, want: "dfdfdd"},
	)
}

// secured are sessions inside TLS.
func secured() (all []golden) {
	for _, channel := range inTLS {
		for _, way := range ways[:3] {
			g := golden{policy: channel.policy, quirks: way.quirks, server: spec{offers: words(way.offers + channel.offers)}}
			g.name, g.mail, g.want = channel.name+" "+way.name+", one", one, "d"
			all = append(all, g)
			g.name, g.mail, g.want = channel.name+" "+way.name+", mixed", three, "fdD"
			g.server.answers = map[string]string{"RCPT bob": "550 5.1.1 no", ". carol": "250 2.0.0 ok", "RCPT dave": "451 4.7.1 later"}
			all = append(all, g)
		}
		login := golden{policy: channel.policy, mail: one, login: true, want: "d"}
		login.name, login.server.offers = channel.name+" AUTH PLAIN", []string{"PIPELINING", "AUTH PLAIN"}
		login.server.offers = append(login.server.offers, words(channel.offers)...)
		all = append(all, login)
		login.name, login.server.offers = channel.name+" AUTH LOGIN", []string{"AUTH LOGIN"}
		login.server.offers = append(login.server.offers, words(channel.offers)...)
		all = append(all, login)
		all = append(all,
			golden{name: channel.name + " reused", policy: channel.policy, mail: turns, pooled: true, server: spec{offers: words("PIPELINING" + channel.offers)}, want: "ddd"},
			golden{name: channel.name + " overlapped", policy: channel.policy, mail: turns, pooled: true, together: true,
				server: spec{offers: words("PIPELINING" + channel.offers), answers: map[string]string{". carol": "554 5.7.1 spam"}}, want: "dfd"},
			golden{name: channel.name + " LMTP", policy: channel.policy, mail: three,
				server: spec{lmtp: true, offers: words("PIPELINING" + channel.offers), answers: map[string]string{". carol": "451 4.3.0 later"}}, want: "dDd"},
		)
	}
	return append(all,
		golden{name: "STARTTLS refused at May", policy: tlspolicy.Policy{Level: tlspolicy.May}, mail: one,
			server: spec{offers: words("PIPELINING STARTTLS"), answers: map[string]string{"STARTTLS": "454 4.7.0 not now"}}, want: "d"},
		golden{name: "STARTTLS at May", policy: tlspolicy.Policy{Level: tlspolicy.May}, mail: three, server: spec{offers: words("PIPELINING STARTTLS")}, want: "ddd"},
		golden{name: "TLS 1.2", policy: tlspolicy.Policy{Level: tlspolicy.Encrypt, MaxVersion: tls.VersionTLS12}, mail: one, server: spec{offers: words("PIPELINING STARTTLS")}, want: "d"},
	)
}
