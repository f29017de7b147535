// Submit hands a message to the mail server of the sender's own domain, as a mail
// program does:
//
//	SUBMIT_PASSWORD=... submit ann@example.org bob@example.net < message
//
// The server is found by the SRV records of the domain: first where TLS comes
// before everything else (_submissions._tcp, port 465: RFC 8314, Section 3), then
// where it comes by STARTTLS (_submission._tcp, port 587: RFC 6186). It has to prove
// its name before it gets the password. Without arguments the program sends a message
// to a server of its own on this machine.
package main

import (
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

func main() {
	s := submission{out: os.Stdout, password: os.Getenv("SUBMIT_PASSWORD")}
	flag.StringVar(&s.user, "user", "", "user name; else the sender's address")
	flag.StringVar(&s.dns, "dns", "", "DNS server to ask, as 192.0.2.53:53; else the system's")
	flag.BoolVar(&s.local, "local", false, "allow servers on this machine")
	flag.BoolVar(&s.trust, "trust", false, "allow servers whose names are not in the sender's domain")
	ca := flag.String("ca", "", "file with trusted certificates; else the system's")
	flag.Parse()
	if err := s.run(context.Background(), *ca, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "submit:", err)
		os.Exit(1)
	}
}

// submission is what the command line asks for.
type submission struct {
	user, password, dns string
	local, trust        bool
	roots               *x509.CertPool
	out                 io.Writer
}

func (s submission) run(ctx context.Context, ca string, args []string) error {
	switch {
	case len(args) == 0:
		return s.demo(ctx, &smtptest.Server{ImplicitTLS: true}, "_submissions._tcp")
	case len(args) == 1:
		return errors.New("usage: submit FROM TO... < message")
	case s.password == "":
		return errors.New("the password belongs in the environment variable SUBMIT_PASSWORD")
	}
	if ca != "" {
		text, err := os.ReadFile(ca)
		if err != nil {
			return err
		}
		s.roots = x509.NewCertPool()
		s.roots.AppendCertsFromPEM(text)
	}
	message, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	return s.send(ctx, message, args[0], args[1:]...)
}

// send submits one message.
func (s submission) send(ctx context.Context, message []byte, from string, to ...string) error {
	client, err := s.client(ctx, from[strings.LastIndex(from, "@")+1:])
	if err != nil {
		return err
	}
	if s.user == "" { // RFC 6186, Section 4
		s.user = from
	}
	client.Auth = &smtpclient.Credential{User: s.user, Password: s.password}
	env := smtpclient.Envelope{From: from, To: smtpclient.To(to...)}
	report, err := client.Deliver(ctx, env, smtpclient.Bytes(message))
	for _, o := range report.Outcomes {
		fmt.Fprintf(s.out, "%s: %v, %s (%s) as %s: %v\n", o.Address, o.Status, o.Host, o.Addr, o.Login, o.Reply)
	}
	return err
}

// client is one for the servers of a domain. Its TLS level is not set: where there
// is a credential, servers are verified.
func (s submission) client(ctx context.Context, domain string) (*smtpclient.Client, error) {
	resolver := &resolve.DNS{}
	if s.dns != "" {
		resolver.Servers = []string{s.dns}
	}
	hop, err := resolve.ParseNextHop(domain)
	if err != nil {
		return nil, err
	}
	for _, service := range []string{"submissions", "submission"} {
		route, err := resolve.Routing{Service: service, Local: s.local}.Route(ctx, resolver, hop)
		if errors.Is(err, resolve.ErrNotFound) || errors.Is(err, resolve.ErrNoService) {
			continue
		}
		if err != nil {
			return nil, err
		}
		client := &smtpclient.Client{Resolver: resolver, TLS: tlspolicy.Policy{Roots: s.roots, Implicit: service == "submissions"}}
		for _, host := range route.Hosts {
			// Who can forge SRV records must not choose who gets the password (RFC
			// 6186, Section 6).
			if !s.trust && !route.Secure && !strings.HasSuffix("."+host.Name, "."+hop.Name) {
				return nil, fmt.Errorf("%s names %s as its server; if you trust that, say -trust", domain, host.Name)
			}
			client.NextHops = append(client.NextHops, fmt.Sprintf("[%s]:%d", host.Name, host.Port))
		}
		return client, nil
	}
	return nil, fmt.Errorf("%s has no SRV record _submissions._tcp or _submission._tcp that says where its mail is submitted", domain)
}

const demoPassword = "open-sesame-of-ann"

// demo submits to a server in this process, which the DNS names for a service.
func (s submission) demo(ctx context.Context, server *smtptest.Server, service string) error {
	server.Passwords = map[string]string{"ann@example.org": demoPassword}
	defer server.Close()
	smtp, err := server.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	zone := fmt.Sprintf("$ORIGIN example.org.\n%s SRV 0 1 %d smtp\nsmtp A 127.0.0.1\n", service, smtp.(*net.TCPAddr).Port)
	names := &dnstest.Server{Zones: []dnstest.Zone{{Text: zone}}}
	defer names.Close()
	dns, err := names.Listen("udp+tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.dns, s.local, s.password, s.roots = dns.String(), true, demoPassword, server.Roots()
	return s.send(ctx, []byte("Subject: Hello\r\n\r\nHello Bob.\r\n"), "ann@example.org", "bob@example.net")
}
