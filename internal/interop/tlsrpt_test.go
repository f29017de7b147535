package interop

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"github.com/mjl-/mox/tlsrpt"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// reportCase is the domain NAME.test with one mail exchanger, and what its report says of
// each session.
type reportCase struct {
	name   string
	server *smtptest.Server
	policy tlspolicy.Policy
	want   tlsrpt.ResultType // "": success
}

func reportCases() []reportCase {
	sts := func(name string) tlspolicy.Policy {
		return tlspolicy.Policy{Level: tlspolicy.Verify, Published: tlspolicy.Published{Type: "sts", Domain: name + ".test",
			Lines: []string{"version: STSv1", "mode: enforce", "mx: *." + name + ".test", "max_age: 86400"}, Hosts: []string{"*." + name + ".test"}}}
	}
	tlsa := tlspolicy.Policy{Level: tlspolicy.DANE, TLSA: []resolve.TLSA{{Usage: 3, Selector: 1, MatchingType: 1, Data: make([]byte, 32)}},
		Published: tlspolicy.Published{Type: "tlsa", Domain: "mx.dane.test", Lines: []string{"3 1 1 " + strings.Repeat("00", 32)}}}
	cut := func(c smtptest.Command) smtptest.Action {
		if c.Verb == "STARTTLS" {
			return smtptest.Action{Fault: smtptest.BreakTLS}
		}
		return smtptest.Action{}
	}
	return []reportCase{
		{"may", &smtptest.Server{}, tlspolicy.Policy{Level: tlspolicy.May}, ""},
		{"good", &smtptest.Server{Certificate: smtptest.Certificate{Names: []string{"mx.good.test"}}}, sts("good"), ""},
		{"expired", &smtptest.Server{Certificate: smtptest.Certificate{Names: []string{"mx.expired.test"}, NotAfter: time.Unix(0, 0)}}, sts("expired"), tlsrpt.ResultCertificateExpired},
		{"other", &smtptest.Server{Certificate: smtptest.Certificate{Names: []string{"mx.elsewhere.test"}}}, sts("other"), tlsrpt.ResultCertificateHostMismatch},
		{"strange", &smtptest.Server{Certificate: smtptest.Certificate{SelfSigned: true}}, sts("strange"), tlsrpt.ResultCertificateNotTrusted},
		{"plain", &smtptest.Server{Extensions: []string{"PIPELINING"}}, sts("plain"), tlsrpt.ResultSTARTTLSNotSupported},
		{"broken", &smtptest.Server{Script: cut}, tlspolicy.Policy{Level: tlspolicy.Encrypt}, tlsrpt.ResultValidationFailure},
		{"dane", &smtptest.Server{}, tlsa, tlsrpt.ResultValidationFailure},
	}
}

// A report on 1,000 sessions of all kinds is read by mox without complaint, and says
// exactly what the servers have seen. What two processes have counted comes to the same.
func TestTLSReportOfManySessions(t *testing.T) {
	day, cases := time.Now(), reportCases()
	names, table, addrs := resolve.Static{}, tlspolicy.Table{}, map[string]string{}
	for n, c := range cases {
		defer c.server.Close()
		addr, err := c.server.Listen("tcp", "127.0.0.1:0")
		present(t, err)
		host, ip := "mx."+c.name+".test", netip.AddrFrom4([4]byte{192, 0, 2, byte(n + 1)})
		addrs[netip.AddrPortFrom(ip, 25).String()] = addr.String()
		names[resolve.Question{Name: c.name + ".test", Type: resolve.TypeMX}] = resolve.Answer{MX: []resolve.MX{{Host: host}}}
		names[resolve.Question{Name: host, Type: resolve.TypeA}] = resolve.Answer{Addrs: []netip.Addr{ip}}
		names[resolve.Question{Name: "_smtp._tls." + c.name + ".test", Type: resolve.TypeTXT}] = resolve.Answer{TXT: []string{"v=TLSRPTv1; rua=mailto:tlsrpt@" + c.name + ".test"}}
		c.policy.Roots = c.server.Roots()
		table[c.name+".test"] = c.policy
	}
	var mu sync.Mutex
	sessions := make(map[string]int64) // connections that were made, by address
	dialer := &smtpclient.Dialer{DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
		mu.Lock()
		sessions[addr]++
		mu.Unlock()
		return new(net.Dialer).DialContext(ctx, "tcp", addrs[addr])
	}}
	store := &cache.Memory{}
	ours := func(c cache.Cache, name string, peers ...string) *tlspolicy.Collector {
		return &tlspolicy.Collector{Contact: "tlsrpt@example.org", Resolver: names, Cache: c, Name: name, Peers: peers}
	}
	one, two, both := ours(store, "one", "two"), ours(store, "two"), ours(nil, "")
	const all = 1000
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := worker; i < all; i += 4 {
				client := &smtpclient.Client{LocalName: "client.example.org", Resolver: names, Dialer: dialer, TLS: table, Cache: cache.None}
				client.TLSResults = recorders{day, []tlspolicy.Recorder{both, []*tlspolicy.Collector{one, two}[i%2]}}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				client.Deliver(ctx, envelope("bob@"+cases[i%len(cases)].name+".test"), smtpclient.Bytes(simple("one of many"))) // the report says how it went
				cancel()
			}
		})
	}
	wg.Wait()
	present(t, two.Save(t.Context()))
	sum, merged := int64(0), moxReports(t, one, day)
	for domain, report := range moxReports(t, both, day) {
		again := merged[domain]
		if report.ReportID == again.ReportID {
			t.Errorf("%s: two reports with one ID", domain)
		}
		again.ReportID = report.ReportID
		if got, want := fmt.Sprintf("%+v", again), fmt.Sprintf("%+v", report); got != want {
			t.Errorf("%s: two halves are\n%s\nthe whole is\n%s", domain, got, want)
		}
		var want reportCase
		addr := ""
		for n, c := range cases {
			if c.name+".test" == domain {
				want, addr = c, fmt.Sprintf("192.0.2.%d:25", n+1)
			}
		}
		if len(report.Policies) != 1 {
			t.Fatalf("%s: %+v", domain, report.Policies)
		}
		p := report.Policies[0]
		checkPolicy(t, want, p)
		if got := p.Summary.TotalSuccessfulSessionCount + p.Summary.TotalFailureSessionCount; got != sessions[addr] || got != all/int64(len(cases)) {
			t.Errorf("%s: %d sessions reported, %d were made", domain, got, sessions[addr])
		}
		sum += sessions[addr]
	}
	if sum != all {
		t.Errorf("%d sessions, want %d", sum, all)
	}
}

// checkPolicy holds what mox has read against the case.
func checkPolicy(t *testing.T, want reportCase, p tlsrpt.Result) {
	t.Helper()
	published := want.policy.Published
	if published.Type == "" {
		published = tlspolicy.Published{Type: "no-policy-found", Domain: want.name + ".test"}
	}
	if string(p.Policy.Type) != published.Type || p.Policy.Domain != published.Domain || fmt.Sprint(p.Policy.String) != fmt.Sprint(published.Lines) ||
		fmt.Sprint(p.Policy.MXHost) != fmt.Sprint(published.Hosts) {
		t.Errorf("%s: policy %+v, want %+v", want.name, p.Policy, published)
	}
	if want.want == "" {
		if p.Summary.TotalFailureSessionCount != 0 || len(p.FailureDetails) != 0 {
			t.Errorf("%s: %+v", want.name, p)
		}
		return
	}
	var failures int64
	for _, d := range p.FailureDetails {
		failures += d.FailedSessionCount
		if d.ResultType != want.want || d.ReceivingMXHostname != "mx."+want.name+".test" || d.SendingMTAIP != "127.0.0.1" || d.ReceivingIP != "127.0.0.1" ||
			d.ReceivingMXHelo == "" || d.FailureReasonCode == "" {
			t.Errorf("%s: %+v", want.name, d)
		}
	}
	if len(p.FailureDetails) != 1 || failures != p.Summary.TotalFailureSessionCount || p.Summary.TotalSuccessfulSessionCount != 0 {
		t.Errorf("%s: %+v", want.name, p)
	}
}

// recorders all hear of a result, as of one that came about on the given day: midnight may
// pass.
type recorders struct {
	day time.Time
	all []tlspolicy.Recorder
}

func (r recorders) Record(ctx context.Context, result tlspolicy.Result) {
	result.Time = r.day
	for _, to := range r.all {
		to.Record(ctx, result)
	}
}

// moxReports are the reports of a day as mox reads the mails that bring them, by domain.
func moxReports(t *testing.T, c *tlspolicy.Collector, day time.Time) map[string]tlsrpt.Report {
	t.Helper()
	found := make(map[string]tlsrpt.Report)
	for r, err := range c.Reports(t.Context(), day) {
		if err != nil {
			t.Fatal(err)
		}
		message, err := r.Message("tlsrpt@" + r.Domain)
		if err != nil {
			t.Fatal(err)
		}
		found[r.Domain] = moxReport(t, message)
	}
	return found
}

func moxReport(t *testing.T, message []byte) tlsrpt.Report {
	t.Helper()
	parsed, err := tlsrpt.ParseMessage(slog.New(slog.DiscardHandler), bytes.NewReader(message))
	if err != nil {
		t.Fatalf("%v\n%s", err, message)
	}
	return parsed.Convert()
}

// What a domain publishes leads reports to real Postfix, where their signature holds, and
// to real nginx. Postfix has a certificate that nobody trusts, and the domain publishes
// that this is not to be: reports come through all the same.
func TestTLSReportArrives(t *testing.T) {
	if !alone(t) {
		return
	}
	ca, err := NewAuthority("an authority")
	present(t, err)
	p := ownPostfix(t, PostfixSettings{})
	box := p.NewMailbox("example.test")
	public, private, err := ed25519.GenerateKey(nil)
	present(t, err)
	// With s=tlsrpt alone go-msgauth takes the key for none of mail.
	key := "v=DKIM1; k=ed25519; s=email:tlsrpt; p=" + base64.StdEncoding.EncodeToString(public)
	zone := fmt.Sprintf("@ MX 10 mx\nmx A 127.0.0.1\nreports A 127.0.0.1\n"+
		"_smtp._tls TXT \"v=TLSRPTv1; rua=mailto:%s,https://reports.example.test/reports\"\n_%d._tcp.mx TLSA 3 1 1 %064d\nsel._domainkey TXT \"%s\"\n", box, p.Port, 0, key)
	signedUnbound(t, ValidatingConfig{Port: 53, Zones: []SignedZone{{Name: "example.test", Text: zone}}})
	issued, err := ca.Issue("reports.example.test", 0)
	present(t, err)
	web, err := StartNginx(443, issued)
	present(t, err)
	t.Cleanup(web.Stop)

	day, dns := time.Now(), &resolve.DNS{Servers: []string{"127.0.0.1"}}
	collector := &tlspolicy.Collector{Organization: "Interop", Contact: "tlsrpt@example.test", Resolver: dns, Cache: &cache.Memory{}, Name: "test"}
	client := &smtpclient.Client{LocalName: "client.example.org", Resolver: dns, Routing: resolve.Routing{Local: true, Port: p.Port},
		TLS: tlspolicy.DANE, TLSResults: recorders{day, []tlspolicy.Recorder{collector}}, Cache: &cache.Memory{}}
	wantOutcome(t, deliver(t, client, simple("not without DANE"), box).Outcomes[0], smtpclient.Deferred, "4.7.5", smtpclient.StageStartTLS)

	reporter := &tlspolicy.Reporter{
		Collector: collector,
		Sign: func(_ context.Context, message []byte) ([]byte, error) {
			var signed bytes.Buffer
			err := dkim.Sign(&signed, bytes.NewReader(message), &dkim.SignOptions{Domain: "example.test", Selector: "sel", Signer: private,
				HeaderKeys: []string{"From", "To", "Date", "Subject", "Message-Id", "TLS-Report-Domain", "TLS-Report-Submitter", "Content-Type"}})
			return signed.Bytes(), err
		},
		Send: func(ctx context.Context, from, to string, message []byte) error {
			c := *client
			c.TLS = tlspolicy.May
			_, err := c.Deliver(ctx, smtpclient.Envelope{From: from, To: []smtpclient.Recipient{{Address: to}}, TLS: tlspolicy.NotRequired}, smtpclient.Bytes(message))
			return err
		},
		Poster: tlspolicy.Poster{Resolver: dns, Roots: ca.Roots(), Local: true},
		Tried: func(r tlspolicy.Report, uri string, err error) {
			if err != nil {
				t.Errorf("%s: %v", uri, err)
			}
		},
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := reporter.SendDay(ctx, day); err != nil {
		t.Fatal(err)
	}

	var mailed tlsrpt.Report
	t.Run("mail", func(t *testing.T) {
		message := storedWhole(t, p, box)
		verdicts, err := dkim.VerifyWithOptions(bytes.NewReader(message), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
			answer, err := dns.Lookup(ctx, resolve.Question{Name: name, Type: resolve.TypeTXT})
			return answer.TXT, err
		}})
		if err != nil || len(verdicts) != 1 {
			t.Fatalf("%d signatures, %v\n%s", len(verdicts), err, message)
		}
		if v := verdicts[0]; v.Err != nil || v.Domain != "example.test" {
			t.Errorf("the signature of %s: %v\n%s", v.Domain, v.Err, message)
		}
		mailed = moxReport(t, message)
	})
	t.Run("web", func(t *testing.T) {
		line, body, err := web.Received("POST /reports application/tlsrpt+gzip 201")
		if err != nil {
			t.Fatal(err)
		}
		unzipped, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		posted, err := tlsrpt.Parse(unzipped)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprintf("%+v", posted.Convert()), fmt.Sprintf("%+v", mailed); got != want {
			t.Errorf("posted\n%s\nmailed\n%s", got, want)
		}
	})
	t.Run("content", func(t *testing.T) {
		// The delivery that failed is in it; the one that brought the report is not in the next.
		if len(mailed.Policies) != 1 || mailed.Policies[0].Summary != (tlsrpt.Summary{TotalFailureSessionCount: 1}) || mailed.Policies[0].Policy.Type != tlsrpt.TLSA ||
			mailed.DateRange.Start.Format(time.DateOnly) != day.UTC().Format(time.DateOnly) {
			t.Errorf("%+v", mailed)
		}
		for _, when := range []time.Time{day, time.Now()} {
			for r, err := range collector.Reports(ctx, when) {
				t.Errorf("there is a report on the report: %+v, %v", r, err)
			}
		}
	})
}

// storedWhole is the one message of a mailbox, from its first field that the sender wrote.
func storedWhole(t *testing.T, s server, address string) []byte {
	t.Helper()
	files, err := s.Stored(address, 1)
	if err != nil || len(files) != 1 {
		t.Fatalf("%s has %d messages, %v", address, len(files), err)
	}
	start := bytes.Index(files[0], []byte("DKIM-Signature:"))
	if start < 0 {
		t.Fatalf("no signature in %.1000s", files[0])
	}
	return bytes.ReplaceAll(files[0][start:], []byte("\n"), []byte("\r\n"))
}
