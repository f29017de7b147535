package resolve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// DNS is a Resolver that asks name servers. The zero value is ready: it asks
// those of this machine. It is safe for many goroutines, and must neither be
// changed nor copied after its first use.
//
// The name servers have to do recursion, as those in /etc/resolv.conf do. DNS
// does not validate: DNSSEC is the work of a server that is trusted with it (see
// TrustAD). It keeps no answers (see Cached); of a server that did not answer it
// remembers for half a minute to ask it last.
//
// A question goes to each server in turn until one of them answers, in two
// rounds: by UDP, and by TCP where the answer did not fit. A server that says
// that signatures are wrong ends it. Names in an Answer are as the DNS has them,
// lower-cased; bytes that a host name cannot have are escaped as \032 or \".
// Of more than 100 records the rest is left out; of MX records those with the
// best preference stay, and that many TLSA records are an error. More than 16
// aliases lead nowhere: no records.
type DNS struct {
	// Servers are asked in this order:
	//
	//	192.0.2.53:53                       by UDP and TCP; 192.0.2.53 alone means port 53
	//	tcp://192.0.2.53                    by TCP alone
	//	tls://192.0.2.53#dns.example.net    by DNS over TLS (RFC 7858), port 853; the name has to
	//	                                    be in the certificate, and without it the address
	//
	// nil: the first three in /etc/resolv.conf with the options timeout, attempts,
	// rotate, use-vc and trust-ad there. The file is read again when it changes,
	// which is looked for every five seconds.
	Servers []string
	// TLSConfig is for servers with tls://: roots, client certificates, a session
	// cache. ServerName is set for each server. nil: the system's roots.
	TLSConfig *tls.Config
	// TrustAD are the addresses of servers that are believed when they say that
	// an answer was validated by DNSSEC: the server itself and the way to it have
	// to be safe. That the way is TLS is not enough. nil: those on loopback, and
	// those of /etc/resolv.conf if its options have trust-ad; empty: none.
	TrustAD []netip.Prefix
	// Rotate begins each question with another server. The option rotate of
	// /etc/resolv.conf does, too.
	Rotate bool
	// MixCase writes the names in questions in a random mixture of upper and lower
	// case, which whoever forges an answer has to guess, too. A server that does
	// not give the mixture back is asked by TCP, after Timeout. For servers that
	// are not on this machine or its network.
	MixCase bool
	// Timeout bounds one try with one server, by UDP and by TCP each. Zero: 5 s,
	// or the option timeout of /etc/resolv.conf if Servers is nil.
	Timeout time.Duration
	// Total bounds a whole Lookup, with all tries and aliases. Zero: 1 minute.
	Total time.Duration
	// Search completes names by a list of domains. Which domain a name means is
	// then up to whoever can add names to these, so that no answer is Secure any
	// more, and DANE is off. Zero: every name is absolute, as rule 2 of Resolver
	// has it.
	Search Search
	// SearchList are the domains for Search. nil: those of /etc/resolv.conf, with
	// its option ndots. A name with a dot is tried as it is first, otherwise.
	SearchList []string
	// Probe is asked for by Validates, which waits 5 s for the answer at most: records
	// that are signed, for all who trust the root. Set it where your servers have trust
	// anchors of their own in place of the root's. Type zero: NS. Zero: NS records of
	// the root.
	Probe Question
	// DialContext opens connections to servers. network is "udp" or "tcp" (also
	// for TLS, which comes on top), addr is "host:port". What it gives for "udp"
	// has to keep datagrams apart, and is dialled anew for each try. It has to end
	// with ctx. nil: a net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)

	conf       confFile
	turns      turns
	validation validation
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
	ctx, cancel := context.WithTimeoutCause(ctx, conf.total, errTotal)
	defer cancel()
	if d.Search != 0 {
		return d.search(ctx, conf, q)
	}
	a, err := d.lookup(ctx, conf, q)
	if a.Secure {
		d.validation.note(finding{})
	}
	return a, err
}

// lookup follows an absolute name to its records.
func (d *DNS) lookup(ctx context.Context, conf config, q Question) (Answer, error) {
	w := newWalk(q)
	for range maxAsks {
		r, err := d.ask(ctx, conf, Question{w.name, q.Type})
		if err != nil {
			return Answer{}, err
		}
		done, err := w.take(r)
		switch {
		case err == errTooMany:
			return Answer{}, &Error{Question: q, Err: err}
		case err != nil:
			return Answer{}, &Error{Question: q, Server: r.server, Kind: Malformed, Err: err}
		case done:
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
	servers := d.turns.order(conf)
	for range conf.attempts {
		for _, server := range servers {
			if ctx.Err() != nil {
				return reply{}, contextError(ctx, q, failed)
			}
			r, err := x.try(ctx, server)
			if err == nil {
				d.turns.note(server, true)
				r.secure = r.msg.AuthenticatedData && d.trusts(conf, server)
				return r, nil
			}
			if ctx.Err() == nil {
				d.turns.note(server, !x.silent)
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
	if ctx.Err() != nil {
		return reply{}, contextError(ctx, q, failed)
	}
	return reply{}, failed
}

var errTotal = fmt.Errorf("the time of DNS.Total is over: %w", context.DeadlineExceeded)

// contextError is for a lookup that ended because ctx did. Where it was only our
// own patience, what had gone wrong before tells more.
func contextError(ctx context.Context, q Question, failed *Error) *Error {
	err := ctx.Err()
	if context.Cause(ctx) == errTotal {
		if failed != nil {
			return failed
		}
		err = errTotal
	}
	e := &Error{Question: q, Err: err}
	if errors.Is(err, context.DeadlineExceeded) {
		e.Kind = Timeout
	}
	return e
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
