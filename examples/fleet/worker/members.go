package worker

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// members knows who else is at work. Nobody decides: each tells the others that he
// lives, and all come to the same shares as soon as they have heard the same. As
// long as they have not, two may serve one shard, which costs sessions and no mail.
type members struct {
	name  string
	every time.Duration // between two signs of life
	nc    *nats.Conn

	mu   sync.Mutex
	seen map[string]time.Time
	wake chan struct{} // holds one: somebody came or went
}

const aliveSubject = "fleet.alive"

// join begins to tell and to listen. Silence for three times every is death.
func join(ctx context.Context, nc *nats.Conn, name string, every time.Duration) (*members, error) {
	m := &members{name: name, every: every, nc: nc, seen: map[string]time.Time{name: {}}, wake: make(chan struct{}, 1)}
	sub, err := nc.Subscribe(aliveSubject, m.hear)
	if err != nil {
		return nil, err
	}
	go m.tell(ctx, sub)
	return m, nil
}

// tell signs until ctx ends, and says goodbye then. Whoever is new is answered by
// the next sign.
func (m *members) tell(ctx context.Context, sub *nats.Subscription) {
	tick := time.NewTicker(m.every)
	defer tick.Stop()
	for {
		_ = m.nc.Publish(aliveSubject, []byte("+"+m.name))
		select {
		case <-tick.C:
			m.bury()
		case <-ctx.Done():
			_ = sub.Unsubscribe()
			_ = m.nc.Publish(aliveSubject, []byte("-"+m.name))
			_ = m.nc.Flush()
			return
		}
	}
}

// hear takes a sign: "+name" or "-name".
func (m *members) hear(msg *nats.Msg) {
	text := string(msg.Data)
	if len(text) < 2 || text[1:] == m.name {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, known := m.seen[text[1:]]
	lives := text[0] == '+'
	if lives {
		m.seen[text[1:]] = time.Now()
	} else {
		delete(m.seen, text[1:])
	}
	if known != lives {
		m.changed()
	}
}

// bury forgets who has been silent.
func (m *members) bury() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, at := range m.seen {
		if name != m.name && time.Since(at) > 3*m.every {
			delete(m.seen, name)
			m.changed()
		}
	}
}

func (m *members) changed() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// share lists the shards that are ours.
func (m *members) share(shards []string) []string {
	m.mu.Lock()
	names := make([]string, 0, len(m.seen))
	for name := range m.seen {
		names = append(names, name)
	}
	m.mu.Unlock()
	var ours []string
	for shard, name := range assign(names, shards) {
		if name == m.name {
			ours = append(ours, shard)
		}
	}
	slices.Sort(ours)
	return ours
}

// assign gives each shard to the worker who draws the highest number for it, and who
// has not yet as many as are due to him. Who comes or goes moves few of the others.
func assign(names, shards []string) map[string]string {
	owner, load := map[string]string{}, map[string]int{}
	due := (len(shards) + len(names) - 1) / max(len(names), 1)
	for _, shard := range shards {
		best := ""
		for _, name := range names {
			if load[name] < due && (best == "" || draw(name, shard) > draw(best, shard)) {
				best = name
			}
		}
		owner[shard] = best
		load[best]++
	}
	return owner
}

func draw(name, shard string) uint64 {
	sum := sha256.Sum256([]byte(strings.Join([]string{name, shard}, "\n")))
	return binary.BigEndian.Uint64(sum[:])
}
