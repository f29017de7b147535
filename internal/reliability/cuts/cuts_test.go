// Package cuts plays whole mail sessions and cuts them at every byte, in each
// direction and in every way, and lets every stream of replies come in every pieces.
// What the client says of it is held against package model, and against what the
// server has taken. It is tests only; see docs/reliability.md.
package cuts

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/internal/reliability/model"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// run is a session that is played once.
type run struct {
	t    *testing.T
	g    *golden
	cell cell

	mu      sync.Mutex
	lines   []*line
	reports []smtpclient.Report
	took    time.Duration
}

// dial opens the next connection. Only the first is cut.
func (r *run) dial(_ context.Context, _, _ string) (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := &line{host: &host{spec: &r.g.server}, delay: r.g.delay()}
	if len(r.lines) == 0 {
		l.cell = r.cell
	}
	r.lines = append(r.lines, l)
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.g.policy.Implicit {
		l.secure()
	} else {
		l.say(l.host.greet())
		l.ended = l.host.end
	}
	return l, nil
}

// client is one for this run, which remembers nothing of another.
func (r *run) client() *smtpclient.Client {
	g := r.g
	c := &smtpclient.Client{
		NextHops: []string{"[192.0.2.10]"},
		Resolver: resolve.Static{},
		Cache:    cache.None,
		TLS:      tlspolicy.None,
		Dialer: &smtpclient.Dialer{
			LocalName: "client.example.org", DialContext: r.dial,
			TLSConfig: &tls.Config{CurvePreferences: []tls.CurveID{tls.X25519}}, // the cheapest
			Quirks:    func(smtpclient.Target) smtpclient.Quirks { return g.quirks },
		},
	}
	if g.policy.Level != 0 {
		c.TLS = g.policy
	}
	if g.server.lmtp {
		c.Protocol = smtpclient.LMTP
	}
	if g.login {
		c.Auth = &smtpclient.Credential{User: "ann", Password: "secret", Channel: tlspolicy.Encrypt}
	}
	if g.pooled {
		c.Pool = &smtpclient.Pool{Total: 1, KeepAll: true}
	}
	return c
}

// play sends the messages, and holds all that came of it.
func play(t *testing.T, g *golden, c cell) *run {
	r := &run{t: t, g: g, cell: c, reports: make([]smtpclient.Report, len(g.mail))}
	client := r.client()
	start := time.Now()
	var wg sync.WaitGroup
	for i := range g.mail {
		send := func() {
			r.reports[i], _ = client.Deliver(t.Context(), r.envelope(i), smtpclient.Bytes([]byte(g.text())))
		}
		if g.together {
			wg.Go(send)
			synctest.Wait()
			continue
		}
		send()
	}
	wg.Wait()
	r.took = time.Since(start)
	if g.pooled {
		if err := client.Pool.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	r.check()
	return r
}

func (r *run) envelope(i int) smtpclient.Envelope {
	env := smtpclient.Envelope{From: "ann@example.org"}
	for _, name := range r.g.mail[i] {
		env.To = append(env.To, smtpclient.Recipient{Address: name + "@example.net"})
	}
	if r.g.envelope != nil {
		r.g.envelope(&env)
	}
	return env
}

// longest is the most time that a run may take: there are no more than a few waits
// on the way of a message, each of 10 minutes or less.
const longest = 40 * time.Minute

// check holds the reports against the model and against what the servers have.
func (r *run) check() {
	var connections []model.Connection
	for _, l := range r.lines {
		l.serving.Wait()
		if !l.closed {
			r.errorf("a connection is left open")
		}
		connections = append(connections, model.Connection{LMTP: r.g.server.lmtp, Accepted: l.plainTook, Readable: l.readable(), CutOff: l.failed})
	}
	fates := model.Judge(connections) // who was never named is Deferred, but for a MAIL that was refused
	for i, report := range r.reports {
		if len(report.Outcomes) != len(r.g.mail[i]) {
			r.errorf("%d outcomes for %d recipients", len(report.Outcomes), len(r.g.mail[i]))
			continue
		}
		for _, o := range report.Outcomes {
			fate := fates[o.Address]
			if fate.Verdict == 0 {
				fate = model.Fate{Verdict: model.Deferred, Also: fates[""].Verdict}
			}
			r.checkFate(o, fate)
			r.checkServers(o)
		}
	}
	if r.took > longest {
		r.errorf("took %v", r.took)
	}
}

var verdicts = map[smtpclient.Status]model.Verdict{smtpclient.Delivered: model.Delivered, smtpclient.Deferred: model.Deferred,
	smtpclient.Failed: model.Failed, smtpclient.Unknown: model.Unknown}

// checkFate holds an outcome against the model.
func (r *run) checkFate(o smtpclient.Outcome, fate model.Fate) {
	got := verdicts[o.Status]
	switch {
	case fate.Again:
		r.errorf("%s was named again after a verdict", o.Address)
	case fate.Silent && fate.Verdict == model.Deferred:
		r.errorf("%s is %v by a session that was gone when it was to be used again: %v", o.Address, o.Status, o.Err())
	case got != fate.Verdict && got != fate.Also:
		r.errorf("%s is %v, the model has %q: %v", o.Address, o.Status, fate.Verdict, o.Err())
	}
}

// checkServers holds an outcome against what servers have taken: invariants 2 to 4.
func (r *run) checkServers(o smtpclient.Outcome) {
	yes := 0
	for _, l := range r.lines {
		for _, m := range l.host.taken {
			i := slices.Index(m.to, o.Address)
			if i < 0 || m.replies[min(i, len(m.replies)-1)][0] != '2' {
				continue
			}
			if yes++; m.content != r.g.text() {
				r.errorf("%s got %.300q", o.Address, m.content)
			}
		}
	}
	switch {
	case o.Status == smtpclient.Delivered && yes != 1, o.Status == smtpclient.Unknown && yes > 1,
		(o.Status == smtpclient.Deferred || o.Status == smtpclient.Failed) && yes != 0:
		r.errorf("%s is %v, and was accepted %d times: %v", o.Address, o.Status, yes, o.Err())
	}
}

func (r *run) errorf(format string, args ...any) {
	r.t.Helper()
	r.t.Errorf("%s: %v: %s", r.g.name, r.cell, fmt.Sprintf(format, args...))
}

func (c cell) String() string {
	return fmt.Sprintf("%s %d %s, split %d, record %d, most %d", directions[c.where], c.at, endings[c.how], c.split, c.record, c.most)
}

// summary is all that may not depend on how the bytes came.
func (r *run) summary() string {
	var b strings.Builder
	for _, report := range r.reports {
		for _, o := range report.Outcomes {
			fmt.Fprintln(&b, o.Address, o.Status, o.Stage, o.Enhanced, o.Reply)
		}
	}
	return b.String()
}

// letters are the verdicts in order.
func (r *run) letters() (s string) {
	for _, report := range r.reports {
		for _, o := range report.Outcomes {
			s += string(verdicts[o.Status])
		}
	}
	return s
}

// Nothing is cut: each session goes as it is meant to.
func TestWhole(t *testing.T) {
	for _, g := range goldens() {
		t.Run(g.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := play(t, &g, cell{})
				if got := r.letters(); got != g.want {
					t.Errorf("got %s, want %s:\n%s", got, g.want, r.summary())
				}
				if len(r.lines) != 1 {
					t.Errorf("%d connections", len(r.lines))
				}
				if g.together && !strings.Contains(string(r.lines[0].plainTook), "\r\n.\r\nMAIL") {
					t.Error("nothing overlaps")
				}
			})
		})
	}
}
