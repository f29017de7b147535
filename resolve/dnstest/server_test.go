package dnstest_test

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/postrider/postrider/resolve/dnstest"
)

const exampleZone = `
$ORIGIN example.org.
@      MX     10 mx
@      TXT    "v=spf1 -all"
mx     A      192.0.2.25
mx     AAAA   2001:db8::25
alias  CNAME  mx
away   CNAME  www.example.net.
out    CNAME  www.example.invalid.
loop   CNAME  loop
a.b.c  A      192.0.2.1
`

func exampleServer(t *testing.T) *dnstest.Server {
	srv := &dnstest.Server{Zones: []dnstest.Zone{
		{Text: exampleZone, Secure: true},
		{Text: "$ORIGIN example.net.\nwww A 192.0.2.80\n"},
		{Text: "$ORIGIN sub.example.org.\n@ IN SOA ns hostmaster 1 2 3 4 60\nmx A 192.0.2.99\n"},
	}}
	t.Cleanup(srv.Close)
	return srv
}

// ask sends one query and reads one answer over a connection from dial.
func ask(t *testing.T, dial func() (net.Conn, error), query *dns.Msg) *dns.Msg {
	t.Helper()
	conn, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &dns.Conn{Conn: conn}
	if opt := query.IsEdns0(); opt != nil {
		c.UDPSize = opt.UDPSize()
	}
	if err := c.WriteMsg(query); err != nil {
		t.Fatal(err)
	}
	resp, err := c.ReadMsg()
	if err != nil {
		t.Fatal(err)
	}
	if resp.Id != query.Id || !resp.Response {
		t.Errorf("answer %d to query %d, response %v", resp.Id, query.Id, resp.Response)
	}
	return resp
}

func inMemory(t *testing.T, srv *dnstest.Server, network string) func() (net.Conn, error) {
	return func() (net.Conn, error) { return srv.DialContext(t.Context(), network, "127.0.0.1:53") }
}

func question(name string, qtype uint16) *dns.Msg {
	q := new(dns.Msg).SetQuestion(name, qtype)
	q.AuthenticatedData = true
	return q
}

func TestAnswers(t *testing.T) {
	tests := []struct {
		name   string
		qtype  uint16
		rcode  int
		answer string // data of the records
		secure bool
	}{
		{"example.org.", dns.TypeMX, dns.RcodeSuccess, "10 mx.example.org.", true},
		{"EXAMPLE.org.", dns.TypeTXT, dns.RcodeSuccess, `"v=spf1 -all"`, true},
		{"mx.example.org.", dns.TypeA, dns.RcodeSuccess, "192.0.2.25", true},
		{"mx.example.org.", dns.TypeMX, dns.RcodeSuccess, "", true},
		{"alias.example.org.", dns.TypeAAAA, dns.RcodeSuccess, "mx.example.org. 2001:db8::25", true},
		{"alias.example.org.", dns.TypeCNAME, dns.RcodeSuccess, "mx.example.org.", true},
		{"alias.example.org.", dns.TypeTXT, dns.RcodeSuccess, "mx.example.org.", true},
		{"away.example.org.", dns.TypeA, dns.RcodeSuccess, "www.example.net. 192.0.2.80", false},
		{"out.example.org.", dns.TypeA, dns.RcodeSuccess, "www.example.invalid.", true},
		{"none.example.org.", dns.TypeA, dns.RcodeNameError, "", true},
		{"b.c.example.org.", dns.TypeA, dns.RcodeSuccess, "", true},
		{"x.b.c.example.org.", dns.TypeA, dns.RcodeNameError, "", true},
		{"mx.sub.example.org.", dns.TypeA, dns.RcodeSuccess, "192.0.2.99", false},
		{"example.invalid.", dns.TypeA, dns.RcodeRefused, "", false},
	}
	srv := exampleServer(t)
	for _, tt := range tests {
		t.Run(tt.name+dns.TypeToString[tt.qtype], func(t *testing.T) {
			for _, network := range []string{"udp", "tcp"} {
				resp := ask(t, inMemory(t, srv, network), question(tt.name, tt.qtype))
				if resp.Rcode != tt.rcode || data(resp.Answer) != tt.answer || resp.AuthenticatedData != tt.secure {
					t.Errorf("%s: got %s %q, AD %v; want %s %q, AD %v", network,
						dns.RcodeToString[resp.Rcode], data(resp.Answer), resp.AuthenticatedData,
						dns.RcodeToString[tt.rcode], tt.answer, tt.secure)
				}
			}
		})
	}
}

// data gives what records say, without their headers.
func data(rrs []dns.RR) string {
	var parts []string
	for _, rr := range rrs {
		parts = append(parts, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	return strings.Join(parts, " ")
}

func TestNegativeAnswersHaveSOA(t *testing.T) {
	srv := exampleServer(t)
	for name, apex := range map[string]string{"none.example.org.": "example.org.", "none.sub.example.org.": "sub.example.org."} {
		resp := ask(t, inMemory(t, srv, "udp"), question(name, dns.TypeA))
		if len(resp.Ns) != 1 || resp.Ns[0].Header().Rrtype != dns.TypeSOA || resp.Ns[0].Header().Name != apex {
			t.Errorf("authority for %s is %v, want the SOA of %s", name, resp.Ns, apex)
		}
	}
}

func TestLoopEnds(t *testing.T) {
	resp := ask(t, inMemory(t, exampleServer(t), "udp"), question("loop.example.org.", dns.TypeA))
	if resp.Rcode != dns.RcodeSuccess || len(resp.Answer) == 0 || len(resp.Answer) > 20 {
		t.Errorf("got %v", resp)
	}
}

func TestADOnlyOnRequest(t *testing.T) {
	srv := exampleServer(t)
	query := new(dns.Msg).SetQuestion("mx.example.org.", dns.TypeA)
	if resp := ask(t, inMemory(t, srv, "udp"), query); resp.AuthenticatedData {
		t.Error("AD is set though nobody asked")
	}
	query.SetEdns0(1232, true)
	if resp := ask(t, inMemory(t, srv, "udp"), query); !resp.AuthenticatedData {
		t.Error("AD is not set though DO asked")
	}
}

func TestRootZoneKnowsAllNames(t *testing.T) {
	srv := &dnstest.Server{Zones: []dnstest.Zone{{Text: "$ORIGIN .\norg NS ns.invalid."}}}
	defer srv.Close()
	if resp := ask(t, inMemory(t, srv, "udp"), question("example.com.", dns.TypeMX)); resp.Rcode != dns.RcodeNameError {
		t.Errorf("got %v, want NXDOMAIN", resp)
	}
}

func TestFaults(t *testing.T) {
	fault := dnstest.None
	srv := exampleServer(t)
	srv.Script = func(name string, qtype uint16) dnstest.Fault {
		if name != "mx.example.org" || qtype != dns.TypeA {
			t.Errorf("the script is asked about %q, type %d", name, qtype)
		}
		return fault
	}
	rcodes := map[dnstest.Fault]int{
		dnstest.None: dns.RcodeSuccess, dnstest.ServFail: dns.RcodeServerFailure, dnstest.Refused: dns.RcodeRefused,
		dnstest.FormErr: dns.RcodeFormatError, dnstest.NotImp: dns.RcodeNotImplemented, dnstest.Bogus: dns.RcodeServerFailure,
	}
	for f, want := range rcodes {
		fault = f
		query := question("MX.example.org.", dns.TypeA).SetEdns0(1232, false)
		resp := ask(t, inMemory(t, srv, "tcp"), query)
		if resp.Rcode != want {
			t.Errorf("fault %d: %s, want %s", f, dns.RcodeToString[resp.Rcode], dns.RcodeToString[want])
		}
		if bogus := strings.Contains(resp.String(), "EDE: 6"); bogus != (f == dnstest.Bogus) {
			t.Errorf("fault %d: extended error 6 is there: %v", f, bogus)
		}
	}
}

func TestTruncate(t *testing.T) {
	srv := exampleServer(t)
	srv.Script = func(string, uint16) dnstest.Fault { return dnstest.Truncate }
	query := question("mx.example.org.", dns.TypeA)
	if resp := ask(t, inMemory(t, srv, "udp"), query); !resp.Truncated || len(resp.Answer) != 0 {
		t.Errorf("by UDP: %v", resp)
	}
	if resp := ask(t, inMemory(t, srv, "tcp"), query); resp.Truncated || len(resp.Answer) != 1 {
		t.Errorf("by TCP: %v", resp)
	}
}

func TestGarbage(t *testing.T) {
	srv := exampleServer(t)
	srv.Script = func(string, uint16) dnstest.Fault { return dnstest.Garbage }
	conn, err := srv.DialContext(t.Context(), "udp", "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	packed, err := question("mx.example.org.", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(packed); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 512)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	if err := new(dns.Msg).Unpack(buf[:n]); err == nil {
		t.Errorf("%q is a DNS message", buf[:n])
	}
}

func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &dnstest.Server{Script: func(string, uint16) dnstest.Fault { return dnstest.Silence }}
		defer srv.Close()
		for _, network := range []string{"udp", "tcp"} {
			conn, err := srv.DialContext(t.Context(), network, "")
			if err != nil {
				t.Fatal(err)
			}
			conn.SetDeadline(time.Now().Add(time.Hour))
			c := &dns.Conn{Conn: conn}
			if err := c.WriteMsg(question("example.org.", dns.TypeA)); err != nil {
				t.Fatal(err)
			}
			if resp, err := c.ReadMsg(); err == nil {
				t.Errorf("%s: got %v, want silence", network, resp)
			}
			conn.Close()
		}
	})
}

func TestLargeAnswersAreCutByUDP(t *testing.T) {
	text := "$ORIGIN example.org.\n"
	for i := range 100 {
		text += "@ TXT \"" + strings.Repeat("x", 10+i) + "\"\n"
	}
	srv := &dnstest.Server{Zones: []dnstest.Zone{{Text: text}}}
	defer srv.Close()
	plain := question("example.org.", dns.TypeTXT)
	sized := question("example.org.", dns.TypeTXT).SetEdns0(1232, false)
	for size, query := range map[int]*dns.Msg{512: plain, 1232: sized} {
		resp := ask(t, inMemory(t, srv, "udp"), query)
		resp.Compress = true
		if !resp.Truncated || resp.Len() > size {
			t.Errorf("by UDP of %d octets: %d octets, TC %v", size, resp.Len(), resp.Truncated)
		}
	}
	if resp := ask(t, inMemory(t, srv, "tcp"), plain); resp.Truncated || len(resp.Answer) != 100 {
		t.Errorf("by TCP: %d records, TC %v", len(resp.Answer), resp.Truncated)
	}
}

// What no message can hold is cut by TCP, too, as real servers do.
func TestHugeAnswersAreCutByTCP(t *testing.T) {
	text := "$ORIGIN example.org.\n"
	for i := range 1000 {
		text += "@ TXT \"" + strings.Repeat("x", 100) + strconv.Itoa(i) + "\"\n"
	}
	srv := &dnstest.Server{Zones: []dnstest.Zone{{Text: text}}}
	defer srv.Close()
	resp := ask(t, inMemory(t, srv, "tcp"), question("example.org.", dns.TypeTXT))
	if !resp.Truncated || len(resp.Answer) == 0 || len(resp.Answer) == 1000 {
		t.Errorf("%d records, TC %v", len(resp.Answer), resp.Truncated)
	}
}

func TestZoneErrorsNameTheLine(t *testing.T) {
	tests := []struct{ text, says string }{
		{"$ORIGIN example.org.\n@ MX 10 mx\n@ MX ten mx\n", "line: 3"},
		{"mx.example.org. A 192.0.2.1\n", "needs $ORIGIN"},
		{"$ORIGIN example.org.\nmx.example.net. A 192.0.2.1\n", "outside the zone"},
	}
	for _, tt := range tests {
		srv := &dnstest.Server{Zones: []dnstest.Zone{{Text: "$ORIGIN ok.example.\n"}, {Text: tt.text}}}
		defer srv.Close()
		_, dialErr := srv.DialContext(t.Context(), "udp", "")
		_, listenErr := srv.Listen("udp", "127.0.0.1:0")
		for _, err := range []error{dialErr, listenErr} {
			if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "Zones[1]") {
				t.Errorf("%q: %v; does not say %q", tt.text, err, tt.says)
			}
		}
	}
}

func TestListen(t *testing.T) {
	srv := exampleServer(t)
	addr, err := srv.Listen("udp+tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for _, network := range []string{"udp", "tcp"} {
		dial := func() (net.Conn, error) { return net.Dial(network, addr.String()) }
		if resp := ask(t, dial, question("mx.example.org.", dns.TypeA)); data(resp.Answer) != "192.0.2.25" {
			t.Errorf("%s: %v", network, resp)
		}
	}
	want := []dnstest.Question{{Name: "mx.example.org", Type: dns.TypeA, Network: "udp"}, {Name: "mx.example.org", Type: dns.TypeA, Network: "tcp"}}
	got := srv.Questions()
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("Questions are %v, want %v", got, want)
	}
	if _, err := srv.Listen("tcp", addr.String()); err == nil {
		t.Error("the same TCP port was bound twice")
	}
	if _, err := srv.Listen("tls", "127.0.0.1:0"); err == nil {
		t.Error("there is no network tls")
	}
	srv.Close()
	if conn, err := net.Dial("tcp", addr.String()); err == nil {
		conn.Close()
		t.Error("the port is still open after Close")
	}
	if _, err := srv.Listen("udp", "127.0.0.1:0"); err == nil {
		t.Error("Listen works after Close")
	}
	if _, err := srv.DialContext(t.Context(), "udp", ""); err == nil {
		t.Error("DialContext works after Close")
	}
}

// The resolver of the standard library takes a PacketConn for UDP.
func TestNetResolver(t *testing.T) {
	srv := exampleServer(t)
	r := &net.Resolver{PreferGo: true, Dial: srv.DialContext}
	mx, err := r.LookupMX(t.Context(), "example.org.")
	if err != nil || len(mx) != 1 || mx[0].Host != "mx.example.org." {
		t.Errorf("LookupMX = %v, %v", mx, err)
	}
}

func TestDialContextObeysContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := exampleServer(t).DialContext(ctx, "udp", ""); err == nil {
		t.Error("DialContext works after its context has ended")
	}
}

func TestCloseEndsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &dnstest.Server{}
		for _, network := range []string{"udp", "tcp"} {
			conn, err := srv.DialContext(t.Context(), network, "")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
		}
		srv.Close() // the bubble fails if anything still runs
	})
}
