package interop

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

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
		routes = append(routes, Route{Domain: p.domain(), Protocol: protocol, Hosts: p.theirCast.addrs, TLS: p.level()})
	}
	sender, err := StartSender(routes)
	present(t, err)
	t.Cleanup(sender.Stop)
	var recipients []string
	for _, p := range all {
		if err := sender.Submit("ann@example.org", p.addresses(), p.content()); err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
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

// playOurs lives through all scenarios, some side by side.
func playOurs(t *testing.T, all []*performance) {
	t.Helper()
	program := buildDeliver(t)
	queue := make(chan *performance)
	var players sync.WaitGroup
	for range 4 * runtime.NumCPU() {
		players.Go(func() {
			for p := range queue {
				if p.mode == smtptest.LMTP {
					p.ourWords = playSession(t, p.scenario, p.ourCast.addrs[0])
				} else {
					p.ourWords = playDeliver(t, program, p.scenario, p.ourCast.addrs)
				}
			}
		})
	}
	for _, p := range all {
		queue <- p
	}
	close(queue)
	players.Wait()
	for _, p := range all {
		p.ourCast.settle(t)
	}
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
		if theirs, ours := p.theirs(to), p.ours(to); !theirs.same(ours.Verdict) || theirs.held() != ours.held() {
			return true
		}
	}
	return false
}

// check holds our side to what a client may never do, and the scenario to its
// reason.
func (p *performance) check(t *testing.T) {
	for _, to := range p.addresses() {
		if _, ok := p.ourWords[to]; !ok {
			t.Errorf("we have no verdict for %s", to)
		}
		if ours := p.ours(to); ours.lied() || ours.total() > 1 {
			t.Errorf("we say %v for %s, and the servers may hold %s copies: %s", ours, to, ours.held(), ours.Text)
		}
	}
	for _, server := range p.ourCast.servers {
		for _, v := range server.Violations() {
			t.Errorf("we broke the rules: %s", v)
		}
	}
	switch {
	case p.differs() && p.because == "":
		t.Errorf("differs without a reason:\n%s%s", p.rows(), p.quotes())
	case !p.differs() && p.because != "":
		t.Errorf("does not differ any more, though there is a reason for it:\n%s", p.rows())
	}
}

// rows is the scenario as it stands in the file.
func (p *performance) rows() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", p.name)
	for _, to := range p.addresses() {
		theirs, ours := p.theirs(to), p.ours(to)
		local, _, _ := strings.Cut(to, "@")
		word := "same"
		if !theirs.same(ours.Verdict) || theirs.held() != ours.held() {
			word = "DIFFERENT"
		}
		fmt.Fprintf(&b, "    %-3s Postfix: %-22s %-4s us: %-22s %-4s %s\n", local, theirs, theirs.held(), ours, ours.held(), word)
	}
	if p.because != "" {
		fmt.Fprintf(&b, "    because %s\n", p.because)
	}
	return b.String()
}

// quotes are the words of both sides.
func (p *performance) quotes() string {
	var b strings.Builder
	for _, to := range p.addresses() {
		fmt.Fprintf(&b, "%s\n    Postfix: %s\n    we: %s\n", to, p.theirs(to).Text, p.ours(to).Text)
	}
	return b.String()
}

const tableHead = `# What Postfix (P) and we make of the same servers: for each recipient the verdict
# with its enhanced code and the reply that decided, and how many complete copies
# each server may hold. Written by go test -run VerdictsBesidePostfix -update-differential
`

// wantFile compares a chapter with its file.
func wantFile(t *testing.T, name string, all []*performance) {
	t.Helper()
	var b strings.Builder
	b.WriteString(tableHead)
	for _, p := range all {
		b.WriteString("\n" + p.rows())
	}
	b.WriteString("\n" + summary(all))
	path := filepath.Join("testdata", "differential", name+".txt")
	if *updateDifferential {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != b.String() {
		t.Errorf("%s is not what came out; a line with - is in the file, one with + is new:\n%s", path, changes(string(want), b.String()))
	}
}

// summary counts what a queue behind each side would do wrong.
func summary(all []*performance) string {
	var theirLies, ourLies, theirDoubles, ourDoubles, unknown int
	for _, p := range all {
		for _, to := range p.addresses() {
			theirs, ours := p.theirs(to), p.ours(to)
			theirLies += count(theirs.lied())
			ourLies += count(ours.lied())
			theirDoubles += count(theirs.total() > 1)
			ourDoubles += count(ours.total() > 1)
			unknown += count(ours.Status == "unknown")
		}
	}
	return fmt.Sprintf("deferred or failed with a copy, or delivered without one: Postfix %d, we %d (and %d unknown)\n"+
		"more than one copy: Postfix %d, we %d\n", theirLies, ourLies, unknown, theirDoubles, ourDoubles)
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// changes lists the scenarios that are not the same in both texts.
func changes(before, after string) string {
	old, now := strings.Split(before, "\n\n"), strings.Split(after, "\n\n")
	var b strings.Builder
	mark := func(sign, paragraph string, others []string) {
		for _, o := range others {
			if o == paragraph {
				return
			}
		}
		for line := range strings.Lines(paragraph + "\n") {
			b.WriteString(sign + " " + line)
		}
	}
	for _, o := range old {
		mark("-", o, now)
	}
	for _, n := range now {
		mark("+", n, old)
	}
	return b.String()
}
