// Package submission takes mail by SMTP and puts it into the queue. With the workers
// behind it it is a small relay.
package submission

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/postrider/postrider/examples/fleet/queue"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// Backend is what go-smtp's server asks.
type Backend struct {
	Queue *queue.Queue
	Name  string // ours, for Received
	// Clients are who may send. nil: this machine alone. Whoever can send here can
	// send to everybody, in our name.
	Clients []netip.Prefix
}

// Server is a server for b, with the extensions that the workers can pass on. The
// caller sets Addr or gives it a listener, and closes it.
func Server(b *Backend) *smtp.Server {
	s := smtp.NewServer(b)
	s.Domain = b.Name
	s.ReadTimeout, s.WriteTimeout = 5*time.Minute, 5*time.Minute
	s.MaxMessageBytes = 25 << 20
	s.MaxRecipients = 1000
	s.EnableSMTPUTF8, s.EnableDSN, s.EnableREQUIRETLS = true, true, true
	return s
}

// NewSession implements smtp.Backend.
func (b *Backend) NewSession(c *smtp.Conn) (smtp.Session, error) {
	addr, err := netip.ParseAddrPort(c.Conn().RemoteAddr().String())
	if err != nil || !b.may(addr.Addr().Unmap()) {
		return nil, refuse(550, smtp.EnhancedCode{5, 7, 1}, "we take mail from our own clients only")
	}
	return &session{backend: b, conn: c, peer: addr.Addr()}, nil
}

func (b *Backend) may(addr netip.Addr) bool {
	if b.Clients == nil {
		return addr.IsLoopback()
	}
	for _, p := range b.Clients {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

func refuse(code int, enhanced smtp.EnhancedCode, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}
}

// session is one connection.
type session struct {
	backend *Backend
	conn    *smtp.Conn
	peer    netip.Addr
	env     smtpclient.Envelope
}

// Reset implements smtp.Session.
func (s *session) Reset() { s.env = smtpclient.Envelope{} }

// Logout implements smtp.Session.
func (s *session) Logout() error { return nil }

// Mail implements smtp.Session.
func (s *session) Mail(from string, opts *smtp.MailOptions) error {
	if from == "" {
		from = "<>"
	}
	s.env = smtpclient.Envelope{From: from, UTF8: opts.UTF8, EnvID: opts.EnvelopeID}
	switch opts.Return {
	case smtp.DSNReturnFull:
		s.env.Return = smtpclient.ReturnFull
	case smtp.DSNReturnHeaders:
		s.env.Return = smtpclient.ReturnHeaders
	}
	if opts.RequireTLS {
		s.env.TLS = tlspolicy.EveryHop
	}
	return nil
}

// Rcpt implements smtp.Session.
func (s *session) Rcpt(to string, opts *smtp.RcptOptions) error {
	r := smtpclient.Recipient{Address: to}
	for _, n := range opts.Notify {
		switch n {
		case smtp.DSNNotifyNever:
			r.Notify = smtpclient.NotifyNever
		case smtp.DSNNotifySuccess:
			r.Notify |= smtpclient.NotifySuccess
		case smtp.DSNNotifyFailure:
			r.Notify |= smtpclient.NotifyFailure
		case smtp.DSNNotifyDelayed:
			r.Notify |= smtpclient.NotifyDelay
		}
	}
	if opts.OriginalRecipient != "" {
		r.ORCPT = strings.ToLower(string(opts.OriginalRecipientType)) + ";" + opts.OriginalRecipient
	}
	s.env.To = append(s.env.To, r)
	return nil
}

// maxHops is how often a message may have been received (RFC 5321, Section 6.3).
const maxHops = 100

// Data implements smtp.Session. Its success is the 250 with which we answer for the
// message, so that it returns when the queue has it.
func (s *session) Data(r io.Reader) error {
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if hops(content) > maxHops {
		return refuse(554, smtp.EnhancedCode{5, 4, 6}, "the message is in a loop")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	env := s.env
	env.Arrival = time.Now()
	id, err := s.backend.Queue.Submit(ctx, env, append([]byte(s.received(env.Arrival)), content...))
	if err != nil {
		return refuse(451, smtp.EnhancedCode{4, 3, 0}, "the queue does not answer, try again later")
	}
	return &smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "queued as " + id}
}

// received is the trace line of RFC 5321, Section 4.4.
func (s *session) received(at time.Time) string {
	with := "ESMTP"
	if _, ok := s.conn.TLSConnectionState(); ok {
		with = "ESMTPS"
	}
	addr := s.peer.Unmap().String()
	if s.peer.Unmap().Is6() {
		addr = "IPv6:" + addr
	}
	return fmt.Sprintf("Received: from %s ([%s])\r\n\tby %s with %s;\r\n\t%s\r\n",
		printable(s.conn.Hostname()), addr, s.backend.Name, with, at.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
}

// printable keeps what a client calls itself from becoming header lines.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || strings.ContainsRune("()<>;\\\"", r) {
			return '-'
		}
		return r
	}, s)
}

// hops counts the Received fields in the header.
func hops(content []byte) int {
	n := 0
	for line := range strings.Lines(string(content[:min(len(content), 256<<10)])) {
		if strings.TrimRight(line, "\r\n") == "" {
			break
		}
		if len(line) > 9 && strings.EqualFold(line[:9], "Received:") {
			n++
		}
	}
	return n
}

// Serve runs a server on l until ctx ends; then those who are in the midst of a
// message have grace to finish.
func Serve(ctx context.Context, s *smtp.Server, l net.Listener, grace time.Duration) error {
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	_ = s.Shutdown(end)
	s.Close()
	if err := <-ended; err != nil && !errors.Is(err, smtp.ErrServerClosed) {
		return err
	}
	return nil
}
