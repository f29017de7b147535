package smtpclient_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// Many goroutines share a few connections, here never more than two at a time. A Pool is made once, for all Clients, and
// closed at the end.
func ExamplePool() {
	server := &smtptest.Server{}
	defer server.Close()
	ctx := context.Background()
	pool := &smtpclient.Pool{PerDestination: 2}
	defer pool.Close(ctx)
	client := &smtpclient.Client{
		LocalName: "mail.example.org",
		NextHops:  []string{"[192.0.2.25]"},
		Dialer:    &smtpclient.Dialer{DialContext: server.DialContext}, // kept, too: the Pool knows it by its pointer
		Pool:      pool,
	}
	var senders sync.WaitGroup
	for range 20 {
		senders.Go(func() {
			client.Deliver(ctx, smtpclient.Envelope{
				From: "ann@example.org",
				To:   smtpclient.To("bob@example.net"),
			}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello.\r\n")))
		})
	}
	senders.Wait()
	fmt.Println(len(server.Messages()), "messages")
	// Output: 20 messages
}
