package resolve_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
)

// asked gives for each server how many questions it got.
func asked(servers network, addrs ...string) string {
	var counts []string
	for _, addr := range addrs {
		counts = append(counts, fmt.Sprint(len(servers[addr].Questions())))
	}
	return strings.Join(counts, " ")
}

func TestDNSRotates(t *testing.T) {
	for _, tt := range []struct {
		rotate bool
		want   string
	}{{false, "9 0 0"}, {true, "3 3 3"}} {
		addrs := []string{"192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"}
		servers := network{}
		for _, addr := range addrs {
			servers[addr] = serve(t, dnstest.None)
		}
		r := &resolve.DNS{Servers: addrs, Rotate: tt.rotate, DialContext: servers.DialContext}
		for range 9 {
			if _, err := r.Lookup(t.Context(), a("mx1.example.org")); err != nil {
				t.Fatal(err)
			}
		}
		if got := asked(servers, addrs...); got != tt.want {
			t.Errorf("Rotate %v: the servers got %s questions, want %s", tt.rotate, got, tt.want)
		}
	}
}

// A server that is down costs its time once in half a minute, not for each
// question; one that says something stays where it is.
func TestDNSAilingServerIsAskedLast(t *testing.T) {
	for name, tt := range map[string]struct {
		fault dnstest.Fault
		want  string // questions to the first server
	}{
		"silent": {dnstest.Silence, "2"},
		"lame":   {dnstest.Refused, "11"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				servers := network{"192.0.2.1:53": serve(t, tt.fault), "192.0.2.2:53": serve(t, dnstest.None)}
				r := &resolve.DNS{Servers: []string{"192.0.2.1", "192.0.2.2"}, DialContext: servers.DialContext}
				lookup := func() {
					if _, err := r.Lookup(t.Context(), a("mx1.example.org")); err != nil {
						t.Fatal(err)
					}
				}
				for range 10 {
					lookup()
				}
				time.Sleep(31 * time.Second)
				lookup()
				if got := asked(servers, "192.0.2.1:53"); got != tt.want {
					t.Errorf("the first server got %s questions, want %s", got, tt.want)
				}
			})
		})
	}
}

// The whole lookup has an end, however many servers and aliases there are.
func TestDNSTotal(t *testing.T) {
	for total, want := range map[time.Duration]time.Duration{0: time.Minute, 7 * time.Second: 7 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			silent := serve(t, dnstest.Silence)
			r := &resolve.DNS{Servers: []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}, Timeout: 25 * time.Second, Total: total,
				DialContext: silent.DialContext}
			start := time.Now()
			_, err := r.Lookup(t.Context(), a("mx1.example.org"))
			var e *resolve.Error
			if !errors.As(err, &e) || !e.Timeout() || e.Server == "" || time.Since(start) != want {
				t.Errorf("Total %v: %v after %v, want a timeout of a server after %v", total, err, time.Since(start), want)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		server := script(func(_ string, q *dns.Msg) [][]byte {
			time.Sleep(3 * time.Second)
			name := q.Question[0].Name
			return [][]byte{pack(q, name+" 60 CNAME x."+name)}
		})
		r := server.resolver()
		r.Total = 10 * time.Second
		start := time.Now()
		_, err := r.Lookup(t.Context(), a("mx1.example.org"))
		var e *resolve.Error
		if !errors.As(err, &e) || !e.Timeout() || time.Since(start) != 10*time.Second {
			t.Errorf("aliases: %v after %v, want a timeout after 10 s", err, time.Since(start))
		}
		time.Sleep(3 * time.Second) // for the server to end
	})
}

// A server of old does not know EDNS, and says that the query is no query.
func TestDNSWithoutEDNS(t *testing.T) {
	var extended []bool
	server := script(func(_ string, q *dns.Msg) [][]byte {
		extended = append(extended, q.IsEdns0() != nil)
		if q.IsEdns0() != nil {
			m := new(dns.Msg).SetRcode(q, dns.RcodeFormatError)
			m.Extra = nil
			return [][]byte{packed(m)}
		}
		return [][]byte{pack(q, "example.org. 60 MX 10 mx.example.org.")}
	})
	got, err := server.resolver().Lookup(t.Context(), mx("example.org"))
	if err != nil || len(got.MX) != 1 || !reflect.DeepEqual(extended, []bool{true, false}) {
		t.Errorf("got %+v, %v after queries with EDNS: %v", got, err, extended)
	}
}

func TestDNSByTCPAlone(t *testing.T) {
	srv := serve(t, dnstest.None)
	r := &resolve.DNS{Servers: []string{"tcp://127.0.0.1"}, DialContext: srv.DialContext}
	got, err := r.Lookup(t.Context(), a("mx1.example.org"))
	if err != nil || len(got.Addrs) != 2 || !got.Secure {
		t.Errorf("got %+v, %v", got, err)
	}
	if q := srv.Questions(); len(q) != 1 || q[0].Network != "tcp" {
		t.Errorf("asked %v, want once by TCP", q)
	}
}

// What is no name of a server is a fault of the configuration, not of the mail.
func TestDNSServersAreChecked(t *testing.T) {
	r := &resolve.DNS{Servers: []string{"https://dns.example.net"}, DialContext: func(context.Context, string, string) (net.Conn, error) {
		t.Error("dialled")
		return nil, errors.New("no")
	}}
	var e *resolve.Error
	if _, err := r.Lookup(t.Context(), mx("example.org")); !errors.As(err, &e) || !strings.Contains(err.Error(), "DNS.Servers") {
		t.Errorf("got %v, want an error that names the field", err)
	}
}
