package smtpclient_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// Whatever the caller or the system brings, fails at its nth time: a connection, the
// resolver, the cache, content, a SASL mechanism, each hook. Both ends agree then,
// nothing is left behind, and the next message goes through the same pool.

// manner is how an operation goes wrong.
type manner string

const (
	fails  manner = "error"
	halves manner = "short count"
	blocks manner = "block" // until ctx ends
	panics manner = "panic"
)

// mishap is one thing that goes wrong.
type mishap struct {
	kind  string // of operation
	nth   int    // 0: nothing goes wrong
	how   manner
	lasts bool // and at each later time
}

func (m mishap) String() string {
	always := ""
	if m.lasts {
		always = ", for good"
	}
	return fmt.Sprintf("%s %d: %s%s", m.kind, m.nth, m.how, always)
}

// mischief counts operations by their kind, and lets one of them go wrong.
type mischief struct {
	mishap
	ctx  context.Context // of the delivery
	left *remains

	mu   sync.Mutex
	seen map[string]int
	over bool
}

var (
	errMischief = errors.New("it does not work")
	errShort    = errors.New("only a part of it")
)

// step is the next operation of a kind. What it returns is what goes wrong.
func (m *mischief) step(kind string) error {
	m.mu.Lock()
	m.seen[kind]++
	n := m.seen[kind]
	hit := !m.over && kind == m.kind && m.nth > 0 && (n == m.nth || m.lasts && n > m.nth)
	m.mu.Unlock()
	switch {
	case !hit:
		return nil
	case m.how == panics:
		panic(kind + " gone mad")
	case m.how == blocks:
		<-m.ctx.Done()
		return m.ctx.Err()
	case m.how == halves:
		return errShort
	}
	return errMischief
}

// manners are those in which a kind of operation can go wrong: not every hook has an
// error to return.
func manners(kind string) []manner {
	switch {
	case kind == "read" || kind == "write" || kind == "content":
		return []manner{fails, halves, blocks, panics}
	case kind == "deadline": // no deadline can end what waits for setting one
		return []manner{fails, panics}
	case kind == "look" || kind == "address" || strings.HasPrefix(kind, "tell "):
		return []manner{panics}
	case strings.HasPrefix(kind, "hook "):
		return []manner{blocks, panics}
	}
	return []manner{fails, blocks, panics}
}

// leastMishaps is how many runs there have to be.
const leastMishaps = 6000 / stride

func TestNthOperation(t *testing.T) {
	var runs atomic.Int64
	t.Run("scenes", func(t *testing.T) {
		for name, scene := range mischiefScenes {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				runs.Add(inMischief(t, scene))
			})
		}
	})
	t.Logf("nth operations: %d scenes, %d runs", len(mischiefScenes), runs.Load())
	if runs.Load() < leastMishaps {
		t.Errorf("%d runs, want %d at least", runs.Load(), leastMishaps)
	}
}

// inMischief plays a scene with everything that can go wrong in it.
func inMischief(t *testing.T, scene mischiefScene) (runs int64) {
	kinds := playMishap(t, scene, mishap{})
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		for _, how := range manners(kind) {
			for _, lasts := range []bool{false, true} {
				for nth := 1; ; nth += stride {
					m := mishap{kind, nth, how, lasts}
					reached := playMishap(t, scene, m)[kind] >= nth
					if runs++; t.Failed() {
						t.Fatalf("%v", m)
					}
					if !reached {
						break
					}
				}
			}
		}
	}
	return runs
}

// playMishap plays a scene once, and gives how often there was which operation until
// its delivery was over.
func playMishap(t *testing.T, scene mischiefScene, what mishap) (seen map[string]int) {
	t.Helper()
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		limit := 3 * time.Hour
		if scene.cancelled {
			limit = time.Second
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		m := &mischief{mishap: what, ctx: ctx, seen: make(map[string]int), over: true}
		left := w.mischievous(m)
		scene.set(w, m)
		clear(m.seen)
		m.over = false
		pool := &smtpclient.Pool{KeepAll: true, Total: 2}
		w.client.Pool = pool

		start := time.Now()
		env, content := fromAnn(scene.to...), &mischievousContent{text: scene.text, m: m, left: left}
		report, err := w.client.Deliver(smtpclient.WithTrace(ctx, m.trace()), env, content)
		if took := time.Since(start); took > limit+time.Minute {
			t.Errorf("took %v", took)
		}
		w.settle()
		checkError(t, report, err)
		checkEnds(t, w.net, env, scene.text, report)
		m.mu.Lock()
		m.over, seen = true, maps.Clone(m.seen)
		m.mu.Unlock()
		if what.nth == 0 && (err != nil) != scene.cancelled {
			t.Errorf("nothing goes wrong, but %v", err)
		}

		again := fromAnn("dave@example.net")
		report, err = w.client.Deliver(t.Context(), again, smtpclient.Bytes([]byte(scene.text)))
		if err != nil {
			t.Errorf("the next message: %v", err)
		}
		checkEnds(t, w.net, again, scene.text, report)
		if err := pool.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if s := pool.Stats(); s.Idle != 0 || s.InUse != 0 || s.Waiting != 0 {
			t.Errorf("in the pool: %+v", s)
		}
		left.check(t)
	})
	return seen
}

// mischiefScene is a delivery in which things go wrong. Where it is cancelled, after
// a second, nobody is delivered in any case.
type mischiefScene struct {
	to        []string
	text      string
	set       func(w *world, m *mischief)
	cancelled bool
}

var mischiefScenes = map[string]mischiefScene{
	"cancelled in plaintext": {to: []string{"bob@example.net"}, text: hello, cancelled: true, set: func(w *world, m *mischief) {
		w.mx(10, &smtptest.Server{Extensions: pipelined, Wire: roomy, Script: m.silentAt("DATA")})
	}},
	"cancelled in TLS": {to: []string{"bob@example.net"}, text: hello, cancelled: true, set: func(w *world, m *mischief) {
		w.mx(10, &smtptest.Server{Wire: roomy, Script: m.silentAt(smtptest.EndOfData)})
		w.hookAll(m)
	}},
	"no reply to QUIT": {to: []string{"bob@example.net"}, text: hello, set: func(w *world, m *mischief) {
		s := &smtptest.Server{Mode: smtptest.LMTP, Extensions: pipelined, Wire: roomy, Script: m.silentAt("QUIT")}
		w.net["192.0.2.10:24"] = s
		w.client.Protocol = smtpclient.LMTP
		w.client.NextHops = []string{"[192.0.2.10]"}
		w.client.Pool = nil
	}},
	"mail exchanger": {to: []string{"bob@example.net", "carol@example.net"}, text: hello, set: func(w *world, m *mischief) {
		w.mx(10, &smtptest.Server{Wire: roomy})
		w.hookAll(m)
	}},
	"submission": {to: []string{"bob@example.net"}, text: hello, set: func(w *world, m *mischief) {
		s := submission()
		s.Wire = roomy
		w.smarthost(s)
		w.client.Auth = m.credentials()
		w.client.Dialer.TLSConfig = m.tlsConfig()
	}},
	"token": {to: []string{"bob@example.net"}, text: hello, set: func(w *world, m *mischief) {
		s := submission("AUTH XOAUTH2")
		s.Wire = roomy
		w.smarthost(s)
		w.client.Auth = &smtpclient.Credential{User: "robot", Token: func(context.Context) (string, error) {
			return theToken, m.step("token")
		}}
	}},
	"store, lockstep": {to: []string{"bob@example.net", "carol@example.net"}, text: hello, set: func(w *world, m *mischief) {
		w.net["192.0.2.10:24"] = &smtptest.Server{Mode: smtptest.LMTP, Extensions: []string{}, Wire: roomy}
		w.client.Protocol = smtpclient.LMTP
		w.client.NextHops = []string{"[192.0.2.10]"}
	}},
	"several blocks": {to: []string{"bob@example.net"}, text: longMessage(150 << 10), set: func(w *world, m *mischief) {
		w.mx(10, &smtptest.Server{Extensions: pipelined, Wire: roomy})
	}},
	"chunks": {to: []string{"bob@example.net", "carol@example.net"}, text: longMessage(50 << 10), set: func(w *world, m *mischief) {
		w.mx(10, &smtptest.Server{Extensions: []string{"PIPELINING", "CHUNKING"}, Wire: roomy})
		w.client.Dialer.Quirks = withQuirks(smtpclient.Quirks{Chunking: smtpclient.ChunkingAfter, ChunkSize: 20 << 10})
	}},
	"two domains, two hosts, staggered": {to: []string{"bob@example.net", "carol@example.com"}, text: hello, set: func(w *world, m *mischief) {
		w.mx(10, &smtptest.Server{Extensions: pipelined, Wire: roomy})
		w.mx(20, &smtptest.Server{Extensions: pipelined, Wire: roomy})
		w.bothAt("example.com", "192.0.2.70", "192.0.2.71")
		w.client.Limits.Stagger = time.Second
		w.client.Limiter = m.limiter(w)
		w.client.Resolver = m.resolver(w.dns)
	}},
	"joined domains": {to: []string{"bob@example.net", "carol@example.com"}, text: hello, set: func(w *world, m *mischief) {
		w.mx(10, &smtptest.Server{Wire: roomy})
		w.sharing("example.com")
		w.client.JoinDomains = true
		w.hookAll(m)
	}},
	"early": {to: []string{"bob@example.net"}, text: hello, set: func(w *world, m *mischief) {
		w.mx(10, &smtptest.Server{Extensions: earlyOffers, Wire: roomy})
		w.client.Cache = m.cache()
		w.client.Dialer.Quirks = withQuirks(smtpclient.Quirks{PipeConnect: true})
		w.deliver(m.ctx, fromAnn("first@example.net"), hello) // the server is known from then on
	}},
}

// silentAt has the server say nothing any more from a command on, until the next
// message.
func (m *mischief) silentAt(verb string) func(smtptest.Command) smtptest.Action {
	return func(c smtptest.Command) (a smtptest.Action) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if c.Verb == verb && !m.over {
			a.Fault = smtptest.Stall
		}
		return a
	}
}

// roomy is a wire on which nobody waits to be read.
var roomy = smtptest.Wire{Window: 1 << 16}
