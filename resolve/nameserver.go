package resolve

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// nameServer is one entry of DNS.Servers.
type nameServer struct {
	text    string // as errors show it
	network string // "udp", and TCP where that is too small; "tcp"; "tls"
	addr    string // "host:port"
	name    string // in the certificate of "tls"
}

// parseServers reads DNS.Servers.
func parseServers(texts []string) ([]nameServer, error) {
	var servers []nameServer
	for _, text := range texts {
		s, err := parseServer(text)
		if err != nil {
			return nil, fmt.Errorf("DNS.Servers has %s: %w", quote(text), err)
		}
		servers = append(servers, s)
	}
	return servers, nil
}

func parseServer(text string) (nameServer, error) {
	network, rest, found := strings.Cut(text, "://")
	if !found {
		network, rest = "udp", text
	}
	port := "53"
	switch network {
	case "udp", "tcp":
	case "tls":
		port = "853" // RFC 7858
	default:
		return nameServer{}, fmt.Errorf("%s:// is not known; write tcp:// or tls://, or the address alone", quote(network))
	}
	place, name, named := strings.Cut(rest, "#")
	if named && network != "tls" {
		return nameServer{}, fmt.Errorf("only a server with tls:// has a name after #")
	}
	host, own, err := net.SplitHostPort(place)
	if err != nil {
		host, own = strings.Trim(place, "[]"), port
	}
	if host == "" || strings.ContainsAny(host, "/ []") {
		return nameServer{}, fmt.Errorf("write it as 192.0.2.53:53, tcp://192.0.2.53 or tls://192.0.2.53#dns.example.net")
	}
	s := nameServer{network: network, addr: net.JoinHostPort(host, own), name: cmp.Or(name, host)}
	s.text = s.addr
	if network != "udp" {
		s.text = network + "://" + s.addr
	}
	return s, nil
}

// trusts tells whether the AD bit of a server counts (RFC 4035).
func (d *DNS) trusts(conf config, s nameServer) bool {
	if d.TrustAD == nil && conf.trustAD {
		return true
	}
	host, _, err := net.SplitHostPort(s.addr)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	addr = addr.WithZone("").Unmap()
	if d.TrustAD == nil {
		return addr.IsLoopback()
	}
	return slices.ContainsFunc(d.TrustAD, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// ailingTime is how long a server that did not answer is asked after the others.
const ailingTime = 30 * time.Second

// turns says which server is asked first.
type turns struct {
	questions atomic.Uint32

	mu     sync.Mutex
	ailing map[nameServer]time.Time // since when; guarded by mu
}

// order gives the servers in the order in which to ask them: from another one for
// each question where they rotate, and last those that did not answer of late.
func (t *turns) order(conf config) []nameServer {
	servers := slices.Clone(conf.servers)
	if conf.rotate && len(servers) > 1 {
		first := int(t.questions.Add(1)-1) % len(servers)
		servers = append(servers[first:], servers[:first]...)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.ailing) == 0 {
		return servers
	}
	slices.SortStableFunc(servers, func(a, b nameServer) int { return cmp.Compare(t.rank(a), t.rank(b)) })
	return servers
}

func (t *turns) rank(s nameServer) int {
	if since, ok := t.ailing[s]; ok && time.Since(since) < ailingTime {
		return 1
	}
	return 0
}

// note remembers whether a server answered. Only a few servers are ever
// configured, so the map stays small.
func (t *turns) note(s nameServer, answered bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if answered {
		delete(t.ailing, s)
		return
	}
	if t.ailing == nil {
		t.ailing = make(map[nameServer]time.Time)
	}
	t.ailing[s] = time.Now()
}
