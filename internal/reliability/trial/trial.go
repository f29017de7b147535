package trial

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// What the relay wants.
const (
	user   = "ann"
	secret = "Vx9-trial-secret"
)

// Trial says how large and how wild it is.
type Trial struct {
	Seed     uint64
	Messages int // in all
	Rounds   int // after each the books are closed
	Senders  int // at the same time
	// Sockets: real ones, behind a proxy. Otherwise all is in memory.
	Sockets bool
	// Beat is the measure of time: servers start again after some beats, DNS and
	// policies change after some, senders wait for less than one.
	Beat     time.Duration
	Timeouts smtpclient.Timeouts
	// Rest is told after each round, when nothing is under way any more.
	Rest func(round int, f Figures)

	dice       dice
	identities identities
	names      *names
	policies   *policies
	places     []*place
	byAddr     map[string]*place
	pools      []*smtpclient.Pool
	clients    []sender
	ledger     Ledger
	spans      spans
}

// sender is a way to send: a client, and next hops where it has its own.
type sender struct {
	client   *smtpclient.Client
	nextHops []string
}

// Run sends all messages. The error is one of setting up; what is wrong with the
// library is in Figures.
func (t *Trial) Run(ctx context.Context) (Figures, error) {
	if err := t.build(); err != nil {
		return Figures{}, err
	}
	defer t.names.close()
	each := t.Messages / t.Rounds
	for round := range t.Rounds {
		if err := t.round(ctx, round*each, each); err != nil {
			return t.ledger.Figures(), err
		}
		if t.Rest != nil {
			t.Rest(round+1, t.ledger.Figures())
		}
	}
	for _, p := range t.pools {
		if err := p.Close(ctx); err != nil {
			return t.ledger.Figures(), err
		}
	}
	for _, p := range t.places {
		p.proxy.close()
	}
	return t.ledger.Figures(), nil
}

// build makes the town and the clients.
func (t *Trial) build() (err error) {
	t.dice, t.ledger.letters = dice(t.Seed), make(map[int]*letter)
	if t.identities, err = newIdentities(); err != nil {
		return err
	}
	t.names = &names{dice: t.dice, sockets: t.Sockets}
	if err := t.names.turn(); err != nil {
		return err
	}
	t.policies = &policies{dice: t.dice, roots: t.identities.roots}
	t.places, t.byAddr = newPlaces(), make(map[string]*place)
	for _, p := range t.places {
		t.byAddr[p.addr] = p
		if t.Sockets {
			if p.proxy, err = newProxy(t, p); err != nil {
				return err
			}
		}
	}
	t.clients = t.newClients()
	return nil
}

// longestCall is how long no call may take.
func (t *Trial) longestCall() time.Duration { return 200 * t.Beat }

// newClients are ways to send that share pools, a cache and a limiter.
func (t *Trial) newClients() []sender {
	t.pools = []*smtpclient.Pool{
		{PerDestination: 3, PerEndpoint: 4, Total: 30, KeepAll: true, MaxUses: 40, MaxAge: 20 * t.Beat, IdleTime: t.Beat},
		{PerDestination: 2, MaxUses: 9, IdleTime: t.Beat / 4},
	}
	dialer := t.dialer(nil)
	base := smtpclient.Client{
		LocalName: "client.example.org", Resolver: t.names.resolver(4 * t.Beat), TLS: t.policies, Cache: &cache.Memory{},
		Dialer: dialer, Pool: t.pools[0], Limits: smtpclient.Limits{Call: t.longestCall()},
	}
	if !t.Sockets {
		base.Limits.Destinations = 1 // what begins at the same time cannot be repeated
	}
	tight, alone, chunks, joined, store, relay := base, base, base, base, base, base
	tight.Pool = t.pools[1]
	tight.Limiter = &smtpclient.LocalLimiter{Wait: t.Beat, Rules: func(u smtpclient.Use) []smtpclient.Limit {
		return []smtpclient.Limit{{Key: fmt.Sprint(u.Site, u.Connection), Max: 6}}
	}}
	alone.Pool = nil
	alone.Limits.Call, alone.Limits.Addresses, alone.Limits.Sessions, alone.Limits.Recipients = 50*t.Beat, 2, 1, 1
	chunks.Dialer = t.dialer(func(smtpclient.Target) smtpclient.Quirks {
		return smtpclient.Quirks{Chunking: smtpclient.ChunkingAfter}
	})
	joined.JoinDomains, joined.Dialer = true, t.dialer(nil)
	joined.Dialer.TLSConfig = &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(50)}
	store.Protocol, store.Pool = smtpclient.LMTP, t.pools[1]
	relay.Auth = &smtpclient.Credential{User: user, Password: secret}
	relay.TLS = tlspolicy.Sources{relayPolicy{t.policies}, t.policies}
	return []sender{
		{&base, nil}, {&base, nil}, {&base, nil}, {&tight, nil}, {&alone, nil}, {&chunks, nil}, {&joined, nil},
		{&store, []string{"inet:store0.example:24", "inet:store1.example:24"}}, {&relay, []string{"[relay.example]:587"}},
	}
}

// relayPolicy is Verify for the relay: a password is at stake.
type relayPolicy struct{ *policies }

func (p relayPolicy) Decide(ctx context.Context, q tlspolicy.Query) (tlspolicy.Policy, error) {
	if q.Host.Name != "relay.example" {
		return tlspolicy.Policy{}, nil
	}
	if l, ok := ctx.Value(letterKey{}).(*letter); ok {
		l.decided(q.Host.Name, tlspolicy.Verify)
	}
	return tlspolicy.Policy{Level: tlspolicy.Verify, Roots: p.roots}, nil
}

func (t *Trial) dialer(quirks func(smtpclient.Target) smtpclient.Quirks) *smtpclient.Dialer {
	return &smtpclient.Dialer{Timeouts: t.Timeouts, Quirks: quirks, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		p := t.byAddr[addr]
		switch {
		case p == nil:
			return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
		case t.Sockets:
			return (&net.Dialer{}).DialContext(ctx, network, p.proxy.addr)
		}
		return p.dial(ctx, t, network)
	}}
}

// round sends the letters from first on, while the town changes, and closes the
// books.
func (t *Trial) round(ctx context.Context, first, n int) error {
	for _, p := range t.places {
		if err := p.start(t); err != nil {
			return err
		}
	}
	changing, stop := context.WithCancel(ctx)
	var changes sync.WaitGroup
	for _, p := range t.places {
		changes.Go(func() { t.restart(changing, p) })
	}
	changes.Go(func() { t.turn(changing) })
	var senders sync.WaitGroup
	for s := range t.Senders {
		senders.Go(func() {
			pause(ctx, t.dice.about("begin", first, s).upTo(t.Beat))
			for i := first + s; i < first+n; i += t.Senders {
				t.send(ctx, t.letter(i))
			}
		})
	}
	senders.Wait()
	stop()
	changes.Wait()
	for _, p := range t.places {
		p.stop(&t.ledger)
	}
	t.ledger.settle()
	return ctx.Err()
}

// restart starts a server again and again, and leaves it down for a while.
func (t *Trial) restart(ctx context.Context, p *place) {
	for {
		d := t.dice.about("restart", p.number, p.starts)
		if !pause(ctx, 2*t.Beat+d.upTo(30*t.Beat)) {
			return
		}
		p.stop(&t.ledger)
		if d.oneIn(3) {
			pause(ctx, d.upTo(2*t.Beat))
		}
		if err := p.start(t); err != nil {
			t.ledger.violation("%s does not start again: %v", p.name, err)
			return
		}
	}
}

// turn changes the DNS and the policies.
func (t *Trial) turn(ctx context.Context) {
	for pause(ctx, 7*t.Beat+1) {
		t.policies.epoch.Add(1)
		if err := t.names.turn(); err != nil {
			t.ledger.violation("the name server does not start again: %v", err)
			return
		}
	}
}

// send sends a letter, and notes what was reported.
func (t *Trial) send(ctx context.Context, l *letter) {
	d := t.dice.about("sending", l.id)
	wait := time.Millisecond
	if d.oneIn(3) {
		wait = t.Beat
	}
	if !pause(ctx, 1+d.upTo(wait)) {
		return
	}
	ctx = context.WithValue(ctx, letterKey{}, l)
	if l.patient > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, l.patient)
		defer cancel()
	}
	t.ledger.enclose(l)
	way := t.clients[l.how]
	l.env.NextHops = way.nextHops
	start := time.Now()
	report, err := way.client.Deliver(ctx, l.env, smtpclient.Bytes(l.content))
	t.spans.add(time.Since(start))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report, l.err = report.Outcomes, err
}
