package oteltrace_test

import (
	"context"
	"fmt"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/oteltrace"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// A Tracer makes a span of each delivery, below the span that ctx carries.
func Example() {
	server := &smtptest.Server{Extensions: []string{"PIPELINING"}}
	defer server.Close()
	client := &smtpclient.Client{
		LocalName: "mail.example.org",
		NextHops:  []string{"[192.0.2.25]"},
		Dialer:    &smtpclient.Dialer{DialContext: server.DialContext},
	}
	spans := tracetest.NewInMemoryExporter() // a program has one that sends them somewhere
	provider := sdk.NewTracerProvider(sdk.WithSyncer(spans))

	tracer, err := oteltrace.New(oteltrace.Options{TracerProvider: provider})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := smtpclient.WithTrace(context.Background(), tracer.Trace())
	client.Deliver(ctx, smtpclient.Envelope{
		From: "ann@example.org",
		To:   smtpclient.To("bob@example.net"),
	}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello Bob.\r\n")))

	for _, span := range spans.GetSpans() {
		fmt.Println(span.Name)
	}
	// Output:
	// resolve
	// policy
	// connect
	// greeting
	// hello
	// mail
	// rcpt
	// data-init
	// data-block
	// data-done
	// deliver
}
