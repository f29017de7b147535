// Package resolvetest checks that a resolver keeps the rules of
// [resolve.Resolver].
//
//	func TestRules(t *testing.T) {
//		resolvetest.Test(t, func(t *testing.T, srv *dnstest.Server) resolve.Resolver {
//			return &resolve.DNS{Servers: []string{"127.0.0.1:53"}, DialContext: srv.DialContext}
//		})
//	}
//
// The resolver gets its answers from a name server in the process, which also
// fails on demand. It may be one that asks another, as a cache or a filter does.
// What it cannot tell or ask for is no fault, as long as it says so: a type by an
// error that wraps errors.ErrUnsupported, but A and AAAA have to work.
package resolvetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
)

// Test checks the resolver that open gives against every rule that can be seen
// from outside, each in a subtest that bears the rule's number and has a server
// and a resolver of its own. The resolver has to send all its questions to the
// server: by its DialContext, or to a socket from its Listen. The server is
// closed after the check; what the resolver needs to be closed belongs into
// t.Cleanup.
func Test(t *testing.T, open func(t *testing.T, srv *dnstest.Server) resolve.Resolver) {
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			s := newScene()
			t.Cleanup(s.server.Close)
			s.Resolver = open(t, s.server)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := r.check(ctx, s); err != nil {
				t.Error(err)
			}
		})
	}
}

// scene is a resolver before a server.
type scene struct {
	resolve.Resolver
	server *dnstest.Server
	fault  chan dnstest.Fault // holds what the server does with the next questions
	asked  chan struct{}      // gets a value for every question, and then none until it is taken
}

func newScene() *scene {
	s := &scene{fault: make(chan dnstest.Fault, 1), asked: make(chan struct{}, 1)}
	s.fault <- dnstest.None
	s.server = &dnstest.Server{
		Zones: []dnstest.Zone{{Text: outside}, {Text: signed, Secure: true}, {Text: unsigned}},
		Script: func(string, uint16) dnstest.Fault {
			f := <-s.fault
			s.fault <- f
			select {
			case s.asked <- struct{}{}:
			default:
			}
			return f
		},
	}
	return s
}

// from now on the server does this with every question.
func (s *scene) from(f dnstest.Fault) {
	<-s.fault
	s.fault <- f
}

// lookup asks for one type of one name, and says in an error what was asked.
func (s *scene) lookup(ctx context.Context, name string, t resolve.Type) (resolve.Answer, error) {
	a, err := s.Lookup(ctx, resolve.Question{Name: name, Type: t})
	if err != nil {
		return a, fmt.Errorf("%s %v: %w", name, t, err)
	}
	return a, nil
}

// Names that no zone has do not exist.
const outside = "$ORIGIN .\n"

const signed = `$ORIGIN example.org.
@          MX     20 mx2
@          MX     10 MX1.Example.ORG.
@          TXT    "v=spf1 " "-all"
mx1        A      192.0.2.1
mx1        A      192.0.2.2
mx1        AAAA   2001:db8::1
mx2        A      192.0.2.3
null       MX     0 .
nothing    TXT    "neither MX nor address"
_smtp._tcp SRV    5 10 587 MX1
_25._tcp.mx1 TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
alias      CNAME  mx1
twice      CNAME  Alias
away       CNAME  www.example.net.
gone       CNAME  missing
mail       CNAME  example.org.
loop       CNAME  pool
pool       CNAME  loop
`

const unsigned = `$ORIGIN example.net.
@          MX     10 mx1.example.org.
www        A      192.0.2.80
nothing    TXT    "no address"
back       CNAME  mx1.example.org.
`
