package resolve

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	defaultTimeout  = 5 * time.Second
	defaultAttempts = 2
	// The bounds of resolv.conf(5).
	maxTimeout  = 30 // seconds
	maxAttempts = 5
	maxServers  = 3
)

// config is whom to ask, and how patiently.
type config struct {
	servers  []string // "host:port"
	timeout  time.Duration
	attempts int
}

// config puts the fields of d together with the system's configuration.
func (d *DNS) config() (config, error) {
	c := config{servers: withPorts(d.Servers), attempts: defaultAttempts}
	if len(c.servers) == 0 {
		var err error
		if c, err = d.conf.load(); err != nil {
			return c, err
		}
	}
	if d.Timeout > 0 {
		c.timeout = d.Timeout
	}
	c.timeout = cmp.Or(c.timeout, defaultTimeout)
	return c, nil
}

// withPorts adds port 53 where a server is given without port.
func withPorts(servers []string) []string {
	with := slices.Clone(servers)
	for i, s := range with {
		if _, _, err := net.SplitHostPort(s); err != nil {
			with[i] = net.JoinHostPort(strings.Trim(s, "[]"), "53")
		}
	}
	return with
}

// confFile is what was last read of resolv.conf(5).
type confFile struct {
	path string // "": /etc/resolv.conf

	mu      sync.Mutex
	modTime time.Time // guarded by mu, as what follows
	size    int64
	conf    config
}

// load reads the file if it has changed since the last time.
func (f *confFile) load() (config, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path := cmp.Or(f.path, "/etc/resolv.conf")
	info, err := os.Stat(path)
	if err != nil {
		return config{}, fmt.Errorf("cannot find the name servers of this machine; set DNS.Servers: %w", err)
	}
	if f.conf.servers != nil && info.ModTime().Equal(f.modTime) && info.Size() == f.size {
		return f.conf, nil
	}
	c, err := dns.ClientConfigFromFile(path)
	if err != nil {
		return config{}, fmt.Errorf("cannot read the name servers of this machine; set DNS.Servers: %w", err)
	}
	if len(c.Servers) == 0 {
		c.Servers = []string{"127.0.0.1"} // as resolv.conf(5) has it
	}
	f.modTime, f.size = info.ModTime(), info.Size()
	f.conf = config{
		servers:  withPorts(c.Servers[:min(len(c.Servers), maxServers)]),
		timeout:  time.Duration(min(c.Timeout, maxTimeout)) * time.Second,
		attempts: min(c.Attempts, maxAttempts),
	}
	return f.conf, nil
}
