package main

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/postrider/postrider/smtpclient/smtptest"
)

// demo takes the place of sendmail before a server in this process.
func (p *program) demo(ctx context.Context) error {
	server := &smtptest.Server{}
	defer server.Close()
	addr, err := server.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	p.in = strings.NewReader("To: bob@example.net\nBcc: carol@example.com\nSubject: Hello\n\nHello both.\n")
	conf := &config{hub: fmt.Sprintf("[127.0.0.1]:%d", addr.(*net.TCPAddr).Port), host: "mail.example.org", domain: "example.org"}
	if err := p.send(ctx, &flags{fromHeader: true, ignoreDots: true, from: "ann"}, conf); err != nil {
		return err
	}
	for _, m := range server.Messages() {
		fmt.Fprintf(p.out, "sendmail -t -i -f ann: the server got, from %s to %s:\n%s", m.From, strings.Join(m.To, " and "), m.Data)
	}
	return nil
}
