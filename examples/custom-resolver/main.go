// Custom-resolver sends mail with a Resolver of its own: names of the company are asked
// for at the company's DNS server, and all others at that of the internet; and whoever
// wants to know sees each question. Both servers are in this process here.
//
//	go run ./examples/custom-resolver
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "custom-resolver:", err)
		os.Exit(1)
	}
}

// split is a Resolver: one method, and seven rules, which resolvetest checks. That an
// error means that nothing is known, while "there is nothing" is an answer, is the one
// that matters: mail waits for the former, and comes back after the latter.
type split struct {
	domain        string // names at and below it are asked for inside
	inside, other resolve.Resolver
}

// Lookup implements resolve.Resolver. Names come in lower case, as A-labels and without
// a final dot.
func (s split) Lookup(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
	if q.Name == s.domain || strings.HasSuffix(q.Name, "."+s.domain) {
		return s.inside.Lookup(ctx, q)
	}
	return s.other.Lookup(ctx, q)
}

// watch gives a Resolver that tells of each question. One function is a Resolver, too.
func watch(r resolve.Resolver, out io.Writer) resolve.Resolver {
	var mu sync.Mutex // a Resolver is asked by many goroutines
	return resolve.Func(func(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
		answer, err := r.Lookup(ctx, q)
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(out, "  %v %s: %d, error %v\n", q.Type, q.Name, len(answer.MX)+len(answer.Addrs), err)
		return answer, err
	})
}

func run(ctx context.Context, out io.Writer) error {
	server := &smtptest.Server{}
	defer server.Close()
	addr, err := server.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	inside := &dnstest.Server{Zones: []dnstest.Zone{{Text: "$ORIGIN corp.example.\n@ MX 10 mx\nmx A 127.0.0.1\n"}}}
	defer inside.Close()
	internet := &dnstest.Server{Zones: []dnstest.Zone{{Text: "$ORIGIN .\n$TTL 60\nexample.net MX 10 mx.example.net\nmx.example.net A 127.0.0.1\n"}}}
	defer internet.Close()

	resolver := split{domain: "corp.example", inside: ask(inside), other: ask(internet)}
	client := &smtpclient.Client{
		Resolver: watch(&resolve.Cached{Resolver: resolver}, out), // the cache of a Client keeps routes, this one each answer
		Routing:  resolve.Routing{Local: true, Port: addr.(*net.TCPAddr).AddrPort().Port()},
	}
	report, _ := client.Deliver(ctx, smtpclient.Envelope{
		From: "ann@example.org",
		To:   smtpclient.To("bob@corp.example", "carol@example.net", "dave@nowhere.example"),
	}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello.\r\n")))
	for _, o := range report.Outcomes {
		fmt.Fprintf(out, "%s: %v, error %v\n", o.Address, o.Status, o.Err())
	}
	return nil
}

// ask is a Resolver that asks a test server. A real one is given by its address, as
// &resolve.DNS{Servers: []string{"192.0.2.53"}}; a zero DNS asks those of the system.
func ask(s *dnstest.Server) resolve.Resolver {
	return &resolve.DNS{Servers: []string{"127.0.0.1:53"}, DialContext: s.DialContext}
}
