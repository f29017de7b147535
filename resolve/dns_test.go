package resolve_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
)

const orgZone = `
$ORIGIN example.org.
$TTL 600
@        IN SOA ns hostmaster 1 2 3 4 60
@        MX     20 mx2
@   300  MX     10 MX1.Example.ORG.
@        TXT    "v=spf1" " -all"
quoted   TXT    "a\"b\\c\200d"
mx1      A      192.0.2.1
mx1      A      192.0.2.2
mx1      AAAA   2001:db8::1
null     MX     0 .
_25._tcp.mx1 TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
_submission._tcp SRV 5 10 587 mx1
noserv   SRV    0 0 0 .
alias 60 CNAME  mx1
twice    CNAME  alias
away     CNAME  www.example.net.
loop     CNAME  loop2
loop2    CNAME  loop
ttl1  4000000000 A 192.0.2.3
ttl2     2000000000 A 192.0.2.4
`

const netZone = `
$ORIGIN example.net.
www      A      192.0.2.80
`

// network is a set of DNS servers in memory, by address.
type network map[string]*dnstest.Server

func (n network) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	srv, ok := n[addr]
	if !ok {
		return nil, fmt.Errorf("nobody listens at %s", addr)
	}
	return srv.DialContext(ctx, network, addr)
}

// serve makes a server with the zones above and a fault for every question.
func serve(t *testing.T, fault dnstest.Fault) *dnstest.Server {
	srv := &dnstest.Server{
		Zones:  []dnstest.Zone{{Text: orgZone, Secure: true}, {Text: netZone}},
		Script: func(string, uint16) dnstest.Fault { return fault },
	}
	t.Cleanup(srv.Close)
	return srv
}

const loopback = "127.0.0.1:53"

func TestDNSAnswers(t *testing.T) {
	hour := time.Hour
	data := make([]byte, 32)
	for i := range data {
		data[i] = []byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}[i%8]
	}
	tests := []struct {
		name string
		typ  resolve.Type
		want resolve.Answer
	}{
		{"example.org", resolve.TypeMX, resolve.Answer{MX: []resolve.MX{{Preference: 20, Host: "mx2.example.org"}, {Preference: 10, Host: "mx1.example.org"}}, Secure: true, TTL: 300 * time.Second}},
		{"Example.ORG.", resolve.TypeTXT, resolve.Answer{TXT: []string{"v=spf1 -all"}, Canonical: "example.org", Secure: true, TTL: 600 * time.Second}},
		{"quoted.example.org", resolve.TypeTXT, resolve.Answer{TXT: []string{"a\"b\\c\xc8d"}, Secure: true, TTL: 600 * time.Second}},
		{"mx1.example.org", resolve.TypeA, resolve.Answer{Addrs: addrs("192.0.2.1", "192.0.2.2"), Secure: true, TTL: 600 * time.Second}},
		{"mx1.example.org", resolve.TypeAAAA, resolve.Answer{Addrs: addrs("2001:db8::1"), Secure: true, TTL: 600 * time.Second}},
		{"null.example.org", resolve.TypeMX, resolve.Answer{MX: []resolve.MX{{}}, Secure: true, TTL: 600 * time.Second}},
		{"_25._tcp.mx1.example.org", resolve.TypeTLSA, resolve.Answer{TLSA: []resolve.TLSA{{Usage: 3, Selector: 1, MatchingType: 1, Data: data}}, Secure: true, TTL: 600 * time.Second}},
		{"_submission._tcp.example.org", resolve.TypeSRV, resolve.Answer{SRV: []resolve.SRV{{Priority: 5, Weight: 10, Port: 587, Host: "mx1.example.org"}}, Secure: true, TTL: 600 * time.Second}},
		{"noserv.example.org", resolve.TypeSRV, resolve.Answer{SRV: []resolve.SRV{{}}, Secure: true, TTL: 600 * time.Second}},
		{"www.example.net", resolve.TypeA, resolve.Answer{Addrs: addrs("192.0.2.80"), TTL: hour}},
		// Aliases: the least TTL and the least security of the way count (rules 5 and 6).
		{"alias.example.org", resolve.TypeCNAME, resolve.Answer{Canonical: "mx1.example.org", Secure: true, TTL: time.Minute}},
		{"alias.example.org", resolve.TypeAAAA, resolve.Answer{Addrs: addrs("2001:db8::1"), Canonical: "mx1.example.org", Secure: true, TTL: time.Minute}},
		{"twice.example.org", resolve.TypeAAAA, resolve.Answer{Addrs: addrs("2001:db8::1"), Canonical: "mx1.example.org", Secure: true, TTL: time.Minute}},
		{"away.example.org", resolve.TypeA, resolve.Answer{Addrs: addrs("192.0.2.80"), Canonical: "www.example.net", TTL: 600 * time.Second}},
		// No record is an answer too (rule 3); its TTL is that of the SOA record.
		{"mx1.example.org", resolve.TypeMX, resolve.Answer{Secure: true, TTL: time.Minute}},
		{"none.example.org", resolve.TypeA, resolve.Answer{NoName: true, Secure: true, TTL: time.Minute}},
		{"mx1.example.org", resolve.TypeCNAME, resolve.Answer{Secure: true, TTL: time.Minute}},
		{"alias.example.org", resolve.TypeTXT, resolve.Answer{Canonical: "mx1.example.org", Secure: true, TTL: time.Minute}},
		// N18 and N30.
		{"loop.example.org", resolve.TypeA, resolve.Answer{}},
		{"ttl1.example.org", resolve.TypeA, resolve.Answer{Addrs: addrs("192.0.2.3"), Secure: true}},
		{"ttl2.example.org", resolve.TypeA, resolve.Answer{Addrs: addrs("192.0.2.4"), Secure: true, TTL: 24 * time.Hour}},
	}
	resolver := &resolve.DNS{Servers: []string{loopback}, DialContext: serve(t, dnstest.None).DialContext}
	for _, tt := range tests {
		if tt.want.Canonical == "" && tt.typ != resolve.TypeCNAME {
			tt.want.Canonical = tt.name
		}
		got, err := resolver.Lookup(t.Context(), resolve.Question{Name: tt.name, Type: tt.typ})
		if tt.name == "loop.example.org" {
			got.Canonical = tt.name // any of them will do
		}
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s %v: got %+v, %v, want %+v", tt.name, tt.typ, got, err, tt.want)
		}
	}
}

// An authoritative server may leave the target of an alias to be asked for.
func TestDNSAsksForAliasTarget(t *testing.T) {
	org := &dnstest.Server{Zones: []dnstest.Zone{{Text: orgZone, Secure: true}}}
	both := serve(t, dnstest.None)
	t.Cleanup(org.Close)
	first := true
	resolver := &resolve.DNS{Servers: []string{loopback}, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if first {
			first = false
			return org.DialContext(ctx, network, addr)
		}
		return both.DialContext(ctx, network, addr)
	}}
	got, err := resolver.Lookup(t.Context(), a("away.example.org"))
	want := resolve.Answer{Addrs: addrs("192.0.2.80"), Canonical: "www.example.net", TTL: 600 * time.Second}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if asked := both.Questions(); len(asked) != 1 || asked[0].Name != "www.example.net" {
		t.Errorf("the second question was %v", asked)
	}
}

// An alias that was not validated taints what it leads to.
func TestDNSAliasIsNotSecure(t *testing.T) {
	srv := &dnstest.Server{Zones: []dnstest.Zone{{Text: "$ORIGIN example.net.\n@ CNAME mx1.example.org.\n"}, {Text: orgZone, Secure: true}}}
	weak := &dnstest.Server{Zones: srv.Zones[:1]}
	t.Cleanup(srv.Close)
	t.Cleanup(weak.Close)
	for _, first := range []*dnstest.Server{srv, weak} { // the whole way in one answer, and in two
		dials := 0
		resolver := &resolve.DNS{Servers: []string{loopback}, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dials++; dials == 1 {
				return first.DialContext(ctx, network, addr)
			}
			return srv.DialContext(ctx, network, addr)
		}}
		if got, err := resolver.Lookup(t.Context(), a("example.net")); err != nil || len(got.Addrs) != 2 || got.Secure {
			t.Errorf("got %+v, %v, want addresses that are not Secure", got, err)
		}
	}
}

func TestDNSN18AliasesThatNeverEnd(t *testing.T) {
	var zones []dnstest.Zone
	for i := range 30 {
		zones = append(zones, dnstest.Zone{Text: fmt.Sprintf("$ORIGIN z%d.example.\n@ CNAME z%d.example.\n", i, i+1)})
	}
	srv := &dnstest.Server{Zones: zones}
	defer srv.Close()
	resolver := &resolve.DNS{Servers: []string{loopback}, DialContext: srv.DialContext}
	got, err := resolver.Lookup(t.Context(), a("z0.example"))
	if err != nil || got.Addrs != nil || got.NoName || got.Secure {
		t.Errorf("got %+v, %v, want no records", got, err)
	}
	if n := len(srv.Questions()); n > 9 {
		t.Errorf("%d questions were asked", n)
	}
}

func TestDNSErrors(t *testing.T) {
	tests := []struct {
		name  string
		fault dnstest.Fault
		kind  resolve.ErrorKind
		says  string
	}{
		{"N3_ServFail", dnstest.ServFail, resolve.ServFail, "SERVFAIL"},
		{"N3_Refused", dnstest.Refused, resolve.Refused, "refused"},
		{"N3_FormErr", dnstest.FormErr, resolve.Other, "FORMERR"},
		{"N3_NotImp", dnstest.NotImp, resolve.Other, "NOTIMP"},
		{"N4_Silence", dnstest.Silence, resolve.Timeout, "did not answer in time"},
		{"N27_Garbage", dnstest.Garbage, resolve.Malformed, "no valid DNS message"},
		{"Bogus", dnstest.Bogus, resolve.Bogus, "extended error 6"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				resolver := &resolve.DNS{Servers: []string{loopback}, DialContext: serve(t, tt.fault).DialContext}
				answer, err := resolver.Lookup(t.Context(), mx("example.org"))
				var e *resolve.Error
				if !errors.As(err, &e) || e.Kind != tt.kind || e.Server != loopback || e.Question != mx("example.org") {
					t.Fatalf("got %+v, %#v, want an Error of kind %d", answer, err, tt.kind)
				}
				for _, part := range []string{tt.says, loopback, `"example.org" MX`} {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%v; does not say %q", err, part)
					}
				}
				var ne net.Error
				if !errors.As(err, &ne) || ne.Timeout() != (tt.kind == resolve.Timeout) {
					t.Errorf("%v is a timeout: %v", err, ne.Timeout())
				}
			})
		})
	}
}

// Each server gets five seconds, in two rounds.
func TestDNSN4Timeouts(t *testing.T) {
	tests := []struct {
		timeout time.Duration
		want    time.Duration
	}{
		{0, 20 * time.Second},
		{time.Second, 4 * time.Second},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			servers := network{"192.0.2.53:53": serve(t, dnstest.Silence), "192.0.2.54:53": serve(t, dnstest.Silence)}
			resolver := &resolve.DNS{Servers: []string{"192.0.2.53", "192.0.2.54:53"}, Timeout: tt.timeout, DialContext: servers.DialContext}
			start := time.Now()
			_, err := resolver.Lookup(t.Context(), mx("example.org"))
			var e *resolve.Error
			if !errors.As(err, &e) || !e.Timeout() || time.Since(start) != tt.want {
				t.Errorf("got %v after %v, want a timeout after %v", err, time.Since(start), tt.want)
			}
		})
	}
}

func TestDNSFailover(t *testing.T) {
	faults := map[string]dnstest.Fault{"Silence": dnstest.Silence, "ServFail": dnstest.ServFail, "Refused": dnstest.Refused,
		"FormErr": dnstest.FormErr, "NotImp": dnstest.NotImp, "Garbage": dnstest.Garbage}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				servers := network{"192.0.2.53:53": serve(t, fault), "192.0.2.54:53": serve(t, dnstest.None)}
				resolver := &resolve.DNS{Servers: []string{"192.0.2.53:53", "192.0.2.54:53"}, DialContext: servers.DialContext}
				got, err := resolver.Lookup(t.Context(), a("mx1.example.org"))
				if err != nil || len(got.Addrs) != 2 {
					t.Errorf("got %+v, %v", got, err)
				}
			})
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		servers := network{"192.0.2.54:53": serve(t, dnstest.None)}
		resolver := &resolve.DNS{Servers: []string{"192.0.2.53:53", "192.0.2.54:53"}, DialContext: servers.DialContext}
		if got, err := resolver.Lookup(t.Context(), a("mx1.example.org")); err != nil || len(got.Addrs) != 2 {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

// The other server might not validate, and would make a forgery look like an
// unsigned answer.
func TestDNSBogusIsFinal(t *testing.T) {
	second := serve(t, dnstest.None)
	servers := network{"192.0.2.53:53": serve(t, dnstest.Bogus), "192.0.2.54:53": second}
	resolver := &resolve.DNS{Servers: []string{"192.0.2.53:53", "192.0.2.54:53"}, DialContext: servers.DialContext}
	_, err := resolver.Lookup(t.Context(), a("mx1.example.org"))
	var e *resolve.Error
	if !errors.As(err, &e) || e.Kind != resolve.Bogus || len(second.Questions()) != 0 {
		t.Errorf("got %v; the second server was asked %v", err, second.Questions())
	}
}

// A server that spoke tells more than one that was silent.
func TestDNSErrorOfTheServerThatSpoke(t *testing.T) {
	for _, order := range [][]string{{"192.0.2.53:53", "192.0.2.54:53"}, {"192.0.2.54:53", "192.0.2.53:53"}} {
		synctest.Test(t, func(t *testing.T) {
			servers := network{"192.0.2.53:53": serve(t, dnstest.Silence), "192.0.2.54:53": serve(t, dnstest.Refused)}
			resolver := &resolve.DNS{Servers: order, DialContext: servers.DialContext}
			_, err := resolver.Lookup(t.Context(), a("mx1.example.org"))
			var e *resolve.Error
			if !errors.As(err, &e) || e.Kind != resolve.Refused || e.Server != "192.0.2.54:53" {
				t.Errorf("%v: got %v", order, err)
			}
		})
	}
}

func TestDNSN24Truncated(t *testing.T) {
	srv := serve(t, dnstest.Truncate)
	resolver := &resolve.DNS{Servers: []string{loopback}, DialContext: srv.DialContext}
	got, err := resolver.Lookup(t.Context(), a("mx1.example.org"))
	if err != nil || len(got.Addrs) != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
	if asked := srv.Questions(); len(asked) != 2 || asked[0].Network != "udp" || asked[1].Network != "tcp" {
		t.Errorf("asked %v, want UDP, then TCP", asked)
	}
}

func TestDNSN24NoTCP(t *testing.T) {
	srv := serve(t, dnstest.Truncate)
	resolver := &resolve.DNS{Servers: []string{loopback}, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if network == "tcp" {
			return nil, errors.New("connection refused")
		}
		return srv.DialContext(ctx, network, addr)
	}}
	if got, err := resolver.Lookup(t.Context(), a("mx1.example.org")); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %+v, %v, want an error", got, err)
	}
}

func TestDNSN20LargeAnswer(t *testing.T) {
	text := "$ORIGIN example.org.\n"
	for i := range 1000 {
		text += fmt.Sprintf("@ MX %d mx%d\nmany A 10.0.%d.%d\n", 1000-i, i, i/250, i%250)
	}
	srv := &dnstest.Server{Zones: []dnstest.Zone{{Text: text}}}
	defer srv.Close()
	resolver := &resolve.DNS{Servers: []string{loopback}, DialContext: srv.DialContext}
	got, err := resolver.Lookup(t.Context(), mx("example.org"))
	if err != nil || len(got.MX) != 100 || got.MX[0].Preference != 1 || got.MX[99].Preference != 100 {
		t.Errorf("%d MX records, %v", len(got.MX), err)
	}
	got, err = resolver.Lookup(t.Context(), a("many.example.org"))
	if err != nil || len(got.Addrs) != 100 {
		t.Errorf("%d addresses, %v", len(got.Addrs), err)
	}
}

func TestDNSTrustsAD(t *testing.T) {
	prefixes := func(texts ...string) []netip.Prefix {
		list := []netip.Prefix{}
		for _, s := range texts {
			list = append(list, netip.MustParsePrefix(s))
		}
		return list
	}
	tests := []struct {
		server string
		trust  []netip.Prefix
		want   bool
	}{
		{"127.0.0.1:53", nil, true},
		{"127.8.8.8:5353", nil, true},
		{"[::1]:53", nil, true},
		{"192.0.2.53:53", nil, false},
		{"localhost:53", nil, false},
		{"127.0.0.1:53", prefixes(), false},
		{"192.0.2.53:53", prefixes("192.0.2.0/24"), true},
		{"[2001:db8::53]:53", prefixes("192.0.2.0/24", "2001:db8::/32"), true},
		{"127.0.0.1:53", prefixes("192.0.2.0/24"), false},
	}
	srv := serve(t, dnstest.None)
	for _, tt := range tests {
		resolver := &resolve.DNS{Servers: []string{tt.server}, TrustAD: tt.trust, DialContext: srv.DialContext}
		got, err := resolver.Lookup(t.Context(), a("mx1.example.org"))
		if err != nil || got.Secure != tt.want {
			t.Errorf("%s, TrustAD %v: Secure %v, %v, want %v", tt.server, tt.trust, got.Secure, err, tt.want)
		}
	}
}

// newStuck is a connection that takes what is written and never says anything.
func newStuck() net.Conn {
	client, server := net.Pipe()
	go io.Copy(io.Discard, server)
	return client
}

// A lookup that is cancelled returns at once, wherever it is.
func TestDNSN33Cancel(t *testing.T) {
	type dial = func(ctx context.Context, network, addr string) (net.Conn, error)
	truncating := func(t *testing.T) dial { return serve(t, dnstest.Truncate).DialContext }
	tests := []struct {
		name string
		dial func(t *testing.T) dial
	}{
		{"while dialling", func(*testing.T) dial {
			return func(ctx context.Context, network, addr string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
		}},
		{"while writing", func(*testing.T) dial {
			return func(ctx context.Context, network, addr string) (net.Conn, error) {
				client, _ := net.Pipe()
				return client, nil
			}
		}},
		{"while reading", func(*testing.T) dial {
			return func(ctx context.Context, network, addr string) (net.Conn, error) { return newStuck(), nil }
		}},
		{"while dialling TCP", func(t *testing.T) dial {
			udp := truncating(t)
			return func(ctx context.Context, network, addr string) (net.Conn, error) {
				if network == "udp" {
					return udp(ctx, network, addr)
				}
				<-ctx.Done()
				return nil, ctx.Err()
			}
		}},
		{"while reading TCP", func(t *testing.T) dial {
			udp := truncating(t)
			return func(ctx context.Context, network, addr string) (net.Conn, error) {
				if network == "udp" {
					return udp(ctx, network, addr)
				}
				return newStuck(), nil
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				resolver := &resolve.DNS{Servers: []string{loopback}, DialContext: tt.dial(t)}
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				start := time.Now()
				_, err := resolver.Lookup(ctx, a("mx1.example.org"))
				var e *resolve.Error
				if !errors.Is(err, context.Canceled) || !errors.As(err, &e) || e.Timeout() {
					t.Errorf("got %v, want context.Canceled", err)
				}
				if took := time.Since(start); took != time.Second {
					t.Errorf("returned after %v", took)
				}
			})
		})
	}
	t.Run("before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		resolver := &resolve.DNS{Servers: []string{loopback}, DialContext: func(context.Context, string, string) (net.Conn, error) {
			t.Error("dialled after the end of ctx")
			return nil, errors.New("no")
		}}
		if _, err := resolver.Lookup(ctx, a("mx1.example.org")); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
}

func TestDNSDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resolver := &resolve.DNS{Servers: []string{loopback}, DialContext: serve(t, dnstest.Silence).DialContext}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := resolver.Lookup(ctx, a("mx1.example.org"))
		var e *resolve.Error
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &e) || !e.Timeout() {
			t.Errorf("got %v, want context.DeadlineExceeded", err)
		}
	})
}

func TestDNSRefusesNamesThatAreNone(t *testing.T) {
	resolver := &resolve.DNS{Servers: []string{loopback}, DialContext: func(context.Context, string, string) (net.Conn, error) {
		t.Error("dialled for a name that is none")
		return nil, errors.New("no")
	}}
	for _, name := range []string{strings.Repeat("a", 64) + ".example", "a..b", strings.Repeat("a.", 150)} {
		if got, err := resolver.Lookup(t.Context(), a(name)); err == nil {
			t.Errorf("%q: got %+v, want an error", name, got)
		}
	}
}

// The same over real sockets: UDP, TCP after truncation, and nobody there.
func TestDNSSockets(t *testing.T) {
	fault := make(chan dnstest.Fault, 2)
	srv := &dnstest.Server{Zones: []dnstest.Zone{{Text: orgZone, Secure: true}}, Script: func(string, uint16) dnstest.Fault { return <-fault }}
	defer srv.Close()
	addr, err := srv.Listen("udp+tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	resolver := &resolve.DNS{Servers: []string{addr.String()}}
	for name, faults := range map[string][]dnstest.Fault{"udp": {dnstest.None}, "tcp": {dnstest.Truncate, dnstest.None}} {
		for _, f := range faults {
			fault <- f
		}
		got, err := resolver.Lookup(t.Context(), a("mx1.example.org"))
		if err != nil || len(got.Addrs) != 2 || !got.Secure {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	srv.Close()
	if got, err := resolver.Lookup(t.Context(), a("mx1.example.org")); err == nil {
		t.Errorf("after Close: got %+v, want an error", got)
	}
}

func TestDNSManyGoroutines(t *testing.T) {
	resolver := &resolve.DNS{Servers: []string{loopback}, DialContext: serve(t, dnstest.Truncate).DialContext}
	errs := make(chan error)
	const n = 50
	for range n {
		go func() {
			got, err := resolver.Lookup(t.Context(), a("twice.example.org"))
			if err == nil && len(got.Addrs) != 2 {
				err = fmt.Errorf("got %+v", got)
			}
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// H5: a DialContext that returns nothing at all is an error, not a panic.
func TestDialContextReturnsNothing(t *testing.T) {
	resolver := &resolve.DNS{Servers: []string{loopback}, DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, nil }}
	if _, err := resolver.Lookup(t.Context(), resolve.Question{Name: "example.org", Type: resolve.TypeMX}); err == nil || !strings.Contains(err.Error(), "DialContext") {
		t.Errorf("got %v", err)
	}
}
