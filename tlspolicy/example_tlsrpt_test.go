package tlspolicy_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// The domain example.net, whose server has TLS, wants reports.
var reportedDNS = resolve.Static{
	{Name: "example.net", Type: resolve.TypeMX}:             {MX: []resolve.MX{{Host: "mx.example.net"}}},
	{Name: "mx.example.net", Type: resolve.TypeA}:           {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.25")}},
	{Name: "_smtp._tls.example.net", Type: resolve.TypeTXT}: {TXT: []string{"v=TLSRPTv1; rua=mailto:tlsrpt@example.net"}},
}

// A Client counts into a Collector; who wants to know about a day can have a look at any
// time.
func ExampleCollector() {
	server := &smtptest.Server{}
	defer server.Close()
	collector := &tlspolicy.Collector{Organization: "Example", Contact: "tlsrpt@example.org", Resolver: reportedDNS}
	client := &smtpclient.Client{
		LocalName:  "mail.example.org",
		Resolver:   reportedDNS,
		Dialer:     &smtpclient.Dialer{DialContext: server.DialContext},
		TLSResults: collector,
	}
	for range 3 {
		_, err := client.Deliver(context.Background(), smtpclient.Envelope{From: "ann@example.org", To: smtpclient.To("bob@example.net")},
			smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello Bob.\r\n")))
		if err != nil {
			fmt.Println(err)
		}
	}
	for report, err := range collector.Reports(context.Background(), time.Now()) {
		fmt.Println(report.Domain, report.Successes, report.Failures, report.Addresses, err)
	}
	// Output:
	// example.net 3 0 [mailto:tlsrpt@example.net] <nil>
}

// Several processes count, and one of them makes the reports. Each calls Keep in a
// goroutine of its own, or Save when it likes.
func ExampleCollector_Save() {
	store := &cache.Memory{} // one that all share, as rediscache
	worker := &tlspolicy.Collector{Contact: "tlsrpt@example.org", Resolver: reportedDNS, Cache: store, Name: "worker"}
	worker.Record(context.Background(), tlspolicy.Result{Time: time.Now(), Domain: "example.net"})
	if err := worker.Save(context.Background()); err != nil {
		fmt.Println(err)
	}

	first := &tlspolicy.Collector{Contact: "tlsrpt@example.org", Resolver: reportedDNS, Cache: store, Name: "first", Peers: []string{"worker"}}
	first.Record(context.Background(), tlspolicy.Result{Time: time.Now(), Domain: "example.net"})
	for report := range first.Reports(context.Background(), time.Now()) {
		fmt.Println(report.Domain, report.Successes)
	}
	// Output:
	// example.net 2
}

// A Reporter signs and sends with what the caller gives it. Run does so day after day;
// SendDay at once. Sign is here what a library for DKIM does, see examples/tlsrpt.
func ExampleReporter() {
	server := &smtptest.Server{}
	defer server.Close()
	client := &smtpclient.Client{
		LocalName: "mail.example.org",
		Resolver:  reportedDNS,
		Dialer:    &smtpclient.Dialer{DialContext: server.DialContext},
		TLS:       tlspolicy.May, // reports go out whatever is wrong with TLS
	}
	collector := &tlspolicy.Collector{Contact: "tlsrpt@example.org", Resolver: reportedDNS}
	collector.Record(context.Background(), tlspolicy.Result{Time: time.Now(), Domain: "example.net", Failure: "starttls-not-supported"})

	reporter := &tlspolicy.Reporter{
		Collector: collector,
		Sign: func(_ context.Context, message []byte) ([]byte, error) {
			return append([]byte("DKIM-Signature: v=1; d=example.org; b=c2lnbmF0dXJl\r\n"), message...), nil
		},
		Send: func(ctx context.Context, from, to string, message []byte) error {
			_, err := client.Deliver(ctx, smtpclient.Envelope{From: from, To: smtpclient.To(to), TLS: tlspolicy.NotRequired}, smtpclient.Bytes(message))
			return err
		},
		Tried: func(r tlspolicy.Report, uri string, err error) { fmt.Println(r.Domain, uri, err) },
	}
	if err := reporter.SendDay(context.Background(), time.Now()); err != nil {
		fmt.Println(err)
	}
	fmt.Println(len(server.Messages()), "report arrived")
	// Output:
	// example.net mailto:tlsrpt@example.net <nil>
	// 1 report arrived
}

// A report as a mail, for those who send it in a way of their own.
func ExampleReport_Message() {
	collector := &tlspolicy.Collector{Contact: "tlsrpt@example.org", Resolver: reportedDNS}
	collector.Record(context.Background(), tlspolicy.Result{Time: time.Now(), Domain: "example.net"})
	for report := range collector.Reports(context.Background(), time.Now()) {
		message, err := report.Message("tlsrpt@example.net")
		for line := range strings.Lines(string(message)) {
			if strings.HasPrefix(line, "TLS-Report-") {
				fmt.Println(strings.TrimSpace(line))
			}
		}
		fmt.Println(err)
	}
	// Output:
	// TLS-Report-Domain: example.net
	// TLS-Report-Submitter: example.org
	// <nil>
}

// Who wants reports, and where.
func ExampleReportAddresses() {
	uris, err := tlspolicy.ReportAddresses(context.Background(), reportedDNS, "example.net")
	fmt.Println(uris, err)
	// Output:
	// [mailto:tlsrpt@example.net] <nil>
}

// A Poster sends what a Collector has for a domain to its web server.
func ExamplePoster() {
	poster := tlspolicy.Poster{} // zero: no redirects, port 443, no address of our own network
	err := poster.Post(context.Background(), tlspolicy.Report{Domain: "example.net"}, "http://report.example.net/")
	fmt.Println(err)
	// Output:
	// "http://report.example.net/" is not https, with a host name and port 443
}
