package smtpclient_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// Stats counts what becomes of recipients, for programs that have no store of
// metrics.
func ExampleStats() {
	server := &smtptest.Server{}
	defer server.Close()
	client := &smtpclient.Client{
		LocalName: "mail.example.org",
		NextHops:  []string{"[192.0.2.25]"},
		Dialer:    &smtpclient.Dialer{DialContext: server.DialContext},
	}
	var stats smtpclient.Stats
	ctx := smtpclient.WithTrace(context.Background(), stats.Trace())
	client.Deliver(ctx, smtpclient.Envelope{
		From: "ann@example.org",
		To:   smtpclient.To("bob@example.net", "no address"),
	}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello Bob.\r\n")))

	counts := stats.Counts()
	fmt.Println("delivered:", counts.Of(smtpclient.Delivered), "bytes:", counts.Bytes)
	fmt.Println("failed at input:", counts.Outcomes[smtpclient.Failed][smtpclient.StageInput])
	// Output:
	// delivered: 1 bytes: 30
	// failed at input: 1
}

// LogReports writes a record for each recipient; the queue ID ties it to the
// program's own log.
func ExampleLogReports() {
	server := &smtptest.Server{Extensions: []string{"PIPELINING"}}
	defer server.Close()
	client := &smtpclient.Client{
		LocalName: "mail.example.org",
		NextHops:  []string{"[192.0.2.25]"},
		Dialer:    &smtpclient.Dialer{DialContext: server.DialContext},
	}
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Value.Kind() == slog.KindDuration { // what differs from run to run
			return slog.Attr{}
		}
		return a
	}}))
	ctx := smtpclient.WithTrace(context.Background(), smtpclient.LogReports(log))
	client.Deliver(smtpclient.WithQueueID(ctx, "3F9A2"), smtpclient.Envelope{
		From: "ann@example.org",
		To:   smtpclient.To("bob@example.net"),
	}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello Bob.\r\n")))
	// Output:
	// level=INFO msg="smtp recipient" queue_id=3F9A2 to=bob@example.net relay=192.0.2.25[192.0.2.25]:25 tls=may:none dsn=2.0.0 status=sent text="250 ok"
}

// A Trace can look at one delivery more closely than at the others: Begin gives it
// another Trace besides.
func ExampleTrace_begin() {
	server := &smtptest.Server{Extensions: []string{"PIPELINING"}}
	defer server.Close()
	client := &smtpclient.Client{
		LocalName: "mail.example.org",
		NextHops:  []string{"[192.0.2.25]"},
		Dialer:    &smtpclient.Dialer{DialContext: server.DialContext},
	}
	ctx := smtpclient.WithTrace(context.Background(), &smtpclient.Trace{
		Begin: func(ctx context.Context, env *smtpclient.Envelope, _ smtpclient.Content) context.Context {
			if env.To[0].Address != "bob@example.net" {
				return ctx
			}
			return smtpclient.WithTrace(ctx, &smtpclient.Trace{Line: func(_ context.Context, line string) { fmt.Println(line) }})
		},
		End: func(_ context.Context, env *smtpclient.Envelope, report *smtpclient.Report) {
			fmt.Println(env.To[0].Address, report.Outcomes[0].Status)
		},
	})
	for _, to := range []string{"carol@example.net", "bob@example.net"} {
		client.Deliver(ctx, smtpclient.Envelope{From: "ann@example.org", To: smtpclient.To(to)},
			smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello.\r\n")))
	}
	// Output:
	// carol@example.net delivered
	// S: 220 mx.example.net ESMTP
	// C: EHLO mail.example.org
	// S: 250-mx.example.net
	// S: 250 PIPELINING
	// C: MAIL FROM:<ann@example.org>
	// C: RCPT TO:<bob@example.net>
	// C: DATA
	// S: 250 ok
	// S: 250 ok
	// S: 354 go ahead
	// C: <26 bytes>
	// C: .
	// C: QUIT
	// S: 250 ok
	// bob@example.net delivered
}
