package interop

import (
	"fmt"
	"path/filepath"
)

// SOCKSUser, SOCKSPassword and SOCKSHost are whom a proxy serves, and where its own
// connections come from.
const (
	SOCKSUser     = "ann"
	SOCKSPassword = "sesame"
	SOCKSHost     = "127.0.0.60"
)

// SOCKS is microsocks, a SOCKS5 proxy.
type SOCKS struct {
	*process
	Addr string // "127.0.0.1:20053"
}

// StartSOCKS starts a proxy. An error that wraps ErrMissing says what to install.
func StartSOCKS() (*SOCKS, error) {
	program, err := find("microsocks", "microsocks")
	if err != nil {
		return nil, err
	}
	port, err := FreePort("127.0.0.1")
	if err != nil {
		return nil, err
	}
	dir, err := newDir("socks")
	if err != nil {
		return nil, err
	}
	p, err := start(dir, filepath.Join(dir, "output"), program, "-i", "127.0.0.1", "-p", fmt.Sprint(port),
		"-u", SOCKSUser, "-P", SOCKSPassword, "-b", SOCKSHost)
	if err != nil {
		return nil, err
	}
	s := &SOCKS{process: p, Addr: hostPort("127.0.0.1", port)}
	if err := p.waitUntil("the SOCKS proxy", func() error { return listens(s.Addr) }); err != nil {
		p.Stop()
		return nil, err
	}
	return s, nil
}
