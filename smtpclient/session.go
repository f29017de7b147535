package smtpclient

import (
	"context"
	"crypto/tls"
)

// Session is a connection that is ready for a transaction. One caller at a
// time.
type Session struct{}

// Dial opens a Session: connection, greeting, EHLO, and STARTTLS as the
// target's policy asks.
func (d *Dialer) Dial(ctx context.Context, t Target) (*Session, error) { panic("stub") }

// Send carries out one transaction.
func (s *Session) Send(ctx context.Context, env Envelope, content Content) (Report, error) {
	panic("stub")
}

// Hello is the server's reply to EHLO, HELO or LHLO.
func (s *Session) Hello() Reply { panic("stub") }

// Extension tells whether the server offered an extension, and with which
// parameters.
func (s *Session) Extension(keyword string) (params string, ok bool) { panic("stub") }

// Peer says who is at the other end.
func (s *Session) Peer() Attempt { panic("stub") }

// ConnectionState is that of TLS; nil in plaintext.
func (s *Session) ConnectionState() *tls.ConnectionState { panic("stub") }

// Noop sends NOOP.
func (s *Session) Noop(ctx context.Context) (Reply, error) { panic("stub") }

// Rset sends RSET.
func (s *Session) Rset(ctx context.Context) (Reply, error) { panic("stub") }

// Quit ends the session.
func (s *Session) Quit(ctx context.Context) error { panic("stub") }

// Close ends the session without QUIT.
func (s *Session) Close() error { panic("stub") }

// Bytes is content in memory.
func Bytes(b []byte) Content { panic("stub") }
