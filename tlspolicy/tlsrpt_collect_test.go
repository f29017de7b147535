package tlspolicy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/tlspolicy"
)

// dead is a Resolver without an answer.
type dead struct{}

var errDead = errors.New("no name server")

func (dead) Lookup(context.Context, resolve.Question) (resolve.Answer, error) {
	return resolve.Answer{}, errDead
}

// everybody wants reports, but for the domains that begin with "silent". asked counts.
type everybody struct {
	mu    sync.Mutex
	asked map[string]int
	lost  map[string]bool // names without an answer
}

func (e *everybody) Lookup(_ context.Context, q resolve.Question) (resolve.Answer, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.asked == nil {
		e.asked = make(map[string]int)
	}
	domain, ok := strings.CutPrefix(q.Name, "_smtp._tls.")
	e.asked[domain]++
	switch {
	case e.lost[domain]:
		return resolve.Answer{}, errDead
	case !ok || q.Type != resolve.TypeTXT || strings.HasPrefix(domain, "silent"):
		return resolve.Answer{NoName: true}, nil
	}
	return resolve.Answer{TXT: []string{"v=TLSRPTv1; rua=mailto:tlsrpt@" + domain}}, nil
}

func newCollector(c cache.Cache, name string, peers ...string) *tlspolicy.Collector {
	return &tlspolicy.Collector{Organization: "Example, Inc.", Contact: "tlsrpt@example.org", Resolver: &everybody{}, Cache: c, Name: name, Peers: peers}
}

// told is a report as its reader has it: the schema of RFC 8460, Section 4.4, written
// down a second time.
type told struct {
	Organization string `json:"organization-name"`
	Range        struct {
		Start string `json:"start-datetime"`
		End   string `json:"end-datetime"`
	} `json:"date-range"`
	Contact  string `json:"contact-info"`
	ID       string `json:"report-id"`
	Policies []struct {
		Policy struct {
			Type    string   `json:"policy-type"`
			String  []string `json:"policy-string"`
			Domain  string   `json:"policy-domain"`
			MXHosts []string `json:"mx-host"`
		} `json:"policy"`
		Summary struct {
			Success int64 `json:"total-successful-session-count"`
			Failure int64 `json:"total-failure-session-count"`
		} `json:"summary"`
		Details []struct {
			Type        string `json:"result-type"`
			SendingIP   string `json:"sending-mta-ip"`
			MX          string `json:"receiving-mx-hostname"`
			Helo        string `json:"receiving-mx-helo"`
			ReceivingIP string `json:"receiving-ip"`
			Sessions    int64  `json:"failed-session-count"`
			Information string `json:"additional-information"`
			Reason      string `json:"failure-reason-code"`
		} `json:"failure-details"`
	} `json:"policies"`
}

// read takes a report apart, and holds its sums against each other.
func read(t *testing.T, r tlspolicy.Report) told {
	t.Helper()
	var report told
	decoder := json.NewDecoder(strings.NewReader(string(r.JSON)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&report); err != nil {
		t.Fatalf("%v\n%s", err, r.JSON)
	}
	var successes, failures int64
	for _, p := range report.Policies {
		var sum int64
		for _, d := range p.Details {
			sum += d.Sessions
			if d.Sessions <= 0 {
				t.Errorf("%d failed sessions", d.Sessions)
			}
		}
		if sum != p.Summary.Failure {
			t.Errorf("%d failures, but the details have %d", p.Summary.Failure, sum)
		}
		successes += p.Summary.Success
		failures += p.Summary.Failure
	}
	if successes != r.Successes || failures != r.Failures {
		t.Errorf("%d and %d in the report, %d and %d in its JSON", r.Successes, r.Failures, successes, failures)
	}
	return report
}

// today are the reports of this day, by domain.
func today(t *testing.T, c *tlspolicy.Collector) map[string]tlspolicy.Report {
	t.Helper()
	reports := make(map[string]tlspolicy.Report)
	for r, err := range c.Reports(t.Context(), time.Now()) {
		if err != nil || reports[r.Domain].Domain != "" {
			t.Fatalf("%s: %v", r.Domain, err)
		}
		reports[r.Domain] = r
	}
	return reports
}

// good and bad are results for a domain.
func good(domain string) tlspolicy.Result {
	return tlspolicy.Result{Time: time.Now(), Domain: domain, Host: "mx." + domain}
}

func bad(domain, failure string) tlspolicy.Result {
	r := good(domain)
	r.Failure, r.Reason, r.Hello = failure, "TLS handshake failed", "mx."+domain
	r.LocalAddr, r.Addr = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.25")
	return r
}

var (
	publishedSTS  = tlspolicy.Published{Type: "sts", Domain: "example.net", Lines: []string{"version: STSv1", "mode: enforce", "mx: *.example.net", "max_age: 604800"}, Hosts: []string{"*.example.net"}}
	publishedTLSA = tlspolicy.Published{Type: "tlsa", Domain: "mx.example.net", Lines: []string{"3 1 1 bb", "3 1 1 aa"}}
)

// A report has every field of RFC 8460, Section 4.4, and its sums.
func TestReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(10 * time.Hour)
		c := newCollector(nil, "")
		c.Information = "https://example.org/tls"
		for range 3 {
			r := good("example.net")
			r.Published = publishedSTS
			c.Record(t.Context(), r)
		}
		failure := bad("example.net", "certificate-expired")
		failure.Published = publishedSTS
		failure.Reason = "the server is not verified: x509: certificate has expired or is not yet valid: current time 2026-11-21T10:00:00Z is after 2026-11-20T00:00:00Z"
		c.Record(t.Context(), failure)
		time.Sleep(time.Minute)
		failure.Reason = strings.Replace(failure.Reason, "10:00", "10:01", 1)
		c.Record(t.Context(), failure)
		r := good("example.net")
		r.Published = publishedTLSA
		c.Record(t.Context(), r)
		r.Published.Lines = []string{"3 1 1 aa", "3 1 1 bb"} // in another order
		c.Record(t.Context(), r)
		reset := bad("example.net", "validation-failure")
		reset.Reason = "TLS handshake failed: read tcp 192.0.2.1:40000->192.0.2.25:25: read: connection reset by peer"
		c.Record(t.Context(), reset)
		reset.Reason = strings.Replace(reset.Reason, "40000", "40001", 1)
		c.Record(t.Context(), reset)

		report := today(t, c)["example.net"]
		want := `{
 "organization-name": "Example, Inc.",
 "date-range": {
  "start-datetime": "2000-01-01T00:00:00Z",
  "end-datetime": "2000-01-01T23:59:59Z"
 },
 "contact-info": "tlsrpt@example.org",
 "report-id": "` + report.ID + `",
 "policies": [
  {
   "policy": {
    "policy-type": "no-policy-found",
    "policy-domain": "example.net"
   },
   "summary": {
    "total-successful-session-count": 0,
    "total-failure-session-count": 2
   },
   "failure-details": [
    {
     "result-type": "validation-failure",
     "sending-mta-ip": "192.0.2.1",
     "receiving-mx-hostname": "mx.example.net",
     "receiving-mx-helo": "mx.example.net",
     "receiving-ip": "192.0.2.25",
     "failed-session-count": 2,
     "additional-information": "https://example.org/tls",
     "failure-reason-code": "TLS handshake failed: read tcp read: connection reset by peer"
    }
   ]
  },
  {
   "policy": {
    "policy-type": "sts",
    "policy-string": [
     "version: STSv1",
     "mode: enforce",
     "mx: *.example.net",
     "max_age: 604800"
    ],
    "policy-domain": "example.net",
    "mx-host": [
     "*.example.net"
    ]
   },
   "summary": {
    "total-successful-session-count": 3,
    "total-failure-session-count": 2
   },
   "failure-details": [
    {
     "result-type": "certificate-expired",
     "sending-mta-ip": "192.0.2.1",
     "receiving-mx-hostname": "mx.example.net",
     "receiving-mx-helo": "mx.example.net",
     "receiving-ip": "192.0.2.25",
     "failed-session-count": 2,
     "additional-information": "https://example.org/tls",
     "failure-reason-code": "the server is not verified: x509: certificate has expired or is not yet valid"
    }
   ]
  },
  {
   "policy": {
    "policy-type": "tlsa",
    "policy-string": [
     "3 1 1 aa",
     "3 1 1 bb"
    ],
    "policy-domain": "mx.example.net"
   },
   "summary": {
    "total-successful-session-count": 2,
    "total-failure-session-count": 0
   }
  }
 ]
}`
		if string(report.JSON) != want {
			t.Errorf("the report is\n%s\nwant\n%s", report.JSON, want)
		}
		if fmt.Sprint(report.Addresses) != "[mailto:tlsrpt@example.net]" || report.Submitter != "example.org" || report.Successes != 5 || report.Failures != 4 {
			t.Errorf("%+v", report)
		}
		if unique, _, _ := strings.Cut(report.ID, "@"); report.Filename() != "example.org!example.net!946684800!946771199!"+unique+".json.gz" {
			t.Errorf("it is called %s", report.Filename())
		}
	})
}

// A report comes from A-labels (RFC 8460, Section 4.4).
func TestReportOfInternationalDomain(t *testing.T) {
	c := newCollector(nil, "")
	c.Organization, c.Contact = "", "tlsrpt@Bücher.example"
	c.Record(t.Context(), good("example.net"))
	r := today(t, c)["example.net"]
	message, err := r.Message("bob@Bücher.example")
	if err != nil || !strings.Contains(string(message), "\r\nTo: <bob@xn--bcher-kva.example>\r\n") || strings.ContainsRune(string(message), 'ü') || strings.Contains(string(r.JSON), "ü") {
		t.Errorf("%v\n%s\n%s", err, message, r.JSON)
	}
	if body := read(t, r); body.Organization != "xn--bcher-kva.example" || body.Contact != "tlsrpt@xn--bcher-kva.example" || r.Submitter != body.Organization {
		t.Errorf("%+v", body)
	}
}

// Who publishes no address is not counted, and not stored; each domain is asked once a
// day, never by Record.
func TestCollectorForgetsSilentDomains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, dns := &cache.Memory{}, &everybody{}
		c := newCollector(store, "a")
		c.Resolver = dns
		for range 5 {
			c.Record(t.Context(), bad("silent.example", "certificate-expired"))
			c.Record(t.Context(), good("example.net"))
			if len(dns.asked) != 0 {
				t.Fatal("Record asks")
			}
		}
		for range 3 {
			if err := c.Save(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.Record(t.Context(), good("silent.example"))
			time.Sleep(time.Hour)
		}
		// A restart finds only what was stored.
		again := newCollector(store, "a")
		again.Resolver = dns
		reports := today(t, again)
		if len(reports) != 1 || reports["example.net"].Successes != 5 {
			t.Errorf("reports %+v", reports)
		}
		if dns.asked["silent.example"] != 1 || dns.asked["example.net"] != 1 {
			t.Errorf("asked %v", dns.asked)
		}
		for i := range 256 {
			value, _, _ := store.Get(t.Context(), fmt.Sprintf("tlsrpt1:2000-01-01:%02x:a", i))
			if strings.Contains(string(value), "silent") {
				t.Errorf("stored %s", value)
			}
		}
	})
}

// What is nobody's business is counted for nobody.
func TestCollectorLeavesOut(t *testing.T) {
	c := newCollector(nil, "")
	c.SkipResumed = true
	c.Record(t.Context(), good(""))
	resumed := good("example.net")
	resumed.Resumed = true
	c.Record(t.Context(), resumed)
	if reports := today(t, c); len(reports) != 0 {
		t.Errorf("%+v", reports)
	}
	c = newCollector(nil, "")
	c.Record(t.Context(), resumed)
	if reports := today(t, c); reports["example.net"].Successes != 1 {
		t.Errorf("%+v", reports)
	}
}

// mixed are results of all kinds for some domains.
func mixed(n int) []tlspolicy.Result {
	dice := rand.New(rand.NewPCG(1, 2))
	types := []string{"", "", "", "", "starttls-not-supported", "certificate-host-mismatch", "validation-failure", "sts-policy-fetch-error"}
	var results []tlspolicy.Result
	for range n {
		domain := fmt.Sprintf("d%d.example", dice.IntN(10))
		r := good(domain)
		if failure := types[dice.IntN(len(types))]; failure != "" {
			r = bad(domain, failure)
			r.Addr = netip.AddrFrom4([4]byte{192, 0, 2, byte(dice.IntN(3))})
		}
		switch dice.IntN(3) {
		case 0:
			r.Published = publishedSTS
		case 1:
			r.Published = publishedTLSA
		}
		results = append(results, r)
	}
	return results
}

// Two processes that share a Cache, one of which starts anew in between, come to the
// same report as one that sees everything.
func TestCollectorsAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &cache.Memory{}
		one, peer, whole := newCollector(store, "one", "peer", "one", "peer", "absent"), newCollector(store, "peer"), newCollector(&cache.Memory{}, "one")
		for i, r := range mixed(3000) {
			whole.Record(t.Context(), r)
			if i%3 == 0 {
				peer.Record(t.Context(), r)
			} else {
				one.Record(t.Context(), r)
			}
			switch i {
			case 1000:
				if err := one.Save(t.Context()); err != nil {
					t.Fatal(err)
				}
				one = newCollector(store, "one", "peer", "one", "peer", "absent")
			case 1500, 1600:
				if err := errors.Join(one.Save(t.Context()), peer.Save(t.Context())); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := peer.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
		together, alone := today(t, one), today(t, whole)
		if len(alone) != 10 || len(together) != 10 {
			t.Fatalf("%d and %d reports", len(together), len(alone))
		}
		var sum int64
		for domain, r := range alone {
			if got := together[domain]; string(got.JSON) != string(r.JSON) {
				t.Errorf("%s: together\n%s\nalone\n%s", domain, got.JSON, r.JSON)
			}
			read(t, r)
			sum += r.Successes + r.Failures
		}
		if sum != 3000 || whole.Dropped() != 0 || one.Dropped() != 0 {
			t.Errorf("%d sessions", sum)
		}
	})
}

// A Cache that fails loses nothing, and leads to no report with less than all.
func TestCollectorOverFailingCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &moody{Memory: &cache.Memory{}}
		before := newCollector(store, "a")
		before.Record(t.Context(), good("example.net"))
		if err := before.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
		store.down = true
		c := newCollector(store, "a", "b")
		c.Record(t.Context(), good("example.net"))
		if err := c.Save(t.Context()); !errors.Is(err, errDown) {
			t.Errorf("Save: %v", err)
		}
		failed := 0
		for r, err := range c.Reports(t.Context(), time.Now()) {
			if err == nil || r.JSON != nil {
				t.Errorf("a report of half the counts: %s", r.JSON)
			}
			failed++
		}
		store.down = false
		if reports := today(t, c); failed == 0 || reports["example.net"].Successes != 2 {
			t.Errorf("%d failures, then %+v", failed, reports)
		}
		// What was not written is written the next time.
		store.full = true
		if err := c.Save(t.Context()); !errors.Is(err, errDown) {
			t.Errorf("Save: %v", err)
		}
		store.full = false
		if err := c.Save(t.Context()); err != nil {
			t.Error(err)
		}
		if reports := today(t, newCollector(store, "a")); reports["example.net"].Successes != 2 {
			t.Errorf("after a restart: %+v", reports)
		}
		// Nor is there a report without a peer whose counts cannot be had.
		store.lost = ":b"
		for r, err := range c.Reports(t.Context(), time.Now()) {
			if !errors.Is(err, errDown) || !strings.Contains(err.Error(), "the counts of b") {
				t.Errorf("%+v, %v", r, err)
			}
		}
	})
}

var errDown = errors.New("down")

// moody is a Cache that is down at times.
type moody struct {
	*cache.Memory
	down bool   // nothing works
	full bool   // nothing can be written
	lost string // keys that end so cannot be read
}

func (m *moody) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if m.down || m.lost != "" && strings.HasSuffix(key, m.lost) {
		return nil, false, errDown
	}
	return m.Memory.Get(ctx, key)
}

func (m *moody) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if m.down || m.full {
		return errDown
	}
	return m.Memory.Set(ctx, key, value, ttl)
}

// A Cache that panics or never answers keeps nothing from being counted, and nobody from
// sending.
func TestCollectorOverBrokenCache(t *testing.T) {
	for name, tt := range map[string]struct {
		store cache.Cache
		want  string
	}{
		"panics":        {broken{}, "panic in the Cache: out of order"},
		"never answers": {broken{silent: true}, "deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCollector(tt.store, "a")
				c.Record(t.Context(), good("example.net"))
				if err := c.Save(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("Save: %v, want %s", err, tt.want)
				}
				o := &outbox{}
				r := o.reporter(c)
				var told atomic.Int64
				r.Tried = func(_ tlspolicy.Report, _ string, err error) {
					if err != nil && strings.Contains(err.Error(), tt.want) {
						told.Add(1)
					}
				}
				if err := r.SendDay(t.Context(), time.Now()); err == nil || told.Load() == 0 {
					t.Errorf("SendDay: %v, told %d times", err, told.Load())
				}
			})
		})
	}
}

// broken is a Cache that panics, or never answers.
type broken struct{ silent bool }

func (b broken) fail(ctx context.Context) error {
	if !b.silent {
		panic("out of order")
	}
	<-ctx.Done()
	return ctx.Err()
}

func (b broken) Get(ctx context.Context, _ string) ([]byte, bool, error) {
	return nil, false, b.fail(ctx)
}
func (b broken) Set(ctx context.Context, _ string, _ []byte, _ time.Duration) error {
	return b.fail(ctx)
}
func (b broken) Delete(ctx context.Context, _ string) error { return b.fail(ctx) }

// A server that is different every time costs no more than the bound, and every session
// is still counted.
func TestCollectorBoundsDomains(t *testing.T) {
	c := newCollector(nil, "")
	for i := range 5000 {
		r := bad("example.net", "validation-failure")
		r.Reason = fmt.Sprintf("%d %s", i, strings.Repeat("é", 500))
		r.Hello = strings.Repeat("h", 10_000)
		if i%2 == 0 {
			r.Published = tlspolicy.Published{Type: "tlsa", Domain: fmt.Sprintf("mx%d.example.net", i), Lines: []string{strings.Repeat("x", 20_000)}}
		}
		if i%5 == 0 {
			r.Failure = "made-up"
		}
		c.Record(t.Context(), r)
	}
	report := today(t, c)["example.net"]
	told := read(t, report)
	if report.Failures != 5000 || c.Dropped() != 0 || len(told.Policies) > 34 || len(report.JSON) > 1<<20 {
		t.Errorf("%d failures in %d policies, %d dropped, %d bytes", report.Failures, len(told.Policies), c.Dropped(), len(report.JSON))
	}
	for _, p := range told.Policies {
		if len(p.Details) > 66 || p.Policy.Domain == "" {
			t.Errorf("%d details under %q", len(p.Details), p.Policy.Domain)
		}
	}
}

// Where the room is used up, known domains are counted on, and the others are missing
// from the reports, not wrong.
func TestCollectorBoundsMemory(t *testing.T) {
	c := newCollector(nil, "")
	c.MaxBytes = 100 << 10
	const domains, rounds = 1000, 3
	for range rounds {
		for i := range domains {
			c.Record(t.Context(), good(fmt.Sprintf("d%d.example", i)))
		}
	}
	var counted int64
	for _, r := range today(t, c) {
		if r.Successes != rounds {
			t.Errorf("%s has %d", r.Domain, r.Successes)
		}
		counted += r.Successes
	}
	if counted+c.Dropped() != domains*rounds || counted < 200*rounds || c.Dropped() == 0 {
		t.Errorf("%d counted, %d dropped", counted, c.Dropped())
	}
}

// What the Collector takes for its memory is what it costs: 100,000 events for 10,000
// domains, a tenth of which fail. The day with a hundred times as many events, and ten
// times as many domains, is BenchmarkCollectorDay.
func TestCollectorMemory(t *testing.T) {
	c := newCollector(nil, "")
	before := heap()
	day(t.Context(), c, 10_000, 100_000)
	used := heap() - before
	if used > 10<<20 || c.Dropped() > 0 {
		t.Errorf("%d bytes in use, %d dropped", used, c.Dropped())
	}
	runtime.KeepAlive(c)
	small := newCollector(nil, "")
	small.MaxBytes = 2 << 20
	before = heap()
	day(t.Context(), small, 10_000, 20_000)
	if used := heap() - before; used > 3<<20 || small.Dropped() == 0 {
		t.Errorf("with 2 MiB %d bytes are in use, %d dropped", used, small.Dropped())
	}
	runtime.KeepAlive(small)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// day records so many events for so many domains: each domain has two hosts, and every
// tenth event is a failure.
func day(ctx context.Context, c *tlspolicy.Collector, domains, events int) {
	now := time.Now()
	for i := range events {
		n := i % domains
		domain := fmt.Sprintf("customer-%d.example", n)
		r := tlspolicy.Result{Time: now, Domain: domain, Host: fmt.Sprintf("mx%d.%s", i/domains%2, domain), LocalAddr: netip.AddrFrom4([4]byte{192, 0, 2, 1}),
			Addr: netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})}
		if n%2 == 0 {
			r.Published = tlspolicy.Published{Type: "sts", Domain: domain, Lines: publishedSTS.Lines, Hosts: publishedSTS.Hosts}
		}
		if (i/domains+n)%10 == 0 {
			r.Failure, r.Reason, r.Hello = "validation-failure", "TLS handshake failed: EOF", r.Host
		}
		c.Record(ctx, r)
	}
}

// A day of 10 million events for 100,000 domains, as docs/tlsrpt.md has it.
func BenchmarkCollectorDay(b *testing.B) {
	for b.Loop() {
		c := newCollector(nil, "")
		before := heap()
		day(b.Context(), c, 100_000, 10_000_000)
		b.ReportMetric(float64(heap()-before)/(1<<20), "MiB")
		b.ReportMetric(float64(c.Dropped()), "dropped")
		runtime.KeepAlive(c)
	}
}

func TestCollectorFaults(t *testing.T) {
	for want, change := range map[string]func(c *tlspolicy.Collector){
		"Collector.Contact: the address is empty": func(c *tlspolicy.Collector) { c.Contact = "" },
		"Collector.Contact: an address in ASCII":  func(c *tlspolicy.Collector) { c.Contact = "ä@example.org" },
		"Collector.Contact: an address at a":      func(c *tlspolicy.Collector) { c.Contact = "a@[192.0.2.1]" },
		"Collector.Name and Peers":                func(c *tlspolicy.Collector) { c.Peers = []string{"a b"} },
		"Collector.Information":                   func(c *tlspolicy.Collector) { c.Information = "%" },
	} {
		c := newCollector(nil, "a")
		change(c)
		for what, err := range map[string]error{"Save": c.Save(t.Context()), "Keep": c.Keep(t.Context()), "Run": (&tlspolicy.Reporter{Collector: c}).Run(t.Context())} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", what, err, want)
			}
		}
		for r, err := range c.Reports(t.Context(), time.Now()) {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Reports: %+v, %v; want %s", r, err, want)
			}
		}
	}
}

// Results belong to the day on which they came about, in UTC, also those that are told a
// little late; a wrong clock makes no other days.
func TestCollectorDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(nil, "")
		time.Sleep(24*time.Hour - time.Second)
		before := time.Now()
		late := good("example.net")
		time.Sleep(2 * time.Second)
		c.Record(t.Context(), late)
		c.Record(t.Context(), good("example.net"))
		far := good("example.net")
		far.Time = time.Now().Add(100 * 24 * time.Hour)
		c.Record(t.Context(), far)
		far.Time = time.Time{}
		c.Record(t.Context(), far)
		for when, want := range map[time.Time]int64{before: 1, time.Now(): 3} {
			for r, err := range c.Reports(t.Context(), when) {
				if err != nil || r.Successes != want || r.Day.Format(time.DateOnly) != when.UTC().Format(time.DateOnly) {
					t.Errorf("%v: %+v, %v", when, r, err)
				}
			}
		}
		// Who never asks for the reports does not keep the days for ever.
		time.Sleep(5 * 24 * time.Hour)
		if err := c.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
		for r := range c.Reports(t.Context(), before) {
			t.Errorf("%+v", r)
		}
	})
}

// What others have written into the Cache never breaks a report: it can be read, and its
// sums are right.
func FuzzStoredPart(f *testing.F) {
	f.Add([]byte(`{"d0.example":[{"t":"sts","d":"x","s":5,"f":[{"t":"a","l":"192.0.2.1","n":3}]}]}`))
	f.Add([]byte(`{"d0.example":[{"t":"sts","s":-5},{"s":9223372036854775807},{"s":9223372036854775807}]}`))
	f.Add([]byte(`{"d0.example":[null],"":[]}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		synctest.Test(t, func(t *testing.T) {
			store := &cache.Memory{}
			c := newCollector(store, "a", "b")
			c.Record(t.Context(), good("d0.example"))
			for i := range 256 {
				store.Set(t.Context(), fmt.Sprintf("tlsrpt1:2000-01-01:%02x:b", i), value, time.Hour)
			}
			found := false
			for r, err := range c.Reports(t.Context(), time.Now()) {
				if err != nil {
					continue // a domain that cannot be asked for
				}
				found = found || r.Domain == "d0.example" && r.Successes > 0
				var body told
				if err := json.Unmarshal(r.JSON, &body); err != nil || r.Successes < 0 || r.Failures < 0 {
					t.Fatalf("%+v, %v\n%s", r, err, r.JSON)
				}
				for _, p := range body.Policies {
					if p.Summary.Success < 0 || p.Summary.Failure < 0 {
						t.Fatalf("%s", r.JSON)
					}
				}
			}
			if !found {
				t.Fatal("what was counted here is missing")
			}
		})
	})
}
