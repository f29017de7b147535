package resolve

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/cache"
)

// Routes finds Routes, keeps in a Cache what the DNS says of a next hop, and can
// look up hosts only when they are needed.
//
// One entry of the Cache is all that is known of a next hop: its hosts and their
// addresses, or that there are none. It holds as long as the record with the
// least TTL, but at least 30 seconds and at most a day, or 15 minutes for what
// does not exist. What could not be looked up is not kept. The order of the
// hosts is made for every Route anew.
//
// A Routes is safe for many goroutines. It must not be copied, nor changed after
// its first use.
type Routes struct {
	Routing  Routing
	Resolver Resolver    // nil: Default()
	Cache    cache.Cache // nil: nothing is kept
	// Addresses is how many addresses the caller will try at most. If the hosts
	// have more, and of both families, some are left out of Host.Addrs, so
	// that each family has its share. Zero or less: none is left out.
	Addresses int
	// Configured: next hops come from somebody who is trusted, not from the
	// addresses of recipients. Local addresses, and those in Routing.Self, are
	// allowed.
	Configured bool

	once     sync.Once
	resolver Resolver
	loader   cache.Loader[*Route] // of which only the facts are set
}

// Route finds the hosts for hop, with the addresses of all of them. The error is
// that of Routing.Route.
func (s *Routes) Route(ctx context.Context, hop NextHop) (*Route, error) {
	r, err := s.open(ctx, hop)
	if err != nil {
		return nil, err
	}
	for len(r.Hosts) < r.end && r.extend(ctx, r.end) {
	}
	if err := r.failure(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// Begin finds the best hosts for hop: as many as have to be known before the
// first can be tried, which are all of the best preference, and more where none
// of them has an address, or where the others are in the Cache. Route.More finds
// the others. The error is that of Routing.Route.
//
//	route, err := routes.Begin(ctx, hop)
//	if err != nil {
//		return err
//	}
//	for i := 0; i < len(route.Hosts) || route.More(ctx); i++ {
//		try(&route.Hosts[i])
//	}
func (s *Routes) Begin(ctx context.Context, hop NextHop) (*Route, error) {
	r, err := s.open(ctx, hop)
	if err != nil {
		return nil, err
	}
	for !r.usable() && r.More(ctx) {
	}
	if err := r.failure(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// More adds to Hosts those of the next preference, with their addresses, and
// tells whether there are any. It is false when ctx ends, and for a Route that
// has all its hosts. Hosts that were there stay what and where they are.
func (r *Route) More(ctx context.Context) bool {
	for n := len(r.Hosts); n < r.end; {
		if !r.extend(ctx, r.reach()) {
			return false
		}
		if len(r.Hosts) > n {
			return true
		}
	}
	return false
}

// reach is the end of the next hosts that are to be known: those of the next
// preference, and what is known anyway behind them.
func (r *Route) reach() int {
	end := r.tier(len(r.Hosts))
	for end < r.end {
		next := r.tier(end)
		for i := end; i < next; i++ {
			if r.all[i].state == unknown {
				return end
			}
		}
		end = next
	}
	return end
}

// tier is the end of the hosts that have the preference of the one at i.
func (r *Route) tier(i int) int {
	j := i + 1
	for j < r.end && r.all[j].Preference == r.all[i].Preference {
		j++
	}
	return j
}

// extend looks up the hosts before end and adds them to Hosts. It is false if ctx
// ended.
func (r *Route) extend(ctx context.Context, end int) bool {
	r.lookup(ctx, end)
	if ctx.Err() != nil {
		return false
	}
	start := len(r.Hosts)
	end = r.cutSelf(start, end)
	coins := rand.Uint64() // one for each host; the 65th has that of the first
	for i := start; i < end; i++ {
		r.settle(&r.all[i], coins>>(i%64)&1)
	}
	for i := start; i < end; i = r.tier(i) {
		r.preferFamily(r.all[i:min(r.tier(i), end)])
	}
	end = r.balance(start, end)
	r.Hosts = r.all[:end:end]
	return true
}

func (r *Route) usable() bool {
	for i := range r.Hosts {
		if r.Hosts[i].Err == nil {
			return true
		}
	}
	return false
}

// open begins a Route: its hosts have their order and no addresses.
func (s *Routes) open(ctx context.Context, hop NextHop) (*Route, error) {
	s.once.Do(s.init)
	if hop.Name == "" {
		return nil, errors.New("the next hop has no name; make it with ParseNextHop")
	}
	if hop.Kind == ViaSocket {
		hosts := []Host{{Name: hop.Name, state: known}}
		return &Route{NextHop: hop, Hosts: hosts, Secure: true, routes: s, all: hosts, end: 1}, nil
	}
	r, err := s.find(ctx, hop)
	if err != nil {
		return nil, err
	}
	if err := r.verdict.failure(hop, s.Routing.Service); err != nil {
		return nil, err
	}
	if r.shared {
		r = &Route{facts: r.facts, all: r.own()}
	} else {
		r.all = r.hosts
	}
	r.NextHop, r.Secure, r.routes, r.end = hop, r.secure, s, len(r.all)
	r.shuffle()
	r.cutNames()
	return r, nil
}

func (s *Routes) init() {
	s.resolver = orDefaultResolver(s.Resolver)
	s.loader = cache.Loader[*Route]{Cache: s.Cache, Load: s.load, Encode: encodeRoute, Decode: decodeRoute}
}

// find gives what is known of hop.
func (s *Routes) find(ctx context.Context, hop NextHop) (*Route, error) {
	var room [128]byte
	key, err := s.key(room[:0], hop)
	if err != nil {
		return nil, err
	}
	if s.Cache == nil || isAddress(hop) {
		r, _, err := s.load(ctx, string(key))
		return r, err
	}
	if r, ok := s.loader.Fresh(ctx, key); ok {
		return r, nil
	}
	return s.loader.Get(ctx, string(key))
}

// isAddress tells a next hop about which the DNS is not asked.
func isAddress(hop NextHop) bool {
	if hop.Kind != ViaHost {
		return false
	}
	_, ok := parseAddr(hop.Name)
	return ok
}

// parseAddr is netip.ParseAddr, which makes an error of every name: what cannot be
// an address is not shown to it.
func parseAddr(s string) (addr netip.Addr, ok bool) {
	if s == "" || (s[len(s)-1] < '0' || s[len(s)-1] > '9') && !strings.Contains(s, ":") {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(s)
	return addr, err == nil
}

// The key of a next hop says all on which the facts depend:
//
//	route1:3m:example.org              families; MX records
//	route1:3h:mx.example.org           one host
//	route1:3s0submission:example.org   MXInstead and Service; SRV records
//
// The 1 is the version of the encoding.
const keyPrefix = "route1:"

// key appends the key to one that is empty.
func (s *Routes) key(key []byte, hop NextHop) ([]byte, error) {
	key = append(key, keyPrefix...)
	key = append(key, '0'+byte(s.Routing.families()))
	switch service := s.Routing.Service; {
	case hop.Kind == ViaHost:
		key = append(key, 'h')
	case service == "" || hop.Port != 0 && hop.Port != servicePorts[strings.ToLower(service)]:
		key = append(key, 'm')
	case !isService(service):
		return nil, s.Routing.Fault()
	default:
		key = append(key, 's', '0'+byte(s.Routing.MXInstead&(SRVMissing|SRVFails)))
		key = append(key, service...)
	}
	key = append(key, ':')
	return append(key, hop.Name...), nil
}

// load looks up the names of the hosts. It keeps only what is final; with
// addresses the rest is kept by Route.remember.
func (s *Routes) load(ctx context.Context, key string) (*Route, cache.Life, error) {
	kind, name, _ := strings.Cut(key[len(keyPrefix)+1:], ":")
	var f facts
	var err error
	switch kind[0] {
	case 'h':
		f = facts{secure: true, expires: until(maxLife), hosts: []Host{{Name: name}}}
	case 's':
		f, err = s.Routing.lookupSRV(ctx, s.resolver, name)
	default:
		f, err = s.Routing.lookupMX(ctx, s.resolver, name)
	}
	f.shared = true
	if err != nil || f.verdict == hasHosts {
		return &Route{facts: f}, cache.Life{}, err
	}
	return &Route{facts: f}, f.life(), nil
}

// lookup finds the addresses of those hosts before end that have none yet.
func (r *Route) lookup(ctx context.Context, end int) {
	var missing []*Host
	for i := len(r.Hosts); i < end; i++ {
		if h := &r.all[i]; h.state == unknown {
			missing = append(missing, h)
		}
	}
	if len(missing) == 0 {
		return
	}
	s := r.routes
	ttls := s.Routing.lookupHosts(ctx, s.resolver, missing)
	for _, h := range missing {
		h.Secure = h.Secure && !r.weak
	}
	if s.Cache != nil && ctx.Err() == nil {
		r.remember(ctx, missing, ttls)
	}
}

// remember keeps what was found out about hosts. What could not be looked up
// stays unknown.
func (r *Route) remember(ctx context.Context, found []*Host, ttls []time.Duration) {
	if r.weak || isAddress(r.NextHop) {
		return
	}
	key, err := r.routes.key(nil, r.NextHop)
	if err != nil {
		return
	}
	f := r.with(found, ttls)
	if f.shared = true; f.anyKnown() {
		r.facts = f
		r.routes.loader.Put(ctx, string(key), r, f.life())
	}
}

// failure tells why no host has an address; nil if one has.
func (r *Route) failure(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("looking up %s: %w", r.NextHop.Name, err)
	}
	if r.usable() {
		return nil
	}
	var worst error
	for _, h := range r.Hosts {
		if worst == nil || severity(h.Err) > severity(worst) {
			worst = h.Err
		}
	}
	name := r.NextHop.Name
	switch {
	case worst == nil:
		return fmt.Errorf("%s: %w", name, ErrLoop)
	case r.Self:
		return fmt.Errorf("this machine is a backup for %s, and no better host can be used: %w: %v", name, ErrNotNow, worst)
	case len(r.Hosts) == 1 && r.Hosts[0].Name == name:
		return worst
	case r.routes.Routing.DeferNoAddress && errors.Is(worst, ErrNotFound):
		return fmt.Errorf("no host of %s has an address: %w, as Routing.DeferNoAddress asks: %v", name, ErrNotNow, worst)
	case errors.Is(worst, ErrNoDomain):
		// The hosts do not exist, but the domain does.
		return fmt.Errorf("none of the MX hosts of %s exists: %w", name, ErrNotFound)
	}
	return fmt.Errorf("no MX host of %s can be used: %w", name, worst)
}

// severity orders the reasons for having no address: as long as one host may get
// one, mail waits.
func severity(err error) int {
	switch {
	case errors.Is(err, ErrNoDomain):
		return 0
	case errors.Is(err, ErrNotFound):
		return 1
	case errors.Is(err, ErrForbidden):
		return 2
	}
	return 3
}
