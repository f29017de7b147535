package interop

import (
	"crypto/tls"
	"slices"
	"strings"

	"github.com/postrider/postrider/smtpclient/smtptest"
)

// scenario is a story that Postfix and we live through, each with servers of his
// own that do the same.
type scenario struct {
	name    string
	hosts   []host
	to      []string // local parts, in alphabetical order as Postfix sends them; nil: "a"
	message []byte   // nil: a short one
	tls     string   // level; "": defaultLevel
	login   string   // user:password, that Postfix has for the host
	args    []string // more of ours
	// because is why the two sides differ, where they should. Without it they
	// must not; with it they must.
	because string
}

// host is one server of a scenario. The zero host takes everything.
type host struct {
	does    acts
	recalls func() func(smtptest.Command) smtptest.Action // in place of does: one that remembers
	cuts    []smtptest.Cut
	offers  []string    // nil: what offered has
	tls     *tls.Config // nil: TLS works
	off     bool        // nothing listens
}

// acts are what a server does instead of the usual: by verb, or by verb and
// recipient, as "RCPT b".
type acts map[string]smtptest.Action

func (a acts) script(c smtptest.Command) smtptest.Action {
	local, _, _ := strings.Cut(strings.TrimPrefix(c.Args, "TO:<"), "@")
	if action, ok := a[c.Verb+" "+local]; ok {
		return action
	}
	return a[c.Verb]
}

func (h host) server(mode smtptest.Mode) *smtptest.Server {
	s := &smtptest.Server{Mode: mode, Script: h.does.script, Cuts: h.cuts, Extensions: h.offers, TLSConfig: h.tls}
	if h.offers == nil {
		s.Extensions = offered()
	}
	if h.recalls != nil {
		s.Script = h.recalls()
	}
	return s
}

func offered(more ...string) []string {
	return append([]string{"PIPELINING", "SIZE 100000000", "8BITMIME", "ENHANCEDSTATUSCODES"}, more...)
}

// lockstep is what a server offers that knows no PIPELINING.
func lockstep() []string { return offered()[1:] }

// one is a scenario's only host.
func one(a acts) []host { return []host{{does: a}} }

// andSecond is a host, and behind it one that takes everything.
func andSecond(a acts) []host { return []host{{does: a}, {}} }

// at is a scenario's only host that stumbles.
func at(cut smtptest.Cut) []host { return []host{{cuts: []smtptest.Cut{cut}}} }

func reply(text string) smtptest.Action { return smtptest.Action{Reply: text} }

// then replies and closes.
func then(text string) smtptest.Action {
	return smtptest.Action{Reply: text, Fault: smtptest.DropAfter}
}

// raw writes these bytes and goes on.
func raw(text string) smtptest.Action { return smtptest.Action{Raw: []byte(text)} }

// rawThen writes these bytes and closes.
func rawThen(text string) smtptest.Action {
	return smtptest.Action{Raw: []byte(text), Fault: smtptest.DropAfter}
}

// silence reads on and never acts.
func silence() smtptest.Action { return raw("") }

func hangUp() smtptest.Action { return smtptest.Action{Fault: smtptest.Drop} }

// recipients are the local parts.
func (s scenario) recipients() []string {
	if s.to == nil {
		return []string{"a"}
	}
	return s.to
}

func (s scenario) content() []byte {
	if s.message == nil {
		return simple(s.name)
	}
	return s.message
}

func (s scenario) level() string {
	if s.tls == "" {
		return defaultLevel
	}
	return s.tls
}

// domain is the name of the scenario as a domain, so that Postfix's log tells
// scenarios apart.
func (s scenario) domain() string {
	words := strings.FieldsFunc(strings.ToLower(s.name), func(r rune) bool {
		return !('a' <= r && r <= 'z' || '0' <= r && r <= '9')
	})
	return strings.Join(words, "-") + ".test"
}

func (s scenario) addresses() []string {
	var all []string
	for _, local := range s.recipients() {
		all = append(all, local+"@"+s.domain())
	}
	return all
}

// chapter is scenarios about one step of a session, with a file of verdicts in
// testdata/differential.
type chapter struct {
	name      string
	mode      smtptest.Mode
	scenarios []scenario
}

func chapters() []chapter {
	return []chapter{
		{"greeting", smtptest.SMTP, greetings()},
		{"hello", smtptest.SMTP, hellos()},
		{"starttls", smtptest.SMTP, startTLSes()},
		{"auth", smtptest.SMTP, auths()},
		{"envelope", smtptest.SMTP, envelopes()},
		{"data", smtptest.SMTP, datas()},
		{"final-reply", smtptest.SMTP, finalReplies()},
		{"second-host", smtptest.SMTP, secondHosts()},
		{"lmtp", smtptest.LMTP, lmtps()},
	}
}

// copies is how many complete messages for an address a server may hold: those
// that it has read to the end and not refused in plain words. A lone dot is no
// message.
func copies(s *smtptest.Server, address string) int {
	n := 0
	for _, m := range s.Messages() {
		if i := slices.Index(m.To, address); i >= 0 && len(m.Data) > 0 && !refuses(m.Replies[min(i, len(m.Replies)-1)]) {
			n++
		}
	}
	return n
}

// refuses tells that every line of a reply does.
func refuses(reply string) bool {
	for line := range strings.Lines(reply) {
		if line[0] != '4' && line[0] != '5' {
			return false
		}
	}
	return reply != ""
}
