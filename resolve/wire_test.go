package resolve_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/postrider/postrider/resolve"
)

// script is a name server that answers a query with any bytes: one datagram
// each by UDP, one message each by TCP. Then it is silent.
type script func(network string, query *dns.Msg) [][]byte

func (s script) DialContext(_ context.Context, network, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		buf := make([]byte, 4096)
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		raw := buf[:n]
		if network == "tcp" {
			raw = raw[2:]
		}
		query := new(dns.Msg)
		if err := query.Unpack(raw); err != nil {
			panic(err)
		}
		for _, reply := range s(network, query) {
			if network == "tcp" {
				reply = append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)
			}
			if _, err := server.Write(reply); err != nil {
				return
			}
		}
		io.Copy(io.Discard, server)
	}()
	return client, nil
}

func (s script) resolver() *resolve.DNS {
	return &resolve.DNS{Servers: []string{loopback}, DialContext: s.DialContext}
}

// pack makes the answer to query, with records in master file form.
func pack(query *dns.Msg, records ...string) []byte {
	return packed(answerTo(query, records...))
}

func answerTo(query *dns.Msg, records ...string) *dns.Msg {
	m := new(dns.Msg).SetReply(query)
	m.RecursionAvailable = true
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			panic(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	return m
}

func packed(m *dns.Msg) []byte {
	raw, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return raw
}

// What may come from anybody who guesses our port does not end the wait.
func TestDNSN25ForeignDatagrams(t *testing.T) {
	foreign := map[string]func(query *dns.Msg) []byte{
		"empty":        func(*dns.Msg) []byte { return []byte{0} },
		"short":        func(q *dns.Msg) []byte { return pack(q)[:11] },
		"no DNS":       func(*dns.Msg) []byte { return []byte("HTTP/1.1 400 Bad Request\r\n\r\n") },
		"other ID":     func(q *dns.Msg) []byte { q.Id++; return pack(q, "mx.example.org. A 203.0.113.1") },
		"a query":      func(q *dns.Msg) []byte { return packed(q) },
		"other opcode": func(q *dns.Msg) []byte { q.Opcode = dns.OpcodeNotify; return pack(q) },
		"other name":   func(q *dns.Msg) []byte { q.Question[0].Name = "mx.example.net."; return pack(q) },
		"other type":   func(q *dns.Msg) []byte { q.Question[0].Qtype = dns.TypeMX; return pack(q) },
		"other class":  func(q *dns.Msg) []byte { q.Question[0].Qclass = dns.ClassCHAOS; return pack(q) },
		"no question":  func(q *dns.Msg) []byte { m := answerTo(q); m.Question = nil; return packed(m) },
		"two questions": func(q *dns.Msg) []byte {
			m := answerTo(q)
			m.Question = append(m.Question, m.Question[0])
			return packed(m)
		},
	}
	for name, forge := range foreign {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				late := true
				server := script(func(_ string, q *dns.Msg) [][]byte {
					replies := [][]byte{forge(q.Copy())}
					if late {
						replies = append(replies, pack(q, "mx.example.org. 60 A 192.0.2.1"))
					}
					return replies
				})
				want := resolve.Answer{Addrs: addrs("192.0.2.1"), Canonical: "mx.example.org", TTL: time.Minute}
				if got, err := server.resolver().Lookup(t.Context(), a("mx.example.org")); err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("got %+v, %v, want %+v", got, err, want)
				}
				late = false
				start := time.Now()
				_, err := server.resolver().Lookup(t.Context(), a("mx.example.org"))
				var e *resolve.Error
				if !errors.As(err, &e) || !e.Timeout() || time.Since(start) != 10*time.Second {
					t.Errorf("alone: %v after %v, want a timeout after two tries of 5 s", err, time.Since(start))
				}
			})
		})
	}
}

// A question comes back as it went out, or by UDP it is not ours. A server that
// writes it otherwise is asked by TCP in the end, where nobody else can answer.
func TestDNSN25CaseOfTheQuestion(t *testing.T) {
	for _, tt := range []struct {
		server func(name string) string
		mix    bool
		takes  time.Duration
	}{
		{func(name string) string { return name }, false, 0},
		{func(name string) string { return name }, true, 0},
		{strings.ToLower, false, 0},
		{strings.ToLower, true, 5 * time.Second},
		{strings.ToUpper, false, 5 * time.Second},
		{strings.ToUpper, true, 5 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			server := script(func(_ string, q *dns.Msg) [][]byte {
				name := q.Question[0].Name
				if mixed := name != strings.ToLower(name); mixed != tt.mix || !strings.EqualFold(name, "a-long-name-with-many-letters.example.org.") {
					t.Errorf("asked for %s", name)
				}
				q.Question[0].Name = tt.server(name)
				return [][]byte{pack(q, "A-long-name-with-many-letters.example.ORG. 60 A 192.0.2.1")}
			})
			r := server.resolver()
			r.MixCase = tt.mix
			start := time.Now()
			got, err := r.Lookup(t.Context(), a("a-long-name-with-many-letters.example.org"))
			if took := time.Since(start); err != nil || len(got.Addrs) != 1 || got.Canonical != "a-long-name-with-many-letters.example.org" || took != tt.takes {
				t.Errorf("mixed %v, the server says %s: got %+v, %v after %v, want it after %v", tt.mix, tt.server("eXample"), got, err, took, tt.takes)
			}
		})
	}
}

func TestDNSN26OtherRecords(t *testing.T) {
	server := script(func(_ string, q *dns.Msg) [][]byte {
		m := answerTo(q, "other.example.org. 60 A 203.0.113.1", "example.org. 60 MX 10 evil.example.", "mx.example.org. 60 CH A 203.0.113.2",
			"evil.example. 60 CNAME mx.example.org.", "mx.example.org. 60 A 192.0.2.1", "mx.example.org. 60 TXT x")
		m.Extra = append(m.Extra, answerTo(q, "mx.example.org. 60 A 203.0.113.3").Answer...)
		return [][]byte{packed(m)}
	})
	want := resolve.Answer{Addrs: addrs("192.0.2.1"), Canonical: "mx.example.org", TTL: time.Minute}
	if got, err := server.resolver().Lookup(t.Context(), a("mx.example.org")); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// record appends one record of any type and data to the answer to query.
func record(query *dns.Msg, rrtype uint16, rdlength int, data string) []byte {
	raw := packed(answerTo(query))
	binary.BigEndian.PutUint16(raw[6:], 1) // ANCOUNT
	raw = append(raw, 0xc0, 12)            // the name in the question
	raw = binary.BigEndian.AppendUint16(raw, rrtype)
	raw = binary.BigEndian.AppendUint16(raw, dns.ClassINET)
	raw = binary.BigEndian.AppendUint32(raw, 60)
	raw = binary.BigEndian.AppendUint16(raw, uint16(rdlength))
	return append(raw, data...)
}

// Broken records must not pass for an answer: an MX record without a host would
// be a null MX, and bounce the mail.
func TestDNSN27MalformedRecords(t *testing.T) {
	tests := []struct {
		name     string
		typ      resolve.Type
		rdlength int
		data     string
	}{
		{"MX empty", resolve.TypeMX, 0, ""},
		{"MX without host", resolve.TypeMX, 2, "\x00\x0a"},
		{"MX with half a preference", resolve.TypeMX, 1, "\x00"},
		{"MX pointer loop", resolve.TypeMX, 4, "\x00\x0a\xc0\x2d"},
		{"MX pointer beyond", resolve.TypeMX, 4, "\x00\x0a\xc3\xff"},
		{"MX label too long", resolve.TypeMX, 4, "\x00\x0a\x40a"},
		{"MX name too long", resolve.TypeMX, 3 + 5*64, "\x00\x0a" + strings.Repeat("\x3f"+strings.Repeat("a", 63), 5) + "\x00"},
		{"MX longer than announced", resolve.TypeMX, 4, "\x00\x0a\x03abc\x00"},
		{"MX beyond the message", resolve.TypeMX, 400, "\x00\x0a\x00"},
		{"A empty", resolve.TypeA, 0, ""},
		{"A short", resolve.TypeA, 3, "\xc0\x00\x02"},
		{"A long", resolve.TypeA, 5, "\xc0\x00\x02\x01\x01"},
		{"AAAA empty", resolve.TypeAAAA, 0, ""},
		{"AAAA short", resolve.TypeAAAA, 4, "\x20\x01\x0d\xb8"},
		{"SRV empty", resolve.TypeSRV, 0, ""},
		{"SRV without host", resolve.TypeSRV, 6, "\x00\x00\x00\x00\x00\x19"},
		{"TLSA empty", resolve.TypeTLSA, 0, ""},
		{"TLSA of 1 octet", resolve.TypeTLSA, 1, "\x03"},
		{"TLSA of 2 octets", resolve.TypeTLSA, 2, "\x03\x01"},
		{"TLSA of 3 octets", resolve.TypeTLSA, 3, "\x03\x01\x01"},
		{"TXT empty", resolve.TypeTXT, 0, ""},
		{"TXT beyond the record", resolve.TypeTXT, 3, "\x05abcde"},
		{"CNAME empty", resolve.TypeCNAME, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := script(func(_ string, q *dns.Msg) [][]byte {
				return [][]byte{record(q, uint16(tt.typ), tt.rdlength, tt.data)}
			})
			got, err := server.resolver().Lookup(t.Context(), resolve.Question{Name: "example.org", Type: tt.typ})
			var e *resolve.Error
			if !errors.As(err, &e) || e.Kind != resolve.Malformed {
				t.Errorf("got %+v, %v, want an Error of kind Malformed", got, err)
			}
		})
	}
}

// The cut fell between two records, and nothing else shows it.
func TestDNSN24CutWithoutTC(t *testing.T) {
	records := []string{"example.org. 60 A 192.0.2.1", "example.org. 60 A 192.0.2.2"}
	server := script(func(network string, q *dns.Msg) [][]byte {
		if network == "tcp" {
			return [][]byte{pack(q, records...)}
		}
		short := pack(q, records[0])
		binary.BigEndian.PutUint16(short[6:], 2)
		return [][]byte{short}
	})
	if got, err := server.resolver().Lookup(t.Context(), a("example.org")); err != nil || len(got.Addrs) != 2 {
		t.Errorf("got %+v, %v, want both addresses", got, err)
	}
}

// Servers that send more than they were asked for may fill the whole buffer.
func TestDNSN24DatagramTooLarge(t *testing.T) {
	var records []string
	for range 40 {
		records = append(records, `example.org. 60 TXT "`+strings.Repeat("x", 200)+`"`)
	}
	server := script(func(network string, q *dns.Msg) [][]byte { return [][]byte{pack(q, records...)} })
	if got, err := server.resolver().Lookup(t.Context(), resolve.Question{Name: "example.org", Type: resolve.TypeTXT}); err != nil || len(got.TXT) != 40 {
		t.Errorf("%d records, %v, want 40", len(got.TXT), err)
	}
}

func TestDNSTCPFaults(t *testing.T) {
	truncated := func(q *dns.Msg) []byte { m := answerTo(q); m.Truncated = true; return packed(m) }
	tests := map[string]func(q *dns.Msg) []byte{
		"truncated again": truncated,
		"other question":  func(q *dns.Msg) []byte { q.Question[0].Name = "mx.example.net."; return pack(q) },
		"no DNS":          func(*dns.Msg) []byte { return []byte("HTTP/1.1 400 Bad Request\r\n\r\n") },
		"empty":           func(*dns.Msg) []byte { return nil },
	}
	for name, reply := range tests {
		t.Run(name, func(t *testing.T) {
			server := script(func(network string, q *dns.Msg) [][]byte {
				if network == "udp" {
					return [][]byte{truncated(q)}
				}
				return [][]byte{reply(q)}
			})
			got, err := server.resolver().Lookup(t.Context(), a("example.org"))
			var e *resolve.Error
			if !errors.As(err, &e) || e.Kind != resolve.Malformed {
				t.Errorf("got %+v, %v, want an Error of kind Malformed", got, err)
			}
		})
	}
}

// Such an answer would otherwise look like a name without records, and bounce
// the mail.
func TestDNSReferral(t *testing.T) {
	server := script(func(_ string, q *dns.Msg) [][]byte {
		m := answerTo(q)
		m.RecursionAvailable = false
		m.Ns = answerTo(q, "org. 60 NS a.root.example.").Answer
		return [][]byte{packed(m)}
	})
	got, err := server.resolver().Lookup(t.Context(), mx("example.org"))
	var e *resolve.Error
	if !errors.As(err, &e) || e.Kind != resolve.Refused {
		t.Errorf("got %+v, %v, want an Error of kind Refused", got, err)
	}
}

// What the answer says about the end of the aliases is not asked for again.
func TestDNSAliasToNothing(t *testing.T) {
	tests := []struct {
		name  string
		rcode int
		soa   bool
		want  resolve.Answer
	}{
		{"no such name", dns.RcodeNameError, false, resolve.Answer{Canonical: "gone.example.net", NoName: true}},
		{"no such record", dns.RcodeSuccess, true, resolve.Answer{Canonical: "gone.example.net", TTL: 5 * time.Second}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			queries := 0
			server := script(func(_ string, q *dns.Msg) [][]byte {
				queries++
				m := answerTo(q, "example.org. 60 CNAME gone.example.net.")
				m.Rcode = tt.rcode
				if tt.soa {
					m.Ns = answerTo(q, "example.net. 5 SOA a. b. 1 2 3 4 60").Answer
				}
				return [][]byte{packed(m)}
			})
			got, err := server.resolver().Lookup(t.Context(), a("example.org"))
			if err != nil || !reflect.DeepEqual(got, tt.want) || queries != 1 {
				t.Errorf("after %d queries: got %+v, %v, want %+v", queries, got, err, tt.want)
			}
		})
	}
}

func TestDNSRefusalWithoutQuestion(t *testing.T) {
	server := script(func(_ string, q *dns.Msg) [][]byte {
		m := new(dns.Msg).SetRcode(q, dns.RcodeRefused)
		m.Question = nil
		return [][]byte{packed(m)}
	})
	_, err := server.resolver().Lookup(t.Context(), mx("example.org"))
	var e *resolve.Error
	if !errors.As(err, &e) || e.Kind != resolve.Refused {
		t.Errorf("got %v, want an Error of kind Refused", err)
	}
}

func TestDNSExtendedErrors(t *testing.T) {
	for code := range uint16(30) {
		server := script(func(_ string, q *dns.Msg) [][]byte {
			m := new(dns.Msg).SetRcode(q, dns.RcodeServerFailure).SetEdns0(1232, true)
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: code, ExtraText: "see\r\nhere"}}
			return [][]byte{packed(m)}
		})
		want := resolve.ServFail
		if code >= 6 && code <= 10 {
			want = resolve.Bogus
		}
		_, err := server.resolver().Lookup(t.Context(), mx("example.org"))
		var e *resolve.Error
		if !errors.As(err, &e) || e.Kind != want || strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("extended error %d: %q, want kind %d", code, err, want)
		}
	}
}

// Bytes that no host name has come escaped out of DNS, and Route leaves them out.
func TestRouteN28NamesFromTheWire(t *testing.T) {
	server := script(func(_ string, q *dns.Msg) [][]byte {
		switch {
		case q.Question[0].Qtype == dns.TypeA:
			return [][]byte{pack(q, q.Question[0].Name+" 60 A 192.0.2.1")}
		case q.Question[0].Qtype == dns.TypeAAAA:
			return [][]byte{pack(q)}
		}
		return [][]byte{pack(q, `example.org. MX 1 mx\000.example.org.`, `example.org. MX 2 a\013\010RSET.example.org.`,
			`example.org. MX 3 a\ b.example.org.`, `example.org. MX 4 a>b.example.org.`, `example.org. MX 5 dot\.dot.example.org.`,
			`example.org. MX 6 \200.example.org.`, `example.org. MX 7 mx.example.org.`)}
	})
	answer, err := server.resolver().Lookup(t.Context(), mx("example.org"))
	if err != nil || len(answer.MX) != 7 {
		t.Fatalf("got %+v, %v", answer, err)
	}
	for _, mx := range answer.MX {
		if strings.ContainsFunc(mx.Host, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q came through as it is", mx.Host)
		}
	}
	route, err := resolve.Routing{}.Route(t.Context(), server.resolver(), resolve.NextHop{Name: "example.org"})
	if err != nil || summary(route) != "7 mx.example.org 192.0.2.1" {
		t.Errorf("got %v, %v", route, err)
	}
}

func TestDNSQuery(t *testing.T) {
	ids := make(map[uint16]bool)
	server := script(func(_ string, q *dns.Msg) [][]byte {
		ids[q.Id] = true
		opt := q.IsEdns0()
		if !q.RecursionDesired || !q.AuthenticatedData || opt == nil || !opt.Do() || opt.UDPSize() != 1232 {
			t.Errorf("the query is %v", q)
		}
		return [][]byte{pack(q)}
	})
	resolver := server.resolver()
	for range 20 {
		if _, err := resolver.Lookup(t.Context(), a("example.org")); err != nil {
			t.Fatal(err)
		}
	}
	if len(ids) < 15 {
		t.Errorf("20 queries had only %d IDs", len(ids))
	}
}

// Whatever a server sends, a lookup ends in an Answer that keeps its rules and
// holds only records that belong to the question, or in an *Error, after a bounded
// number of tries.
func FuzzDNSReply(f *testing.F) {
	types := []resolve.Type{resolve.TypeA, resolve.TypeCNAME, resolve.TypeMX, resolve.TypeTXT, resolve.TypeAAAA, resolve.TypeSRV, resolve.TypeTLSA}
	records := []string{"example.org. A 192.0.2.1", "example.org. CNAME www.example.org.", "example.org. MX 10 mx\\000\\032.example.org.",
		`example.org. TXT "a\"b\200" c`, "example.org. AAAA 2001:db8::1", "example.org. SRV 1 2 3 mx.example.org.", "example.org. TLSA 3 1 1 aabb"}
	for i, typ := range types {
		q := new(dns.Msg).SetQuestion("example.org.", uint16(typ))
		f.Add(uint8(i), pack(q, records[i]))
		f.Add(uint8(i), pack(q, "example.org. CNAME example.org.", records[i]))
		f.Add(uint8(i), pack(q, "example.org. CNAME a.example.", "a.example. CNAME b.example.", "b.example. CNAME example.org.", records[i]))
		f.Add(uint8(i), pack(q, "other.example. A 203.0.113.1", "other.example. MX 10 evil.example.", "example.org. CNAME a.example."))
		f.Add(uint8(i), record(q, uint16(typ), 4, "\x00\x0a\xc0\x2d"))
		f.Add(uint8(i), packed(new(dns.Msg).SetRcode(q, dns.RcodeNameError)))
		f.Add(uint8(i), packed(new(dns.Msg).SetRcode(q, dns.RcodeFormatError)))
		failed := new(dns.Msg).SetRcode(q, dns.RcodeServerFailure).SetEdns0(1232, true)
		failed.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: 6, ExtraText: "x\x00y"}}
		f.Add(uint8(i), packed(failed))
	}
	f.Fuzz(func(t *testing.T, index uint8, reply []byte) {
		if len(reply) > 1<<16-1 {
			return
		}
		q := resolve.Question{Name: "example.org", Type: types[int(index)%len(types)]}
		dials := 0
		resolver := &resolve.DNS{Servers: []string{loopback}, DialContext: func(_ context.Context, network, _ string) (net.Conn, error) {
			dials++
			return &canned{network: network, reply: reply}, nil
		}}
		answer, err := resolver.Lookup(t.Context(), q)
		if dials > 9*2*2*2 { // aliases, rounds, networks, with and without EDNS
			t.Errorf("%d tries", dials)
		}
		if err != nil {
			if e := new(resolve.Error); !errors.As(err, &e) || !reflect.DeepEqual(answer, resolve.Answer{}) {
				t.Errorf("got %+v, %v, want an *Error alone", answer, err)
			}
			return
		}
		checkAnswer(t, q, answer)
		checkRelated(t, q, answer, reply)
	})
}

// checkRelated holds the records of an answer against the message: each has to be
// under the name of the question or of an alias that leads on from there.
func checkRelated(t *testing.T, q resolve.Question, got resolve.Answer, reply []byte) {
	t.Helper()
	msg := new(dns.Msg)
	if err := msg.Unpack(reply); err != nil {
		if !reflect.DeepEqual(got, resolve.Answer{}) {
			t.Errorf("got %+v from a message that cannot be read: %v", got, err)
		}
		return
	}
	related := map[string]bool{q.Name: true}
	for range len(msg.Answer) { // each round finds at least one more, or none is left
		for _, rr := range msg.Answer {
			if c, ok := rr.(*dns.CNAME); ok && related[plainName(c.Hdr.Name)] {
				related[plainName(c.Target)] = true
			}
		}
	}
	count := 0
	for _, rr := range msg.Answer {
		if rr.Header().Rrtype == uint16(q.Type) && related[plainName(rr.Header().Name)] {
			count++
		}
	}
	if n := len(got.Addrs) + len(got.MX) + len(got.SRV) + len(got.TLSA) + len(got.TXT); n > count {
		t.Errorf("%d records, but only %d in the message have to do with the question: %v", n, count, msg)
	}
	if !related[got.Canonical] && got.Canonical != "" {
		t.Errorf("the name %q has nothing to do with the question: %v", got.Canonical, msg)
	}
}

func plainName(s string) string { return strings.TrimSuffix(strings.ToLower(s), ".") }

// canned is a connection on which one reply stands ready, with the ID of the
// query put in.
type canned struct {
	net.Conn
	network string
	reply   []byte
	pending []byte
}

func (c *canned) Write(b []byte) (int, error) {
	query := b
	c.pending = append([]byte(nil), c.reply...)
	if c.network == "tcp" {
		query = b[2:]
		c.pending = append(binary.BigEndian.AppendUint16(nil, uint16(len(c.reply))), c.reply...)
		copy(c.pending[2:], query[:2])
	} else {
		copy(c.pending, query[:2])
	}
	return len(b), nil
}

func (c *canned) Read(b []byte) (int, error) {
	if len(c.pending) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.pending)
	c.pending = c.pending[n:]
	return n, nil
}

func (c *canned) Close() error { return nil }

// checkAnswer holds an answer against the rules of Resolver.
func checkAnswer(t *testing.T, q resolve.Question, got resolve.Answer) {
	t.Helper()
	if got.TTL < 0 || got.TTL > 24*time.Hour {
		t.Errorf("TTL %v", got.TTL)
	}
	lists := map[resolve.Type]int{resolve.TypeMX: len(got.MX), resolve.TypeSRV: len(got.SRV), resolve.TypeTLSA: len(got.TLSA), resolve.TypeTXT: len(got.TXT)}
	if q.Type == resolve.TypeA || q.Type == resolve.TypeAAAA {
		lists[q.Type] = len(got.Addrs)
	} else if got.Addrs != nil {
		t.Errorf("addresses in an answer of type %v", q.Type)
	}
	for typ, n := range lists {
		if n > 100 || n > 0 && (typ != q.Type || got.NoName) {
			t.Errorf("%d records of type %v in an answer of type %v, NoName %v", n, typ, q.Type, got.NoName)
		}
	}
	names := []string{got.Canonical}
	for _, r := range got.MX {
		names = append(names, r.Host)
	}
	for _, r := range got.SRV {
		names = append(names, r.Host)
	}
	for _, name := range names {
		if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' || 'A' <= r && r <= 'Z' }) {
			t.Errorf("the name %q", name)
		}
	}
	for _, addr := range got.Addrs {
		if addr.Is4() != (q.Type == resolve.TypeA) {
			t.Errorf("the address %v in an answer of type %v", addr, q.Type)
		}
	}
	for _, r := range got.TLSA {
		if len(r.Data) == 0 {
			t.Error("a TLSA record without data")
		}
	}
}
