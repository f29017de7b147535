// Tlsprobe shows what the mail security of domains looks like from outside:
//
//	tlsprobe example.net
//	tlsprobe -json example.net '[mx.example.org]:587'
//
// It asks for MX, TLSA, MTA-STS and TLSRPT records, connects to each host as mail would,
// and says how far TLS came and why. DNSSEC needs a validating name server: one on this
// machine, or one that -server names. "tlsprobe -h" lists the flags.
//
// It is a small program over the public API of Postrider: probe.go asks, print.go prints.
// The exit code is 0 if every host would get mail as its domain has published, 1 if one
// would not, or could not be asked, and 64 if the command line is at fault.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

const (
	exitGood  = 0
	exitBad   = 1
	exitUsage = 64
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are the command line.
type options struct {
	json    bool
	server  string
	port    uint
	local   bool
	roots   string
	helo    string
	timeout time.Duration
	targets []string
}

// run is the whole program; it gives the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseFlags(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return exitGood
	}
	var p *prober
	if err == nil {
		p, err = newProber(o)
	}
	if err != nil {
		fmt.Fprintln(stderr, "tlsprobe:", err)
		return exitUsage
	}
	code := exitGood
	for i, target := range o.targets {
		f := p.probe(ctx, target)
		if o.json {
			encoder := json.NewEncoder(stdout)
			encoder.SetIndent("", "  ")
			encoder.SetEscapeHTML(false)
			encoder.Encode(f) // a line that cannot be written is missed by its reader
		} else {
			if i > 0 {
				fmt.Fprintln(stdout)
			}
			f.print(&paper{Writer: stdout, colour: hasColour(stdout)})
		}
		if !f.good() {
			code = exitBad
		}
	}
	return code
}

func parseFlags(args []string, stdout io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("tlsprobe", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	help := func() {
		fmt.Fprint(stdout, "usage: tlsprobe [flags] domain...\n\nA domain is as in a next hop: example.net, [mx.example.net], [192.0.2.1]:587.\n\n")
		flags.SetOutput(stdout)
		flags.PrintDefaults()
	}
	flags.BoolVar(&o.json, "json", false, "print JSON, one object for each domain")
	flags.StringVar(&o.server, "server", "", "the name server to ask, which is believed about DNSSEC; none: those of this machine, believed if they are on it")
	flags.UintVar(&o.port, "port", 25, "the port where the next hop has none")
	flags.BoolVar(&o.local, "local", false, "also connect to loopback and private addresses")
	flags.StringVar(&o.roots, "roots", "", "a file of PEM `certificates` that are trusted in place of the system's")
	flags.StringVar(&o.helo, "helo", "", "our name in EHLO; none: that of this machine")
	flags.DurationVar(&o.timeout, "timeout", time.Minute, "how long one domain may take")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			help()
		}
		return o, err
	}
	o.targets = flags.Args()
	switch {
	case len(o.targets) == 0:
		return o, errors.New("no domain is given; see tlsprobe -h")
	case o.port == 0 || o.port > 65535:
		return o, fmt.Errorf("-port: %d is no port", o.port)
	case o.timeout <= 0:
		return o, errors.New("-timeout: it must be positive")
	}
	return o, nil
}

func newProber(o options) (*prober, error) {
	p := &prober{timeout: o.timeout, cache: &cache.Memory{}}
	if o.roots != "" {
		text, err := os.ReadFile(o.roots)
		if err != nil {
			return nil, fmt.Errorf("-roots: %w", err)
		}
		p.roots = x509.NewCertPool()
		if !p.roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("-roots: there is no certificate in %s", o.roots)
		}
	}
	dns := &resolve.DNS{}
	if o.server != "" {
		addr, err := nameServer(o.server)
		if err != nil {
			return nil, err
		}
		dns.Servers, dns.TrustAD = []string{o.server}, []netip.Prefix{netip.PrefixFrom(addr, addr.BitLen())}
	}
	p.dns = dns
	p.routing = resolve.Routing{Local: o.local, Port: uint16(o.port)}
	p.dialer = &smtpclient.Dialer{LocalName: o.helo, TLSConfig: &tls.Config{RootCAs: p.roots}}
	p.sts = &tlspolicy.MTASTS{Roots: p.roots, Local: o.local}
	for _, target := range o.targets {
		if _, err := resolve.ParseNextHop(target); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// nameServer is the address of a name server.
func nameServer(s string) (netip.Addr, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr, nil
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("-server: %q is no IP address, with a port or without", s)
	}
	return ap.Addr(), nil
}
