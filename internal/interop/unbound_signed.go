package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ValidatingUnbound is a private resolver that validates, with a trust anchor for
// each signed zone.
type ValidatingUnbound struct {
	*Unbound        // asked by UDP and TCP at Addr
	TLSAddr  string // asked by DNS over TLS
	TLSName  string // the name in its certificate
	CertFile string // which is its own issuer
}

// ValidatingConfig is what a ValidatingUnbound knows. All names outside the zones
// do not exist.
type ValidatingConfig struct {
	Zones []SignedZone
	// Authority is a server that has the zones, instead of Zones. nil: unbound
	// reads them itself.
	Authority *Knot
	// NoAnchor tells whether it trusts nobody, and so validates nothing.
	NoAnchor bool
	// Refuses tells whether every question gets REFUSED.
	Refuses bool
	// Port is where it is asked. Zero: a free one.
	Port uint16
}

// StartSignedUnbound starts a resolver with zones of its own. An error that wraps
// ErrMissing says what to install.
func StartSignedUnbound(c ValidatingConfig) (*ValidatingUnbound, error) {
	program, err := find("unbound", "unbound")
	if err != nil {
		return nil, err
	}
	dir, err := newDir("ubs")
	if err != nil {
		return nil, err
	}
	u, err := startValidating(program, dir, c)
	if err != nil {
		os.RemoveAll(dir)
	}
	return u, err
}

func startValidating(program, dir string, c ValidatingConfig) (*ValidatingUnbound, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	if c.Port != 0 {
		ports[0] = c.Port
	}
	u := &ValidatingUnbound{
		TLSAddr: hostPort("127.0.0.1", ports[1]), TLSName: "resolver.example.test", CertFile: filepath.Join(dir, "cert.pem"),
	}
	if err := writeCertificate(u.TLSName, u.CertFile, filepath.Join(dir, "key.pem")); err != nil {
		return nil, err
	}
	access := "allow"
	if c.Refuses {
		access = "refuse"
	}
	head := strings.NewReplacer("DIR", dir, "TLSPORT", fmt.Sprint(ports[1]), "PORT", fmt.Sprint(ports[0]), "ACCESS", access).Replace(validatingConf)
	zones, err := c.writeZones(dir)
	if err != nil {
		return nil, err
	}
	if err := writeFiles(dir, map[string]string{"unbound.conf": head + zones}); err != nil {
		return nil, err
	}
	u.Unbound, err = runUnbound(program, dir, ports[0])
	return u, err
}

// writeZones writes the zones and gives the lines of the configuration.
func (c ValidatingConfig) writeZones(dir string) (string, error) {
	var server, sources strings.Builder
	zones := c.Zones
	if c.Authority != nil {
		zones = c.Authority.zones
	}
	for _, z := range zones {
		anchor, err := c.anchor(z, dir)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&server, "  local-zone: \"%s.\" transparent\n", z.Name)
		switch {
		case c.NoAnchor:
		case anchor == "":
			fmt.Fprintf(&server, "  domain-insecure: \"%s\"\n", z.Name)
		default:
			fmt.Fprintf(&server, "  trust-anchor: \"%s\"\n", anchor)
		}
		sources.WriteString(c.source(z, dir))
	}
	return server.String() + sources.String(), nil
}

// anchor writes the zone, where it is unbound that has it.
func (c ValidatingConfig) anchor(z SignedZone, dir string) (string, error) {
	if c.Authority != nil {
		return c.Authority.anchors[z.Name], nil
	}
	return z.write(dir)
}

// source says where unbound finds the zone.
func (c ValidatingConfig) source(z SignedZone, dir string) string {
	switch {
	case z.State == Lame:
		return fmt.Sprintf("forward-zone:\n  name: \"%s\"\n  forward-addr: 127.0.0.3\n", z.Name)
	case c.Authority != nil:
		return fmt.Sprintf("stub-zone:\n  name: \"%s\"\n  stub-addr: %s\n", z.Name, strings.Replace(c.Authority.Addr, ":", "@", 1))
	}
	return fmt.Sprintf("auth-zone:\n  name: \"%s\"\n  zonefile: \"%s\"\n  for-upstream: yes\n  for-downstream: no\n  fallback-enabled: no\n",
		z.Name, z.zoneFile(dir))
}

// The lines of the zones go on from here.
const validatingConf = `remote-control:
  control-enable: no
server:
  interface: 127.0.0.1@PORT
  interface: 127.0.0.1@TLSPORT
  port: PORT
  tls-port: TLSPORT
  tls-service-pem: "DIR/cert.pem"
  tls-service-key: "DIR/key.pem"
  access-control: 127.0.0.0/8 ACCESS
  do-ip6: no
  do-not-query-localhost: no
  do-not-query-address: 127.0.0.3
  username: ""
  chroot: ""
  directory: "DIR"
  pidfile: "DIR/unbound.pid"
  logfile: "DIR/unbound.log"
  use-syslog: no
  num-threads: 1
  module-config: "validator iterator"
  ede: yes
  local-zone: "." static
`
