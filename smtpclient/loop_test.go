package smtpclient_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// habits are what the servers of a trip are like.
var habits = []habit{
	{}, {}, {}, {}, {}, // takes what its replies to RCPT say
	{verb: noAddress},
	{verb: refused}, {verb: refused},
	{verb: silent},
	{verb: brokenTLS},
	{verb: noUTF8},
	{verb: tooSmall},
	{verb: smtptest.Connect, act: action{Fault: smtptest.Drop}},
	{verb: smtptest.Connect, act: action{Reply: "450 4.3.2 busy"}},
	{verb: smtptest.Connect, act: action{Reply: "554 5.7.1 go away"}},
	{verb: "EHLO", act: action{Reply: "554 5.7.1 go away"}},
	{verb: "MAIL", act: action{Fault: smtptest.Drop}},
	{verb: "MAIL", act: action{Reply: "451 4.3.0 later"}},
	{verb: "MAIL", act: action{Reply: "550 5.7.1 no"}},
	{verb: "DATA", act: action{Fault: smtptest.Drop}},
	{verb: "DATA", act: action{Reply: "451 4.3.0 later"}},
	{verb: "DATA", act: action{Reply: "554 5.7.1 no"}},
	{verb: smtptest.EndOfData, act: action{Fault: smtptest.Drop}},
	{verb: smtptest.EndOfData, act: action{Reply: "451 4.3.0 later"}},
	{verb: smtptest.EndOfData, act: action{Reply: "554 5.7.1 no"}},
}

// newTrip draws a trip: five hosts, and up to two fallback relays.
func newTrip(r *rand.Rand) trip {
	one := func(n ...int) int { return n[r.IntN(len(n))] }
	p := trip{
		addresses: one(0, 0, 1, 3, 7, -1), sessions: one(0, 0, 1, 3, -1), recipients: one(0, 0, 1, 2),
		finalGreeting: one(0, 0, 1) == 1, finalHello: one(0, 0, 1) == 1, fallbackForDeferred: one(0, 1) == 1,
		utf8: one(0, 0, 1) == 1, soft: one(0, 0, 0, 1) == 1, hard: one(0, 0, 0, 1) == 1,
	}
	for i := range 1 + r.IntN(4) {
		p.users = append(p.users, "user"+itoa(i)+"@example.net")
	}
	deserted := one(0, 0, 0, 0, 0, 0, 0, 0, 0, 1) == 1
	for i := 1; i <= 5; i++ {
		h := stop{name: "mx" + itoa(10*i) + ".example.net"}
		for a := range one(1, 1, 1, 2) {
			if s := newPlace(r, p, fmt.Sprintf("192.0.2.%d", 10*i+a)); s.habit.verb != noAddress && !deserted {
				h.places = append(h.places, s)
			}
		}
		p.hosts = append(p.hosts, h)
	}
	for i := range one(0, 0, 1, 2) {
		addr := fmt.Sprintf("198.51.100.%d", i+1)
		relay := newPlace(r, p, addr)
		if relay.habit.verb == noAddress {
			relay.habit = habit{}
		}
		p.fallback = append(p.fallback, stop{name: addr, places: []place{relay}})
	}
	return p
}

func newPlace(r *rand.Rand, p trip, addr string) place {
	s := place{addr: addr + ":25", habit: habits[r.IntN(len(habits))], rcpt: make(map[string]string)}
	replies := []string{"", "", "", "450 4.2.1 wait", "450 4.2.1 wait", "550 5.1.1 nobody"}
	for _, u := range p.users {
		s.rcpt[u] = replies[r.IntN(len(replies))]
	}
	return s
}

// server is one that has the habit. nil never answers.
func (p place) server() *smtptest.Server {
	s := &smtptest.Server{Extensions: []string{"8BITMIME", "SMTPUTF8"}, Script: func(c smtptest.Command) action {
		switch h := p.habit; {
		case c.Verb == h.verb, c.Verb == "HELO" && h.verb == "EHLO":
			return h.act
		case c.Verb == "RCPT":
			user := c.Args[strings.Index(c.Args, "<")+1 : strings.Index(c.Args, ">")]
			return action{Reply: p.rcpt[user]}
		case c.Verb == "STARTTLS":
			return action{Reply: "220 go", Fault: smtptest.DropAfter}
		}
		return action{}
	}}
	switch p.habit.verb {
	case silent:
		return nil
	case brokenTLS:
		s.Extensions = append(s.Extensions, "STARTTLS")
	case noUTF8:
		s.Extensions = s.Extensions[:1]
	case tooSmall:
		s.Extensions = append(s.Extensions, "SIZE 10")
	}
	return s
}

// build makes the trip true.
func (w *world) build(p trip) {
	var mx []resolve.MX
	for i, h := range p.hosts {
		mx = append(mx, resolve.MX{Preference: uint16(i), Host: h.name})
		var list []netip.Addr
		for _, s := range h.places {
			list = append(list, netip.MustParseAddrPort(s.addr).Addr())
		}
		w.dns[resolve.Question{Name: h.name, Type: resolve.TypeA}] = resolve.Answer{Addrs: list}
	}
	w.dns[mxOfNet] = resolve.Answer{MX: mx}
	for _, h := range slices.Concat(p.hosts, p.fallback) {
		for _, s := range h.places {
			if s.habit.verb != refused {
				w.net[s.addr] = s.server()
			}
		}
	}
	for _, h := range p.fallback {
		w.client.Fallback = append(w.client.Fallback, "["+h.name+"]")
	}
	w.client.Limits = smtpclient.Limits{Addresses: p.addresses, Sessions: p.sessions, Recipients: p.recipients}
	if p.finalGreeting {
		w.client.Limits.Final |= smtpclient.FinalGreeting
	}
	if p.finalHello {
		w.client.Limits.Final |= smtpclient.FinalHello
	}
	if p.fallbackForDeferred {
		w.client.FallbackFor = smtpclient.FallbackDeferred
	}
	if p.soft || p.hard {
		w.client.Classify = func(a smtpclient.Attempt, s smtpclient.Status) smtpclient.Status {
			switch {
			case p.soft && s == smtpclient.Failed:
				return smtpclient.Deferred
			case p.hard && s == smtpclient.Deferred:
				return smtpclient.Failed
			}
			return s
		}
	}
}

// checkTrip holds a delivery against the model: the outcome and the attempts of
// each recipient, and who was seen by each server how often.
func checkTrip(t *testing.T, seed uint64) map[string]bool {
	t.Helper()
	p := newTrip(rand.New(rand.NewPCG(seed, 0)))
	m := simulate(p)
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true // servers that drop connections find that the client did not say QUIT
		w.build(p)
		env := fromAnn(p.users...)
		env.UTF8 = p.utf8
		report := w.deliver(t.Context(), env, hello)
		w.settle()
		for i, o := range report.Outcomes {
			f := m.fates[p.users[i]]
			if got := fmt.Sprintf("%v %v %s", o.Status, o.Stage, o.Enhanced); got != f.verdict {
				t.Errorf("seed %d: %s: %s, want %s", seed, o.Address, got, f.verdict)
			}
			if got := story(o); !slices.Equal(got, f.log) {
				t.Errorf("seed %d: %s:\ngot  %q\nwant %q", seed, o.Address, got, f.log)
			}
		}
		for addr, s := range w.net {
			want := m.contacts[addr]
			if s == nil {
				continue
			}
			if want == nil {
				want = &contact{}
			}
			if got := seen(s); got.sessions != want.sessions || got.mails != want.mails || !slices.Equal(got.rcpts, want.rcpts) {
				t.Errorf("seed %d: %s saw %+v, want %+v", seed, addr, got, *want)
			}
		}
		if t.Failed() {
			t.Logf("seed %d: %+v", seed, p)
		}
	})
	return m.paths
}

// story is where each attempt was, and how it ended.
func story(o smtpclient.Outcome) (list []string) {
	for _, a := range append(slices.Clone(o.Earlier), *o.Attempt) {
		at := a.Addr
		if at == "" {
			at = a.Host
		}
		list = append(list, fmt.Sprintf("%s %v %s", at, a.Stage, a.Enhanced))
	}
	return list
}

// seen is what a server has on record.
func seen(s *smtptest.Server) (c contact) {
	c.sessions = s.Sessions()
	for i := range c.sessions {
		for _, line := range clientLines(s, i) {
			switch verb, path, _ := strings.Cut(line, ":"); verb {
			case "MAIL FROM":
				c.mails++
			case "RCPT TO":
				c.rcpts = append(c.rcpts, strings.Trim(path, "<>"))
			}
		}
	}
	return c
}

// The delivery loop with five hosts and mixed verdicts does what the model says,
// and the plans go every way that the model knows.
func TestDeliveryLoop(t *testing.T) {
	gone := make(map[string]int)
	for seed := range uint64(400) {
		for path := range checkTrip(t, seed) {
			gone[path]++
		}
		if t.Failed() {
			return
		}
	}
	want := []string{"fallback", "made hard", "made soft", "no host has an address", noAddress, "all decided",
		"address limit", "session limit", "hosts used up", "several transactions", "nobody accepted"}
	for _, h := range habits {
		if h.verb != noAddress {
			want = append(want, h.verb+" "+h.act.Reply)
		}
	}
	for _, path := range want {
		if gone[path] < 3 {
			t.Errorf("%q: %d plans", path, gone[path])
		}
	}
}

func FuzzDeliveryLoop(f *testing.F) {
	f.Add(uint64(1000))
	f.Fuzz(func(t *testing.T, seed uint64) { checkTrip(t, seed) })
}
