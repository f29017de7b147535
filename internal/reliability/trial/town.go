package trial

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
)

// How large the town is.
const (
	domains    = 12
	exchangers = 10
	stores     = 2
)

// addresses of the places: exchangers, then stores, then the relay.
func placeNames() (names []string) {
	for i := range exchangers {
		names = append(names, fmt.Sprintf("h%d.example", i))
	}
	for i := range stores {
		names = append(names, fmt.Sprintf("store%d.example", i))
	}
	return append(names, "relay.example")
}

// zone is what the name server says in an epoch. Some domains have no records in
// it, or say that they take no mail.
func zone(d dice, epoch int) string {
	var b strings.Builder
	b.WriteString("$ORIGIN example.\n$TTL 7\n")
	for i := range domains {
		t := d.about("domain", epoch, i)
		switch {
		case t.oneIn(60):
		case t.oneIn(80):
			fmt.Fprintf(&b, "d%d MX 0 .\n", i)
		default:
			for n := range 1 + t.IntN(3) {
				// The preferences differ: equal ones are shuffled by other dice.
				fmt.Fprintf(&b, "d%d MX %d h%d\n", i, 10*(n+1), (i+n*t.IntN(3))%exchangers)
			}
		}
	}
	for i, name := range placeNames() {
		fmt.Fprintf(&b, "%s. A 192.0.2.%d\n", name, 10+i)
	}
	return b.String()
}

// names is the name server of the town, with another zone in each epoch.
type names struct {
	dice    dice
	sockets bool

	mu     sync.Mutex
	epoch  int
	server *dnstest.Server
	addr   string
}

// turn begins the next epoch. The name server of the last one goes at once.
func (n *names) turn() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	old := n.server
	n.epoch++
	epoch := n.epoch
	n.server = &dnstest.Server{Zones: []dnstest.Zone{{Text: zone(n.dice, epoch)}}, Script: func(name string, qtype uint16) dnstest.Fault {
		t := n.dice.about("question "+name, epoch, int(qtype))
		if !t.oneIn(40) {
			return dnstest.None
		}
		return pick(t, []dnstest.Fault{dnstest.ServFail, dnstest.Refused, dnstest.Silence, dnstest.Truncate, dnstest.Garbage})
	}}
	if n.sockets {
		addr, err := n.server.Listen("udp+tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		n.addr = addr.String()
	}
	if old != nil {
		old.Close()
	}
	return nil
}

func (n *names) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.server.Close()
}

// dial is DialContext of the resolver.
func (n *names) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	n.mu.Lock()
	server, addr := n.server, n.addr
	n.mu.Unlock()
	if n.sockets {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	return server.DialContext(ctx, network, "192.0.2.53:53")
}

// resolver asks it, and remembers for as long as the records hold.
func (n *names) resolver(patience time.Duration) resolve.Resolver {
	return &resolve.Cached{Resolver: &resolve.DNS{
		Servers: []string{"192.0.2.53:53"}, DialContext: n.dial, Timeout: patience, Total: 3 * patience,
	}}
}
