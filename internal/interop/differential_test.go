package interop

import (
	"context"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient/smtptest"
)

var updateDifferential = flag.Bool("update-differential", false, "write the verdicts to testdata/differential")

// performance is a scenario that both sides live through.
type performance struct {
	scenario
	mode                 smtptest.Mode
	theirCast, ourCast   *cast
	theirWords, ourWords map[string]Verdict
}

// The same servers tell the same story to Postfix and to us. What each makes of
// it, and how many copies of the message the servers then may hold, stands side
// by side in testdata/differential; every difference there has its reason.
func TestVerdictsBesidePostfix(t *testing.T) {
	chapters := chapters()
	all := map[string][]*performance{}
	var flat []*performance
	for _, ch := range chapters {
		for _, s := range ch.scenarios {
			p := &performance{scenario: s, mode: ch.mode, theirCast: s.listenAll(t, ch.mode), ourCast: s.listenAll(t, ch.mode)}
			all[ch.name] = append(all[ch.name], p)
			flat = append(flat, p)
		}
	}
	wantNames(t, flat)
	sender := playPostfix(t, flat)
	playOurs(t, flat)
	for _, ch := range chapters {
		t.Run(ch.name, func(t *testing.T) {
			for _, p := range all[ch.name] {
				t.Run(p.name, p.check)
			}
			wantFile(t, ch.name, all[ch.name])
		})
	}
	if t.Failed() {
		if text, err := sender.Log(); err == nil {
			t.Logf("Postfix's log:\n%s", text)
		}
	}
}

// wantNames finds scenarios that Postfix's log could not tell apart.
func wantNames(t *testing.T, all []*performance) {
	t.Helper()
	names := map[string]string{}
	for _, p := range all {
		if other, twice := names[p.domain()]; twice {
			t.Fatalf("%q and %q have the same domain", p.name, other)
		}
		names[p.domain()] = p.name
	}
}

// playPostfix gives all messages to one Postfix, which sends them side by side.
func playPostfix(t *testing.T, all []*performance) *Sender {
	t.Helper()
	var routes []Route
	for _, p := range all {
		protocol := "smtp"
		if p.mode == smtptest.LMTP {
			protocol = "lmtp"
		}
		routes = append(routes, Route{Domain: p.domain(), Protocol: protocol, Hosts: p.theirCast.addrs, TLS: p.level(), Login: p.login})
	}
	sender, err := StartSender(routes)
	present(t, err)
	t.Cleanup(sender.Stop)
	sideBySide(t, all, func(p *performance) error {
		return sender.Submit("ann@example.org", p.addresses(), p.content())
	})
	var recipients []string
	for _, p := range all {
		recipients = append(recipients, p.addresses()...)
	}
	words, err := sender.Verdicts(recipients)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		p.theirWords = words
		p.theirCast.settle(t)
	}
	return sender
}

// playOurs lives through all scenarios.
func playOurs(t *testing.T, all []*performance) {
	t.Helper()
	program := buildDeliver(t)
	sideBySide(t, all, func(p *performance) error { return p.playOurs(t.Context(), program) })
	for _, p := range all {
		p.ourCast.settle(t)
	}
}

// sideBySide does the same for all, some at a time.
func sideBySide(t *testing.T, all []*performance, do func(*performance) error) {
	t.Helper()
	queue := make(chan *performance)
	var players sync.WaitGroup
	for range 10 {
		players.Go(func() {
			for p := range queue {
				if err := do(p); err != nil {
					t.Errorf("%s: %v", p.name, err)
				}
			}
		})
	}
	for _, p := range all {
		queue <- p
	}
	close(queue)
	players.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

func (p *performance) playOurs(ctx context.Context, program string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	if p.mode == smtptest.LMTP {
		p.ourWords, err = playSession(ctx, p.scenario, p.ourCast.addrs[0])
	} else {
		p.ourWords, err = playDeliver(ctx, program, p.scenario, p.ourCast.addrs)
	}
	return err
}

// side is what one client made of a recipient, and the copies that each server
// may hold.
type side struct {
	Verdict
	copies []int
}

func (p *performance) theirs(to string) side { return newSide(p.theirWords, p.theirCast, to) }
func (p *performance) ours(to string) side   { return newSide(p.ourWords, p.ourCast, to) }

func newSide(words map[string]Verdict, c *cast, to string) side {
	s := side{Verdict: words[to]}
	for _, server := range c.servers {
		s.copies = append(s.copies, copies(server, to))
	}
	return s
}

// held writes "1+0" for a copy at the first of two servers.
func (s side) held() string {
	var counts []string
	for _, n := range s.copies {
		counts = append(counts, strconv.Itoa(n))
	}
	return strings.Join(counts, "+")
}

// same leaves out the words.
func (s side) same(other side) bool {
	return s.String() == other.String() && s.held() == other.held()
}

func (s side) total() (n int) {
	for _, c := range s.copies {
		n += c
	}
	return n
}

// lied tells that a queue would send again, or give back, what a server may hold,
// or believes that it is delivered and nobody has it.
func (s side) lied() bool {
	switch s.Status {
	case "delivered":
		return s.total() == 0
	case "unknown":
		return false
	}
	return s.total() > 0
}

func (p *performance) differs() bool {
	for _, to := range p.addresses() {
		if !p.theirs(to).same(p.ours(to)) {
			return true
		}
	}
	return false
}

// check holds our side to what a client may never do, and the scenario to its
// reason.
func (p *performance) check(t *testing.T) {
	for _, fault := range p.faults() {
		t.Error(fault)
	}
	for _, server := range p.ourCast.servers {
		for _, v := range server.Violations() {
			t.Errorf("we broke the rules: %s", v)
		}
	}
}

func (p *performance) faults() []string {
	var faults []string
	add := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for _, to := range p.addresses() {
		if _, ok := p.ourWords[to]; !ok {
			add("we have no verdict for %s", to)
		}
		if ours := p.ours(to); ours.lied() || ours.total() > 1 {
			add("we say %v for %s, and the servers may hold %s copies: %s", ours, to, ours.held(), ours.Text)
		}
	}
	switch {
	case p.differs() && p.because == "":
		add("differs without a reason:\n%s%s", p.rows(), p.quotes())
	case !p.differs() && p.because != "":
		add("does not differ any more, though there is a reason for it:\n%s", p.rows())
	}
	return faults
}
