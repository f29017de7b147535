package smtptest

import (
	"context"
	"crypto/x509"
	"net"
	"os"
	"syscall"
)

// Network is servers by address, as "192.0.2.25:25" or "/run/lmtp". A nil
// *Server is a host that never answers.
type Network map[string]*Server

// DialContext opens a connection in memory to the server at addr. An address
// that is not in the Network refuses; a host that never answers holds the call
// until ctx ends.
func (n Network) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	server, ok := n[addr]
	if !ok {
		return nil, dialError(network, address(network, addr), os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	if server == nil {
		<-ctx.Done()
		return nil, dialError(network, address(network, addr), ctx.Err())
	}
	return server.DialContext(ctx, network, addr)
}

// Roots holds the authorities of all servers.
func (n Network) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, server := range n {
		if server != nil {
			server.ca.addTo(pool)
		}
	}
	return pool
}

// Close closes all servers.
func (n Network) Close() error {
	for _, server := range n {
		if server != nil {
			server.Close()
		}
	}
	return nil
}
