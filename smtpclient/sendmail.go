package smtpclient

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/smtp"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/postrider/postrider/tlspolicy"
)

// SendMail hands a message to the server at addr, as the function of that name in
// net/smtp does, and takes the same arguments: addr with a port, an Auth of net/smtp
// or nil, and whole messages. It differs where that one is less safe, or does not
// say:
//
//   - An Auth is begun only inside TLS with a server that has proved that it is the
//     host of addr, or with localhost. There is no plaintext for any other: with an
//     Auth a server without STARTTLS does not get the message.
//   - Without an Auth the TLS policy is that of a Client: with DANE if the host
//     publishes it, else TLS as far as there is some, and a certificate that nobody
//     has signed is taken. net/smtp fails there.
//   - At port 465 TLS comes first (RFC 8314).
//   - A recipient who is refused does not keep the others from getting the message.
//     The error, an *Error, is that of the first, and Error.Others counts the rest.
//     Who has to know of each one uses Client.Deliver.
//   - Line ends become CRLF. An address with CR or LF is an error before anything is
//     sent, as there.
//   - Stages have the times of RFC 5321, where net/smtp waits for ever.
//   - Names are looked up in the DNS, without /etc/hosts. An Auth is asked about one
//     mechanism at a time: ServerInfo.Auth has only that.
//
// An empty from is the null reverse path; each recipient then has a transaction of
// its own. It may be called by many goroutines.
func SendMail(addr string, a smtp.Auth, from string, to []string, msg []byte) error {
	var c Client
	if err := c.meant(addr, a); err != nil {
		return err
	}
	return c.hand(from, to, msg)
}

// hand delivers a message.
func (c *Client) hand(from string, to []string, msg []byte) error {
	env := Envelope{From: from, To: To(to...)}
	if from == "" {
		env.From = "<>"
	}
	for _, address := range append([]string{from}, to...) {
		if strings.ContainsAny(address, "\r\n") {
			return fmt.Errorf("smtp: the address %q has more than one line", address)
		}
	}
	_, err := c.Deliver(context.Background(), env, Bytes(msg))
	return err
}

// meant makes the client one for the server at addr.
func (c *Client) meant(addr string, a smtp.Auth) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("smtp: the address of the server: %w", err)
	}
	if host == "" {
		host = "localhost"
	}
	at := host
	if host == "localhost" { // no question for the DNS
		at = "127.0.0.1"
	}
	c.NextHops = []string{"[" + at + "]:" + port}
	if a == nil {
		return nil
	}
	if c.Auth = credentialOf(a, host); isLocalhost(host) {
		c.TLS = tlspolicy.May
	}
	return nil
}

func isLocalhost(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}

// credentialOf makes a credential of an Auth.
func credentialOf(a smtp.Auth, host string) *Credential {
	c := &Credential{ownOnly: true, SASL: func(mechanism string, cs *tls.ConnectionState) (sasl.Client, error) {
		server := &smtp.ServerInfo{Name: host, TLS: cs != nil, Auth: []string{mechanism}}
		name, first, err := a.Start(server)
		if err != nil || !strings.EqualFold(name, mechanism) {
			return nil, err
		}
		return &netSMTPAuth{a, mechanism, first}, nil
	}}
	if isLocalhost(host) {
		c.Channel = tlspolicy.None
	}
	return c
}

// netSMTPAuth is an Auth that has been begun, as a sasl.Client.
type netSMTPAuth struct {
	auth  smtp.Auth
	name  string
	first []byte
}

// Start gives what the Auth has shown. For net/smtp an empty response is none.
func (a *netSMTPAuth) Start() (mechanism string, ir []byte, err error) {
	if len(a.first) == 0 {
		return a.name, nil, nil
	}
	return a.name, a.first, nil
}

func (a *netSMTPAuth) Next(challenge []byte) ([]byte, error) { return a.auth.Next(challenge, true) }

// Done is asked at the server's 235.
func (a *netSMTPAuth) Done() error {
	_, err := a.auth.Next(nil, false)
	return err
}
