package smtpclient_test

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// rotation is example.net with one host, at 192.0.2.1 and 2, whose certificate and
// TLSA records change; DNS answers are kept for an hour.
type rotation struct {
	*world
	ca       *authority
	old, new *tls.Certificate
	names    *dnstest.Server
	more     string // in the zone
	asked    int    // for TLSA records, of name servers that are gone
	sent     int
}

func inRotation(t *testing.T, test func(r *rotation)) {
	t.Helper()
	inWorld(t, func(t *testing.T, w *world) {
		ca := newAuthority(t)
		r := &rotation{world: w, ca: ca, old: ca.leaf("mx.example.net", time.Hour), new: ca.leaf("mx.example.net", time.Hour)}
		byDNS := &resolve.DNS{Servers: []string{"127.0.0.1"}, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return r.names.DialContext(ctx, network, addr)
		}}
		w.client.Resolver = &resolve.Cached{Resolver: byDNS}
		w.client.TLS = tlspolicy.Sources{tlspolicy.DANE, tlspolicy.May}
		w.client.Limits.Addresses = 1
		r.shows(r.old)
		r.publishes(r.old)
		test(r)
	})
}

// shows has the host present a certificate from now on.
func (r *rotation) shows(c *tls.Certificate) {
	for _, addr := range []string{"192.0.2.1:25", "192.0.2.2:25"} {
		if before := r.net[addr]; before != nil {
			r.gone = append(r.gone, before)
		}
		r.net[addr] = &smtptest.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{*c}}}
	}
}

// publishes puts TLSA records into the DNS, or none; MX and addresses stay.
func (r *rotation) publishes(certs ...*tls.Certificate) {
	text := "$ORIGIN example.net.\n@ MX 10 mx\nmx A 192.0.2.1\n" + r.more
	for _, c := range certs {
		text += fmt.Sprintf("_25._tcp.mx TLSA 3 1 1 %s\n", hex.EncodeToString(key(r.t, c).Data))
	}
	r.serves(&dnstest.Server{Zones: []dnstest.Zone{{Text: text, Secure: true}}})
}

func (r *rotation) serves(s *dnstest.Server) {
	r.asked = r.lookups()
	r.names = s
	r.t.Cleanup(s.Close)
}

// lookups counts those of TLSA records.
func (r *rotation) lookups() int {
	n := r.asked
	if r.names == nil {
		return n
	}
	for _, q := range r.names.Questions() {
		if q.Type == dns.TypeTLSA {
			n++
		}
	}
	return n
}

// sends a message to a recipient of its own.
func (r *rotation) sends(want string) smtpclient.Outcome {
	r.t.Helper()
	r.sent++
	to := fmt.Sprintf("bob%d@example.net", r.sent)
	report := r.deliver(r.t.Context(), fromAnn(to), hello)
	expect(r.t, report, to+" "+want)
	return report.Outcomes[0]
}

func (r *rotation) wantLookups(when string, want int) {
	r.t.Helper()
	if got := r.lookups(); got != want {
		r.t.Errorf("%s: %d lookups of TLSA records, want %d", when, got, want)
	}
}

const misfit = "deferred starttls 4.7.5"

// D19: between the lookup of the TLSA records and the connection the host has got
// another certificate, and records of it. They are looked up again, and the same
// address is tried once more, although one address is all that may be tried.
func TestRenewalD19CertificateHasChanged(t *testing.T) {
	for name, set := range map[string]func(r *rotation){
		"a connection each": func(*rotation) {},
		"a pool": func(r *rotation) {
			r.client.Pool = &smtpclient.Pool{KeepAll: true, IdleTime: time.Millisecond, PerDestination: 1}
		},
		"staggered":           func(r *rotation) { r.client.Limits.Stagger = time.Second },
		"dane-only":           func(r *rotation) { r.client.TLS = tlspolicy.DANEOnly },
		"one transaction":     func(r *rotation) { r.client.Limiter = &smtpclient.LocalLimiter{} },
		"a new key beside it": func(r *rotation) {},
	} {
		t.Run(name, func(t *testing.T) {
			inRotation(t, func(r *rotation) {
				set(r)
				if r.client.Pool != nil {
					defer r.client.Pool.Close(r.t.Context())
				}
				r.sends(delivered)
				r.wantLookups("before", 1)
				time.Sleep(time.Minute)
				r.shows(r.new)
				if name == "a new key beside it" {
					r.publishes(r.new, r.old)
				} else {
					r.publishes(r.new)
				}
				o := r.sends(delivered)
				if !strings.HasPrefix(o.TLS.Verified, "dane") || len(o.Earlier) != 0 || o.Addr != "192.0.2.1:25" {
					t.Errorf("%+v, %d attempts before it", o.Attempt, len(o.Earlier))
				}
				r.wantLookups("after", 2)
				r.sends(delivered)
				r.wantLookups("the next message", 2)
			})
		})
	}
}

// D9: the records have not changed, or do not fit after the change either. The host
// gets no mail, and costs a lookup in five minutes at most.
func TestRenewalOfNoUse(t *testing.T) {
	inRotation(t, func(r *rotation) {
		r.sends(delivered)
		r.shows(r.new)
		for range 3 {
			before := r.net["192.0.2.1:25"].Sessions()
			r.sends(misfit)
			if n := r.net["192.0.2.1:25"].Sessions() - before; n != 1 {
				t.Errorf("%d sessions", n)
			}
			r.wantLookups("within five minutes", 2)
			time.Sleep(time.Minute)
		}
		time.Sleep(2 * time.Minute)
		r.sends(misfit)
		r.wantLookups("after five minutes", 3)

		r.publishes(r.ca.leaf("mx.example.net", time.Hour))
		time.Sleep(5 * time.Minute)
		before := r.net["192.0.2.1:25"].Sessions()
		o := r.sends(misfit)
		if n := r.net["192.0.2.1:25"].Sessions() - before; n != 2 || len(o.Earlier) != 0 {
			t.Errorf("records that do not fit either: %d sessions, %d attempts before the last", n, len(o.Earlier))
		}
	})
}

// In the middle of a host nothing gets weaker: where there are no records any more, or
// none that can be used, the mail waits. The next message finds what is there now.
func TestRenewalLowersNothing(t *testing.T) {
	for name, change := range map[string]func(r *rotation){
		"no records": func(r *rotation) { r.publishes() },
		"records that cannot be used": func(r *rotation) {
			r.serves(&dnstest.Server{Zones: []dnstest.Zone{{Secure: true, Text: "$ORIGIN example.net.\n@ MX 10 mx\nmx A 192.0.2.1\n_25._tcp.mx TLSA 1 1 1 00\n"}}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			inRotation(t, func(r *rotation) {
				r.sends(delivered)
				r.shows(r.new)
				change(r)
				r.sends(misfit)
				if n := r.net["192.0.2.1:25"].Sessions(); n != 1 {
					t.Errorf("%d sessions", n)
				}
				r.sends(delivered)
			})
		})
	}
}

// D5: the second lookup fails. What was found out before counts.
func TestRenewalFails(t *testing.T) {
	inRotation(t, func(r *rotation) {
		r.sends(delivered)
		r.shows(r.new)
		r.serves(&dnstest.Server{Script: func(string, uint16) dnstest.Fault { return dnstest.ServFail }})
		o := r.sends(misfit)
		var fault *tlspolicy.MisfitError
		if !errors.As(o.Cause, &fault) {
			t.Errorf("%v", o.Cause)
		}
		r.wantLookups("in all", 3) // two tries
	})
}

// The other addresses of the host are held against the new records, too.
func TestRenewalIsForTheHost(t *testing.T) {
	inRotation(t, func(r *rotation) {
		r.client.Limits.Addresses = 2
		r.more = "mx A 192.0.2.2\n"
		r.publishes(r.old)
		r.sends(delivered)
		r.shows(r.new)
		r.publishes(r.new)
		for _, server := range r.net {
			server.Script = on("RCPT", action{Reply: "450 4.2.1 wait"})
		}
		o := r.sends("deferred rcpt 4.2.1")
		if len(o.Earlier) != 1 || o.Earlier[0].Stage != smtpclient.StageRcpt {
			t.Errorf("the first address: %+v", o.Earlier)
		}
		r.wantLookups("after", 2)
	})
}

// What else goes wrong at a host says nothing about its records.
func TestRenewalOfMisfitsOnly(t *testing.T) {
	for name, server := range map[string]*smtptest.Server{
		"no server": nil, "no STARTTLS": {Extensions: pipelined}, "the handshake is cut": cutHandshakes(),
	} {
		inRotation(t, func(r *rotation) {
			r.net["192.0.2.1:25"] = server
			if server == nil {
				delete(r.net, "192.0.2.1:25")
			}
			report := r.deliver(r.t.Context(), fromAnn("bob@example.net"), hello)
			if report.Outcomes[0].Status != smtpclient.Deferred {
				t.Errorf("%s: %v", name, report.Outcomes[0].Status)
			}
			r.wantLookups(name, 1)
		})
	}
}

// Without a cache nothing is remembered: a lookup for each message, and no more.
func TestRenewalWithoutMemory(t *testing.T) {
	inRotation(t, func(r *rotation) {
		r.client.Cache, r.client.Limits.Addresses = cache.None, 2
		r.more = "mx A 192.0.2.2\n"
		r.publishes(r.old)
		r.sends(delivered)
		r.shows(r.new)
		for n := range 3 {
			r.sends(misfit)
			r.wantLookups("each message", n+2)
		}
	})
}
