package smtpclient_test

import (
	"context"
	"fmt"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// A Trace travels in ctx and is told every line, with secrets left out.
// LogTrace is one that writes to log/slog.
func ExampleWithTrace() {
	server := &smtptest.Server{Extensions: []string{"SIZE 1000000"}}
	defer server.Close()
	client := &smtpclient.Client{
		LocalName: "mail.example.org",
		NextHops:  []string{"[192.0.2.25]"},
		Dialer:    &smtpclient.Dialer{DialContext: server.DialContext},
	}

	ctx := smtpclient.WithTrace(context.Background(), &smtpclient.Trace{
		Line: func(_ context.Context, line string) { fmt.Println(line) },
		Done: func(_ context.Context, e smtpclient.Event) {
			if e.Stage == smtpclient.StageConnect {
				fmt.Println("connected to", e.Addr)
			}
		},
	})
	_, err := client.Deliver(ctx, smtpclient.Envelope{
		From: "ann@example.org",
		To:   smtpclient.To("bob@example.net"),
	}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello Bob.\r\n")))
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// connected to 192.0.2.25:25
	// S: 220 mx.example.net ESMTP
	// C: EHLO mail.example.org
	// S: 250-mx.example.net
	// S: 250 SIZE 1000000
	// C: MAIL FROM:<ann@example.org> SIZE=30
	// S: 250 ok
	// C: RCPT TO:<bob@example.net>
	// S: 250 ok
	// C: DATA
	// S: 354 go ahead
	// C: <30 bytes>
	// C: .
	// S: 250 ok
	// C: QUIT
}
