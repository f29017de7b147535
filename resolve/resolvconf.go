package resolve

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	defaultTimeout  = 5 * time.Second
	defaultAttempts = 2
	defaultTotal    = time.Minute
	defaultDots     = 1
	// The bounds of resolv.conf(5).
	maxTimeout  = 30 // seconds
	maxAttempts = 5
	maxServers  = 3
	maxDots     = 15
	maxSearch   = 32 // domains; resolv.conf(5) has no bound any more
	// confInterval is how often the file is looked at.
	confInterval = 5 * time.Second
	// maxConfSize is more than any such file needs.
	maxConfSize = 1 << 20
)

// config is whom to ask, and how patiently.
type config struct {
	servers  []nameServer
	timeout  time.Duration // of a try
	total    time.Duration // of a lookup
	attempts int           // rounds
	rotate   bool
	trustAD  bool     // all servers
	search   []string // only looked at if DNS.Search says so
	dots     int      // a name with as many is looked up as it is first
}

// config puts the fields of d together with the system's configuration, which
// is needed only where a field leaves something open.
func (d *DNS) config() (config, error) {
	servers, err := parseServers(d.Servers)
	if err != nil {
		return config{}, err
	}
	c := config{servers: servers, attempts: defaultAttempts, dots: defaultDots}
	if len(servers) == 0 || d.Search != 0 && d.SearchList == nil {
		file, err := d.conf.load()
		if err != nil {
			return c, err
		}
		if c.search, c.dots = file.search, file.dots; len(servers) == 0 {
			c = file
		}
	}
	if d.SearchList != nil {
		c.search = d.SearchList
	}
	c.rotate = c.rotate || d.Rotate
	c.timeout = orDefault(d.Timeout, cmp.Or(c.timeout, defaultTimeout))
	c.total = orDefault(d.Total, defaultTotal)
	return c, nil
}

func orDefault(d, usual time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return usual
}

// confFile is what was last read of resolv.conf(5).
type confFile struct {
	path string // "": /etc/resolv.conf

	mu      sync.Mutex
	looked  time.Time // guarded by mu, as what follows
	modTime time.Time
	size    int64
	known   bool // conf has been read
	conf    config
}

// load looks every few seconds whether the file has changed, and reads it then.
// What cannot be read now, as while it is written anew, stays as it was.
func (f *confFile) load() (config, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known && time.Since(f.looked) < confInterval {
		return f.conf, nil
	}
	if err := f.read(); err != nil && !f.known {
		return config{}, fmt.Errorf("cannot find the name servers of this machine; set DNS.Servers: %w", err)
	}
	f.looked = time.Now()
	return f.conf, nil
}

func (f *confFile) read() error {
	path := cmp.Or(f.path, "/etc/resolv.conf")
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if f.known && info.ModTime().Equal(f.modTime) && info.Size() == f.size {
		return nil
	}
	if info.Size() > maxConfSize {
		return fmt.Errorf("%s is too large", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	f.modTime, f.size = info.ModTime(), info.Size()
	f.conf, f.known = parseConf(string(text)), true
	return nil
}

// parseConf reads what resolv.conf(5) describes. Lines and options that mean
// nothing to us are skipped, as every resolver does: edns0 is always on, and the
// rest is about other ways of looking up.
func parseConf(text string) config {
	c := config{attempts: defaultAttempts, dots: defaultDots}
	network := "udp://"
	var addrs []string
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 || strings.ContainsAny(line[:1], " \t#;") {
			continue
		}
		switch words[0] {
		case "nameserver":
			if isAddr(words[1]) && len(addrs) < maxServers {
				addrs = append(addrs, words[1])
			}
		case "domain":
			c.search = words[1:2]
		case "search":
			c.search = words[1:min(len(words), 1+maxSearch)]
		case "options":
			for _, option := range words[1:] {
				if option == "use-vc" {
					network = "tcp://"
				}
				c.setOption(option)
			}
		}
	}
	if len(addrs) == 0 {
		addrs = []string{"127.0.0.1"} // as resolv.conf(5) has it
	}
	for _, addr := range addrs {
		if s, err := parseServer(network + addr); err == nil {
			c.servers = append(c.servers, s)
		}
	}
	return c
}

// isAddr tells whether a server can be asked at an address, which may have a zone
// of any bytes.
func isAddr(s string) bool {
	_, notAddr := netip.ParseAddr(s)
	_, notServer := parseServer(s)
	return notAddr == nil && notServer == nil
}

// setOption takes one word of a line of options.
func (c *config) setOption(option string) {
	name, value, _ := strings.Cut(option, ":")
	n, err := strconv.Atoi(value)
	number := err == nil && n >= 0
	switch {
	case name == "timeout" && number:
		c.timeout = time.Duration(min(max(n, 1), maxTimeout)) * time.Second
	case name == "attempts" && number:
		c.attempts = min(max(n, 1), maxAttempts)
	case name == "ndots" && number:
		c.dots = min(n, maxDots)
	case name == "rotate":
		c.rotate = true
	case name == "trust-ad":
		c.trustAD = true
	}
}
