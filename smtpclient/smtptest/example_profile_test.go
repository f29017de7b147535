package smtptest_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/smtp"
	"net/textproto"
	"time"

	"github.com/postrider/postrider/smtpclient/smtptest"
)

// client connects net/smtp to a server, in memory.
func client(server *smtptest.Server) *smtp.Client {
	conn, err := server.DialContext(context.Background(), "tcp", "mx.example.net:25")
	if err != nil {
		log.Fatal(err)
	}
	c, err := smtp.NewClient(conn, "mx.example.net")
	if err != nil {
		log.Fatal(err)
	}
	return c
}

// code is that of a refusal.
func code(err error) int {
	var refusal *textproto.Error
	errors.As(err, &refusal)
	return refusal.Code
}

// A receiver that answers each recipient whom it does not know later than the one
// before. In a bubble of testing/synctest the delays may be as long as they really
// are, and take no time.
func ExampleProfile_tarpit() {
	profile := smtptest.Postfix()
	profile.Tarpit = smtptest.Tarpit{Initial: time.Millisecond, Mult: 1, Cap: 4 * time.Millisecond}
	server := &smtptest.Server{Profile: profile, Script: func(c smtptest.Command) smtptest.Action {
		if c.Verb == "RCPT" {
			return smtptest.Action{Reply: "550 5.1.1 no such user"}
		}
		return smtptest.Action{}
	}}
	defer server.Close()
	c := client(server)
	defer c.Close()
	if err := c.Mail("ann@client.example"); err != nil {
		log.Fatal(err)
	}
	began := time.Now()
	for _, to := range []string{"bob@example.net", "carol@example.net", "dave@example.net"} {
		fmt.Println(to, code(c.Rcpt(to)))
	}
	fmt.Println("at least 1 ms, 2 ms and 4 ms:", time.Since(began) >= 7*time.Millisecond)
	// Output:
	// bob@example.net 550
	// carol@example.net 550
	// dave@example.net 550
	// at least 1 ms, 2 ms and 4 ms: true
}

// A server with a certificate of somebody else, and one that breaks the handshake
// off.
func ExampleServer_tlsFailure() {
	for _, server := range []*smtptest.Server{
		{Certificate: smtptest.Certificate{Names: []string{"other.example.org"}}},
		{Profile: smtptest.Profile{At: map[string]smtptest.Action{"STARTTLS": {Fault: smtptest.BreakTLS}}}},
	} {
		c := client(server)
		err := c.StartTLS(&tls.Config{ServerName: "mx.example.net", RootCAs: server.Roots()})
		var wrongName *tls.CertificateVerificationError
		var broken *net.OpError
		fmt.Println("certificate:", errors.As(err, &wrongName), "connection:", errors.As(err, &broken))
		c.Close()
		server.Close()
	}
	// Output:
	// certificate: true connection: false
	// certificate: false connection: true
}

// A server that takes few connections from one address, as Gmail does.
func ExampleGmail() {
	profile := smtptest.Gmail()
	profile.Limits.PerAddress = 1
	server := &smtptest.Server{Profile: profile}
	defer server.Close()
	first := client(server)
	defer first.Close()

	conn, err := server.DialContext(context.Background(), "tcp", "mx.example.net:25")
	if err != nil {
		log.Fatal(err)
	}
	_, err = smtp.NewClient(conn, "mx.example.net")
	fmt.Println(code(err))
	// Output:
	// 421
}

// A client whose EHLO is refused as ZMailer refuses unknown commands.
func ExampleProfile() {
	profile := smtptest.ZMailer301()
	profile.Disabled = []string{"EHLO"}
	profile.Caret = false
	server := &smtptest.Server{Profile: profile}
	defer server.Close()
	c := client(server)
	defer c.Close()
	fmt.Println(c.Hello("client.example"))
	fmt.Println(c.Mail("ann@client.example"))
	ok, _ := c.Extension("SIZE")
	fmt.Println("extensions:", ok)
	// Output:
	// <nil>
	// <nil>
	// extensions: false
}
