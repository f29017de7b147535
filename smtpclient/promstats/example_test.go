package promstats_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/promstats"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// A Stats is registered, and carried by the ctx of each delivery.
func Example() {
	server := &smtptest.Server{}
	defer server.Close()
	client := &smtpclient.Client{
		LocalName: "mail.example.org",
		NextHops:  []string{"[192.0.2.25]"},
		Dialer:    &smtpclient.Dialer{DialContext: server.DialContext},
		Pool:      &smtpclient.Pool{},
	}
	defer client.Pool.Close(context.Background())

	stats := promstats.New(promstats.Options{Pool: client.Pool})
	registry := prometheus.NewRegistry()
	registry.MustRegister(stats)
	ctx := smtpclient.WithTrace(context.Background(), stats.Trace())

	client.Deliver(ctx, smtpclient.Envelope{
		From: "ann@example.org",
		To:   smtpclient.To("bob@example.net"),
	}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello Bob.\r\n")))

	// What Prometheus reads at /metrics.
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.SplitSeq(answer.Body.String(), "\n") {
		if strings.HasPrefix(line, "postrider_recipients_total") {
			fmt.Println(line)
		}
	}
	// Output:
	// postrider_recipients_total{group="address",outcome="delivered",stage="data-done"} 1
}
