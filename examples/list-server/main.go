// List-server sends one message to the subscribers of a list in many domains: the body
// is scanned once, and each subscriber has lines of his own before it and a sender of
// his own (VERP), by which a bounce says whom it is about. Connections are kept, four to
// a destination at most.
//
//	go run ./examples/list-server
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

const issue = "From: News <news@lists.example.org>\r\n" +
	"Subject: What is new\r\n" +
	"List-Id: <news.lists.example.org>\r\n" +
	"\r\n" +
	"Nothing at all.\r\n"

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "list-server:", err)
		os.Exit(1)
	}
}

// envelope is that of one subscriber.
func envelope(subscriber string) smtpclient.Envelope {
	return smtpclient.Envelope{
		From: "news+" + strings.Replace(subscriber, "@", "=", 1) + "@lists.example.org",
		To:   smtpclient.To(subscriber),
		Header: "To: " + subscriber + "\r\n" +
			"List-Unsubscribe: <https://lists.example.org/bye?" + subscriber + ">\r\n",
	}
}

// publish sends content to all subscribers, and gives the outcome of each. Who sends to
// people that need no lines of their own puts them all into one Envelope: those of a
// domain then share a transaction.
func publish(ctx context.Context, client *smtpclient.Client, content smtpclient.Content, subscribers []string) []smtpclient.Outcome {
	outcomes := make([]smtpclient.Outcome, len(subscribers))
	work := make(chan int)
	var workers sync.WaitGroup
	for range 16 { // more than the Pool allows to one destination: those that wait are no load
		workers.Go(func() {
			for i := range work {
				report, _ := client.Deliver(ctx, envelope(subscribers[i]), content)
				outcomes[i] = report.Outcomes[0]
			}
		})
	}
	for i := range subscribers {
		work <- i
	}
	close(work)
	workers.Wait()
	return outcomes
}

func run(ctx context.Context, out io.Writer) error {
	world, err := newWorld("example.com", "example.net", "example.org")
	if err != nil {
		return err
	}
	defer world.close()
	pool := &smtpclient.Pool{PerDestination: 4}
	defer pool.Close(ctx)
	client := &smtpclient.Client{LocalName: "lists.example.org", Pool: pool, TLS: tlspolicy.May,
		Resolver: world.names, Dialer: &smtpclient.Dialer{DialContext: world.dial}}

	content, err := smtpclient.Scan(ctx, smtpclient.Bytes([]byte(issue))) // or smtpclient.File("issue.eml")
	if err != nil {
		return err
	}
	var subscribers []string
	for i := range 300 {
		subscribers = append(subscribers, fmt.Sprintf("user%d@%s", i, world.domains[i%len(world.domains)]))
	}
	count := map[smtpclient.Status]int{}
	for _, o := range publish(ctx, client, content, append(subscribers, "gone@example.net")) {
		count[o.Status]++
		if o.Status == smtpclient.Failed { // a list takes him off when it happens again and again
			fmt.Fprintln(out, o.Address, "failed:", o.Reply)
		}
	}
	fmt.Fprintf(out, "%d delivered, %d failed, of %d\n", count[smtpclient.Delivered], count[smtpclient.Failed], len(subscribers)+1)
	for _, domain := range world.domains {
		fmt.Fprintf(out, "%s: %d messages\n", domain, len(world.servers[domain].Messages()))
	}
	return nil
}

// world is the internet, on this machine: a server for each domain.
type world struct {
	domains []string
	servers map[string]*smtptest.Server
	names   resolve.Static
	ports   map[string]string // by the address that the DNS gives
}

func newWorld(domains ...string) (*world, error) {
	w := &world{domains: domains, servers: map[string]*smtptest.Server{}, names: resolve.Static{}, ports: map[string]string{}}
	for i, domain := range domains {
		server := &smtptest.Server{Name: "mx." + domain, Script: func(c smtptest.Command) smtptest.Action {
			if c.Verb == "RCPT" && strings.HasPrefix(c.Args, "TO:<gone@") {
				return smtptest.Action{Reply: "550 5.1.1 no such user"}
			}
			return smtptest.Action{}
		}}
		addr, err := server.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(err, server.Close())
		}
		ip := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		w.servers[domain], w.ports[netip.AddrPortFrom(ip, 25).String()] = server, addr.String()
		w.names[resolve.Question{Name: domain, Type: resolve.TypeMX}] = resolve.Answer{MX: []resolve.MX{{Host: server.Name}}}
		w.names[resolve.Question{Name: server.Name, Type: resolve.TypeA}] = resolve.Answer{Addrs: []netip.Addr{ip}}
	}
	return w, nil
}

func (w *world) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", w.ports[addr])
}

func (w *world) close() {
	for _, s := range w.servers {
		s.Close()
	}
}
