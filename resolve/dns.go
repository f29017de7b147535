package resolve

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

// DNS is a Resolver that asks name servers. The zero value is ready: it asks
// those of this machine. It is safe for many goroutines, and must neither be
// changed nor copied after its first use.
//
// The name servers have to do recursion, as those in /etc/resolv.conf do. DNS
// keeps nothing between lookups and does not validate: DNSSEC is the work of a
// server that is trusted with it (see TrustAD).
//
// A question goes to each server by UDP, and by TCP where the answer did not
// fit, until one of them answers. Names in an Answer are as the DNS has them,
// lower-cased; bytes that a host name cannot have are escaped as \032 or \".
// Of more than 100 records the rest is left out; of MX records those with the
// best preference stay.
type DNS struct {
	// Servers are asked in this order, as "192.0.2.53:53" or, at port 53,
	// "192.0.2.53". nil: those in /etc/resolv.conf, which is read again when
	// it changes.
	Servers []string
	// TrustAD are the servers that are believed when they say that an answer
	// was validated by DNSSEC: the server itself and the way to it have to be
	// safe. nil: those on loopback; empty: none.
	TrustAD []netip.Prefix
	// Timeout bounds one try with one server, by UDP and by TCP each. There are
	// two rounds of tries. Zero: 5 s. The options timeout and attempts of
	// /etc/resolv.conf count if Servers is nil, but this field goes first.
	Timeout time.Duration
	// DialContext opens connections to servers. network is "udp" or "tcp", addr
	// is "host:port". What it gives for "udp" has to keep datagrams apart, and
	// is dialled anew for each try. It has to end with ctx. nil: a net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)

	conf confFile
}

// Bounds on one lookup.
const (
	maxAliases = 16             // CNAME records on the way
	maxAsks    = 9              // questions: the first, and 8 for targets of aliases that the answer lacked
	maxRecords = 100            // in an Answer
	maxTTL     = 24 * time.Hour // of an Answer
)

// Lookup implements Resolver. Its error is always an *Error.
func (d *DNS) Lookup(ctx context.Context, q Question) (Answer, error) {
	conf, err := d.config()
	if err != nil {
		return Answer{}, &Error{Question: q, Err: err}
	}
	w := newWalk(q)
	for range maxAsks {
		r, err := d.ask(ctx, conf, Question{w.name, q.Type})
		if err != nil {
			return Answer{}, err
		}
		done, err := w.take(r)
		if err != nil {
			return Answer{}, &Error{Question: q, Server: r.server, Kind: Malformed, Err: err}
		}
		if done {
			return w.result(), nil
		}
	}
	return Answer{}, nil // the aliases do not end: there is no such record
}

// ask puts q to the servers in turn until one answers.
func (d *DNS) ask(ctx context.Context, conf config, q Question) (reply, error) {
	x, err := d.newExchange(conf, q)
	if err != nil {
		return reply{}, &Error{Question: q, Err: err}
	}
	var failed *Error
	for range conf.attempts {
		for _, server := range conf.servers {
			if err := ctx.Err(); err != nil {
				return reply{}, contextError(q, err)
			}
			r, err := x.try(ctx, server)
			if err == nil {
				r.secure = r.msg.AuthenticatedData && d.trusts(server)
				return r, nil
			}
			// Where the signatures are wrong, a server that does not validate
			// would only hide it.
			if err.Kind == Bogus {
				return reply{}, err
			}
			// What a server said tells more than that another was silent.
			if failed == nil || failed.Kind == Timeout {
				failed = err
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return reply{}, contextError(q, err)
	}
	return reply{}, failed
}

// contextError is for a lookup that ended because ctx did.
func contextError(q Question, err error) *Error {
	kind := Other
	if errors.Is(err, context.DeadlineExceeded) {
		kind = Timeout
	}
	return &Error{Question: q, Kind: kind, Err: err}
}

// trusts tells whether the AD bit of a server counts (RFC 4035).
func (d *DNS) trusts(server string) bool {
	host, _, err := net.SplitHostPort(server)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	if d.TrustAD == nil {
		return addr.Unmap().IsLoopback()
	}
	for _, p := range d.TrustAD {
		if p.Contains(addr.Unmap()) {
			return true
		}
	}
	return false
}

func (d *DNS) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if d.DialContext != nil {
		conn, err := d.DialContext(ctx, network, addr)
		if conn == nil && err == nil {
			err = errors.New("DNS.DialContext returned neither a connection nor an error")
		}
		return conn, err
	}
	return new(net.Dialer).DialContext(ctx, network, addr)
}
