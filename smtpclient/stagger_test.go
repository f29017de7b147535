package smtpclient_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// dials is a host mx.example.net of example.net whose addresses 192.0.2.1, 2, ...
// connect or fail after a time, and what came of it.
type dials struct {
	w    *world
	mu   sync.Mutex
	log  []string // "0s 192.0.2.1"
	open int
}

// after says when an address is connected; fails when it is refused.
type after struct {
	connected, fails time.Duration
}

const never = 24 * time.Hour

func (w *world) staggered(stagger time.Duration, addresses ...after) *dials {
	d := &dials{w: w}
	w.client.Limits.Stagger = stagger
	w.dns[mxOfNet] = resolve.Answer{MX: []resolve.MX{{Host: "mx.example.net"}}}
	var list []string
	for i := range addresses {
		addr := "192.0.2." + itoa(i+1)
		list = append(list, addr)
		if w.net[addr+":25"] == nil {
			w.net[addr+":25"] = &smtptest.Server{}
		}
	}
	w.dns[resolve.Question{Name: "mx.example.net", Type: resolve.TypeA}] = resolve.Answer{Addrs: addrs(list...)}
	start := time.Now()
	w.client.Dialer.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		host := strings.TrimSuffix(addr, ":25")
		d.mu.Lock()
		d.log = append(d.log, time.Since(start).String()+" "+host)
		d.mu.Unlock()
		plan := addresses[host[len(host)-1]-'1']
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(max(plan.connected, plan.fails)):
		}
		if plan.fails > 0 {
			return nil, errors.New("refused")
		}
		return d.connect(ctx, network, addr)
	}
	return d
}

func (d *dials) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := d.w.net.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open++
	return &toldClose{Conn: conn, once: sync.OnceFunc(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.open--
	})}, nil
}

// While an address does not answer, the next one of the same host is dialled; the
// first connection is used. With no Stagger the addresses come one after another.
func TestStagger(t *testing.T) {
	tests := []struct {
		name      string
		stagger   time.Duration
		limit     int
		addresses []after
		log       string // when each address was dialled
		attempts  string // in order
	}{
		{"off", 0, 0, []after{{connected: never}, {}},
			"0s 192.0.2.1, 30s 192.0.2.2", "192.0.2.1:25 connect 4.4.1, 192.0.2.2:25 data-done 2.0.0"},
		{"the first answers in time", time.Second, 0, []after{{connected: time.Second - 1}, {}},
			"0s 192.0.2.1", "192.0.2.1:25 data-done 2.0.0"},
		{"the second is faster", time.Second, 0, []after{{connected: never}, {}, {}},
			"0s 192.0.2.1, 1s 192.0.2.2", "192.0.2.2:25 data-done 2.0.0"},
		{"the first after all", time.Second, 0, []after{{connected: 1500 * time.Millisecond}, {connected: time.Second}},
			"0s 192.0.2.1, 1s 192.0.2.2", "192.0.2.1:25 data-done 2.0.0"},
		{"a refusal calls the next", time.Second, 0, []after{{fails: time.Millisecond}, {connected: never}, {}},
			"0s 192.0.2.1, 1ms 192.0.2.2, 1.001s 192.0.2.3", "192.0.2.1:25 connect 4.4.1, 192.0.2.3:25 data-done 2.0.0"},
		{"all are silent", time.Second, 0, []after{{connected: never}, {connected: never}},
			"0s 192.0.2.1, 1s 192.0.2.2", "192.0.2.1:25 connect 4.4.1, 192.0.2.2:25 connect 4.4.1"},
		{"no more than the limit", time.Second, 2, []after{{connected: never}, {connected: never}, {}},
			"0s 192.0.2.1, 1s 192.0.2.2", "192.0.2.1:25 connect 4.4.1, 192.0.2.2:25 connect 4.4.1"},
		{"the limit is one", time.Second, 1, []after{{connected: never}, {}},
			"0s 192.0.2.1", "192.0.2.1:25 connect 4.4.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				d := w.staggered(tt.stagger, tt.addresses...)
				w.client.Limits.Addresses = tt.limit
				report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
				if got := strings.Join(d.log, ", "); got != tt.log {
					t.Errorf("dialled %s, want %s", got, tt.log)
				}
				if got := strings.Join(story(report.Outcomes[0]), ", "); got != tt.attempts {
					t.Errorf("attempts %s, want %s", got, tt.attempts)
				}
				if d.open != 0 {
					t.Errorf("%d connections are open", d.open)
				}
			})
		})
	}
}

// Two addresses that are connected at the same instant: one gets the message, and
// the other is closed without a word.
func TestStaggerTie(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.staggered(time.Second, after{connected: 2 * time.Second}, after{connected: time.Second})
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		w.settle()
		messages := 0
		for addr, s := range w.net {
			messages += len(s.Messages())
			for i := range s.Sessions() {
				if said := clientLines(s, i); len(s.Messages()) == 0 && strings.Join(said, "") != "" {
					t.Errorf("the client said %q at %s", said, addr)
				}
			}
		}
		if messages != 1 || d.open != 0 {
			t.Errorf("%d messages, %d connections are open", messages, d.open)
		}
	})
}

// An address that was overtaken is tried when the faster one does not take the
// message, and counts then. The time of the connection is its own.
func TestStaggerGoesOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.net["192.0.2.2:25"] = &smtptest.Server{Script: on(smtptest.Connect, action{Reply: "450 4.3.2 busy"})}
		d := w.staggered(time.Second, after{connected: 10 * time.Second}, after{connected: 500 * time.Millisecond}, after{connected: never})
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		if got, want := strings.Join(story(report.Outcomes[0]), ", "), "192.0.2.2:25 greeting 4.3.2, 192.0.2.1:25 data-done 2.0.0"; got != want {
			t.Errorf("attempts %s, want %s", got, want)
		}
		if got, want := strings.Join(d.log, ", "), "0s 192.0.2.1, 1s 192.0.2.2, 1.5s 192.0.2.1, 2.5s 192.0.2.3"; got != want {
			t.Errorf("dialled %s, want %s", got, want)
		}
		if got := report.Outcomes[0].Earlier[0].Times[smtpclient.StageConnect]; got != 500*time.Millisecond {
			t.Errorf("the connection took %v by the report, want 500ms", got)
		}
		if d.open != 0 {
			t.Errorf("%d connections are open", d.open)
		}
	})
}

// A cancel, or a hook that panics, leaves nothing behind.
func TestStaggerEnds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		d := w.staggered(time.Second, after{connected: never}, after{connected: never}, after{connected: never})
		mine := errors.New("the operator has had enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(1500*time.Millisecond, func() { cancel(mine) })
		start := time.Now()
		report := w.deliver(ctx, fromAnn("bob@example.net"), hello)
		if took := time.Since(start); took != 1500*time.Millisecond {
			t.Errorf("returned after %v", took)
		}
		expect(t, report, "bob@example.net deferred connect 4.4.1")
		if !errors.Is(report.Err(), mine) || len(report.Outcomes[0].Earlier) != 0 || len(d.log) != 2 {
			t.Errorf("error %v, earlier %v, dialled %q", report.Err(), report.Outcomes[0].Earlier, d.log)
		}
	})
	inWorld(t, func(t *testing.T, w *world) {
		d := w.staggered(time.Second, after{}, after{}, after{})
		dial := w.client.Dialer.DialContext
		w.client.Dialer.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == "192.0.2.1:25" {
				panic("dialer gone mad")
			}
			return dial(ctx, network, addr)
		}
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		if e := report.Outcomes[0].Earlier; len(e) != 1 || !strings.Contains(e[0].Cause.Error(), "gone mad") || d.open != 0 {
			t.Errorf("earlier attempts %+v, %d connections are open", e, d.open)
		}
	})
}
