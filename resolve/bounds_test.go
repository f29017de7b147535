package resolve_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
)

// allocated runs f and gives how many bytes it took from the heap in all.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// MX records that fit into one message leave the hundred best; what does not even
// fit by TCP is an error, since a part of the set is not the set.
func TestDNSN20FiveThousandMX(t *testing.T) {
	for _, tt := range []struct {
		records int
		ok      bool
	}{{100, true}, {101, true}, {2500, true}, {5000, false}} {
		var text strings.Builder
		text.WriteString("$ORIGIN example.org.\n")
		for i := range tt.records {
			fmt.Fprintf(&text, "@ MX %d x%d\n", tt.records-i, i)
		}
		srv := &dnstest.Server{Zones: []dnstest.Zone{{Text: text.String()}}}
		defer srv.Close()
		var got resolve.Answer
		var err error
		lookup := func() { got, err = dnsAt(srv).Lookup(t.Context(), mx("example.org")) }
		lookup() // the first one reads the zone
		if took := allocated(lookup); took > 16<<20 {
			t.Errorf("%d records: %d MiB", tt.records, took>>20)
		}
		if !tt.ok {
			if e := new(resolve.Error); !errors.As(err, &e) || e.Kind != resolve.Malformed || got.MX != nil {
				t.Errorf("%d records: got %d, %v, want an error", tt.records, len(got.MX), err)
			}
			continue
		}
		if err != nil || len(got.MX) != min(tt.records, 100) || tt.records > 100 && (got.MX[0].Preference != 1 || got.MX[99].Preference != 100) {
			t.Errorf("%d records: got %d, %v", tt.records, len(got.MX), err)
		}
	}
}

// message is a reply by hand: the header and question of query, then counts of
// records that stand in body.
func message(query *dns.Msg, answers, authorities int, body []byte) []byte {
	raw := packed(answerTo(query))
	binary.BigEndian.PutUint16(raw[6:], uint16(answers))
	binary.BigEndian.PutUint16(raw[8:], uint16(authorities))
	return append(raw, body...)
}

// wireRecord is a record whose owner and data are given as on the wire.
func wireRecord(owner string, rrtype uint16, data string) []byte {
	raw := []byte(owner)
	raw = binary.BigEndian.AppendUint16(raw, rrtype)
	raw = binary.BigEndian.AppendUint16(raw, dns.ClassINET)
	raw = binary.BigEndian.AppendUint32(raw, 60)
	raw = binary.BigEndian.AppendUint16(raw, uint16(len(data)))
	return append(raw, data...)
}

// full repeats a record until the message is as long as TCP allows.
func full(query *dns.Msg, record []byte) []byte {
	n := (65535 - len(packed(answerTo(query)))) / len(record)
	return message(query, n, 0, []byte(strings.Repeat(string(record), n)))
}

// Messages of 64 KiB, and such as go in circles, cost little, and are answered by
// an error or by what they say about the question.
func TestDNSN20N27LargeMessages(t *testing.T) {
	const name = "\xc0\x0c" // a pointer to the question
	long := strings.Repeat("\x3f"+strings.Repeat("\x01", 63), 3) + "\x3d" + strings.Repeat("\x01", 61) + "\x00"
	tests := []struct {
		name  string
		reply func(q *dns.Msg) []byte
		kind  resolve.ErrorKind // of the error; Other: an answer
		mx    int
	}{
		{"MX records", func(q *dns.Msg) []byte { return full(q, wireRecord(name, dns.TypeMX, "\x00\x0a"+name)) }, resolve.Other, 100},
		{"unrelated records", func(q *dns.Msg) []byte { return full(q, wireRecord("\x01x\xc0\x0c", dns.TypeMX, "\x00\x0a"+name)) }, resolve.Other, 0},
		{"unrelated types", func(q *dns.Msg) []byte { return full(q, wireRecord(name, 99, "\x01x")) }, resolve.Other, 0},
		{"long names", func(q *dns.Msg) []byte {
			first := wireRecord(long, 99, "")
			owner := binary.BigEndian.AppendUint16(nil, 0xc000|uint16(len(packed(answerTo(q)))))
			record := wireRecord(string(owner), dns.TypeMX, "\x00\x0a"+string(owner))
			n := (65535 - len(packed(answerTo(q))) - len(first)) / len(record)
			return message(q, n+1, 0, append(first, strings.Repeat(string(record), n)...))
		}, resolve.Other, 0},
		{"aliases before many records", func(q *dns.Msg) []byte {
			var body []byte
			owner := name
			for i := range 16 {
				record := wireRecord(owner, dns.TypeCNAME, string([]byte{1, byte('a' + i)})+name)
				target := len(body) + len(record) - 4
				body = append(body, record...)
				owner = string(binary.BigEndian.AppendUint16(nil, 0xc000|uint16(len(packed(answerTo(q)))+target)))
			}
			record := wireRecord("\x01x"+name, dns.TypeMX, "\x00\x0a"+name)
			n := (65535 - len(packed(answerTo(q))) - len(body) - 16) / len(record)
			body = append(body, strings.Repeat(string(record), n)...)
			body = append(body, wireRecord(owner, dns.TypeMX, "\x00\x0a"+name)...)
			return message(q, 16+n+1, 0, body)
		}, resolve.Other, 1},
		{"pointer to itself", func(q *dns.Msg) []byte {
			at := len(packed(answerTo(q)))
			return message(q, 1, 0, wireRecord(string(binary.BigEndian.AppendUint16(nil, 0xc000|uint16(at))), dns.TypeMX, "\x00\x0a\x00"))
		}, resolve.Malformed, 0},
		{"pointers in a circle", func(q *dns.Msg) []byte {
			at := uint16(len(packed(answerTo(q))))
			owner := binary.BigEndian.AppendUint16(nil, 0xc000|(at+2))
			owner = binary.BigEndian.AppendUint16(owner, 0xc000|at)
			return message(q, 1, 0, wireRecord(string(owner), dns.TypeMX, "\x00\x0a\x00"))
		}, resolve.Malformed, 0},
		{"pointer loop in the authority", func(q *dns.Msg) []byte {
			at := len(packed(answerTo(q)))
			return message(q, 0, 1, wireRecord(string(binary.BigEndian.AppendUint16(nil, 0xc000|uint16(at))), dns.TypeSOA, "\x00\x00"))
		}, resolve.Malformed, 0},
		{"stairs of pointers", func(q *dns.Msg) []byte {
			at := len(packed(answerTo(q)))
			stairs := []byte(name)
			for range 8000 {
				stairs = binary.BigEndian.AppendUint16(stairs, 0xc000|uint16(at+12+len(stairs)-2)) // 12: the header of the record
			}
			owner := stairs[len(stairs)-2:]
			body := append(wireRecord(name, 99, string(stairs)), wireRecord(string(owner), dns.TypeMX, "\x00\x0a\x00")...)
			return message(q, 2, 0, body)
		}, resolve.Malformed, 0},
		{"more records than there are", func(q *dns.Msg) []byte { return message(q, 65535, 65535, nil) }, resolve.Malformed, 0},
		{"nothing but noughts", func(q *dns.Msg) []byte { return message(q, 0, 65535, make([]byte, 65000)) }, resolve.Malformed, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			questions := 0
			reply := tt.reply(new(dns.Msg).SetQuestion("example.org.", dns.TypeMX))
			r := &resolve.DNS{Servers: []string{"tcp://127.0.0.1"}, DialContext: func(context.Context, string, string) (net.Conn, error) {
				questions++
				return &canned{network: "tcp", reply: reply}, nil
			}}
			var got resolve.Answer
			var err error
			took := allocated(func() { got, err = r.Lookup(t.Context(), mx("example.org")) })
			var e *resolve.Error
			if errors.As(err, &e) != (tt.kind != resolve.Other) || e != nil && e.Kind != tt.kind || len(got.MX) != tt.mx {
				t.Errorf("got %d MX, %v, want %d, an error of kind %d", len(got.MX), err, tt.mx, tt.kind)
			}
			if took > 16<<20 || questions > 2 {
				t.Errorf("%d MiB after %d questions", took>>20, questions)
			}
		})
	}
}

// Sixteen aliases are followed, whether they come at once or one by one (eight of
// these), and no more.
func TestDNSN18ChainsOfAliases(t *testing.T) {
	for _, tt := range []struct {
		length  int
		atOnce  bool
		records int
	}{{1, true, 1}, {16, true, 1}, {17, true, 0}, {1000, true, 0}, {1, false, 1}, {8, false, 1}, {9, false, 0}, {1000, false, 0}} {
		questions := 0
		server := script(func(_ string, q *dns.Msg) [][]byte {
			questions++
			var at int
			if _, err := fmt.Sscanf(q.Question[0].Name, "a%d.example.", &at); err != nil {
				t.Error(err)
			}
			var chain []string
			for ; at < tt.length; at++ {
				chain = append(chain, fmt.Sprintf("a%d.example. 60 CNAME a%d.example.", at, at+1))
				if !tt.atOnce {
					return [][]byte{pack(q, chain...)}
				}
			}
			return [][]byte{pack(q, append(chain, fmt.Sprintf("a%d.example. 60 A 192.0.2.1", tt.length))...)}
		})
		r := server.resolver()
		r.Servers = []string{"tcp://127.0.0.1"}
		got, err := r.Lookup(t.Context(), a("a0.example"))
		if err != nil || len(got.Addrs) != tt.records || questions > 9 || got.Secure {
			t.Errorf("%d aliases, at once %v: got %+v, %v after %d questions, want %d records", tt.length, tt.atOnce, got, err, questions, tt.records)
		}
	}
}

func TestDNSN30TTL(t *testing.T) {
	for ttl, want := range map[uint32]time.Duration{0: 0, 1: time.Second, 86400: 24 * time.Hour, 86401: 24 * time.Hour,
		1<<31 - 1: 24 * time.Hour, 1 << 31: 0, 1<<32 - 1: 0} {
		server := script(func(_ string, q *dns.Msg) [][]byte {
			return [][]byte{pack(q, fmt.Sprintf("example.org. %d A 192.0.2.1", ttl))}
		})
		if got, err := server.resolver().Lookup(t.Context(), a("example.org")); err != nil || got.TTL != want {
			t.Errorf("TTL %d: got %v, %v, want %v", ttl, got.TTL, err, want)
		}
	}
}

const tlsaZone = `
$ORIGIN example.org.
mx  A 192.0.2.1
alias CNAME mx
`

// What a lookup says that DANE hangs on. Only a Secure answer without records
// means that there is no DANE; whatever fails is an error.
func TestDNSTLSALookups(t *testing.T) {
	const name = "_25._tcp.mx.example.org"
	tlsa := resolve.Question{Name: name, Type: resolve.TypeTLSA}
	many := func(n int) string {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, "_25._tcp.mx TLSA 3 1 1 %064x\n", i)
		}
		return text.String()
	}
	for _, tt := range []struct {
		name   string
		text   string
		signed bool
		fault  dnstest.Fault
		want   string
	}{
		{"D2 insecure", many(1), false, dnstest.None, "1 records"},
		{"D5 SERVFAIL", many(1), true, dnstest.ServFail, "error 1"},
		{"D5 REFUSED", many(1), true, dnstest.Refused, "error 2"},
		{"D5 timeout", many(1), true, dnstest.Silence, "error 3"},
		{"D5 bogus", many(1), true, dnstest.Bogus, "error 4"},
		{"D5 NOTIMP", many(1), true, dnstest.NotImp, "error 0"},
		{"D5 garbage", many(1), true, dnstest.Garbage, "error 5"},
		{"D6 no records, secure", "_25._tcp.mx TXT x\n", true, dnstest.None, "0 records, secure"},
		{"D6 no name, secure", "", true, dnstest.None, "0 records, secure"},
		{"D6 no name, insecure", "", false, dnstest.None, "0 records"},
		{"D14 100 records", many(100), true, dnstest.None, "100 records, secure"},
		{"D14 300 records", many(300), true, dnstest.None, "error 0"},
		{"D17 proof broken", "", true, dnstest.ServFail, "error 1"},
		{"N32 dropped", many(1), false, dnstest.Silence, "error 3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := &dnstest.Server{Zones: []dnstest.Zone{{Text: tlsaZone + tt.text, Secure: tt.signed}}, Script: func(asked string, _ uint16) dnstest.Fault {
				if asked == name {
					return tt.fault
				}
				return dnstest.None
			}}
			defer srv.Close()
			r := dnsAt(srv)
			r.Timeout = 50 * time.Millisecond
			answer, err := r.Lookup(t.Context(), tlsa)
			got := fmt.Sprintf("%d records", len(answer.TLSA))
			if answer.Secure {
				got += ", secure"
			}
			if e := new(resolve.Error); errors.As(err, &e) {
				got = fmt.Sprintf("error %d", e.Kind)
			}
			if got != tt.want || err != nil && !reflect.DeepEqual(answer, resolve.Answer{}) {
				t.Errorf("got %s (%+v, %v), want %s", got, answer, err, tt.want)
			}
		})
	}
}

// D15: whoever is not trusted may say AD as he likes; D16: a resolver that has
// stopped to validate is one that says so of nothing.
func TestDNSD15D16WhoSaysAD(t *testing.T) {
	for _, tt := range []struct {
		name, server string
		signed, want bool
	}{
		{"D15 far away", "192.0.2.53", true, false},
		{"D15 here", "127.0.0.1", true, true},
		{"D16 no longer", "127.0.0.1", false, false},
	} {
		srv := &dnstest.Server{Zones: []dnstest.Zone{{Text: tlsaZone, Secure: tt.signed}}}
		defer srv.Close()
		r := &resolve.DNS{Servers: []string{tt.server}, DialContext: srv.DialContext}
		if got, err := r.Lookup(t.Context(), a("alias.example.org")); err != nil || got.Secure != tt.want {
			t.Errorf("%s: got %+v, %v, want Secure %v", tt.name, got, err, tt.want)
		}
	}
}
