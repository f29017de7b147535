package smtpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/internal/address"
	"github.com/postrider/postrider/tlspolicy"
)

// plainDialer is that of Clients without one: the same for all, since sessions are
// used again only by deliveries with the same.
var plainDialer = &Dialer{}

// Dialer is one way out of this machine: local addresses, EHLO name, proxy,
// timeouts. The zero value is ready. It is safe for many goroutines and must
// not change after its first use.
type Dialer struct {
	// LocalName is our name in EHLO: a domain name or an address literal.
	// "": Client.LocalName.
	LocalName string
	// LocalAddr4 and LocalAddr6 are bound for connections of their family.
	// Zero: the system chooses. An address of the wrong family is a fault of
	// the configuration; one that the machine refuses defers (4.3.5).
	LocalAddr4, LocalAddr6 netip.Addr
	// DialContext opens connections, as through a proxy. network is "tcp4" or
	// "tcp6" where addr holds an address, "tcp" where it holds a name, or
	// "unix". It has to end with ctx: one that does not can hold a call.
	// nil: a net.Dialer with the local addresses, which cannot be set besides.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	Timeouts    Timeouts
	// TLSConfig has what a policy does not say: Certificates that are shown to
	// any server which asks, RootCAs where the policy has no Roots, and a
	// ClientSessionCache for resumption, which a TicketCache can be. It is
	// cloned. The policy wins: it sets ServerName, raises MinVersion, and
	// verifies the server, whatever InsecureSkipVerify says; a VerifyConnection
	// is called after it. nil: no certificate, no resumption.
	TLSConfig *tls.Config
	// Rules say what is done with content that cannot go as it is. Zero repairs
	// it.
	Rules ContentRules
	// Filters are hooks of the caller's that change what goes out and what comes
	// back. nil: none.
	Filters *Filters
	// Transcript says whether reports hold the dialogue with the server. Zero: no.
	Transcript Transcript
	// Quirks says what is special about a server, before anything is said to
	// it. nil: nothing.
	Quirks func(t Target) Quirks
}

// Target is a server to dial.
type Target struct {
	// Addr is "192.0.2.25:25", "mx.example.net:25" or "unix:/path".
	Addr     string
	Host     string // its name for TLS and reports; "": the host in Addr
	Protocol Protocol
	Policy   tlspolicy.Policy // no opinion: May, or Secure where there is a Credential
	// Credential is shown with AUTH, or there is no session. Then no connection
	// without TLS follows one whose TLS failed. nil: no AUTH.
	Credential *Credential

	// loops tells that a server with our own name is a loop and not a server of
	// ours on this machine: its address came from a recipient's domain.
	loops bool
	// unproven tells that the host was found by DNS answers without proof.
	unproven bool
	// lenient tells that it is for a message with TLS-Required: no.
	lenient bool
	fresh   bool               // resume no TLS session
	memory  cache.Cache        // of hosts whose TLS is broken; nil: none
	results tlspolicy.Recorder // nil: none
	domain  string             // for whom they are
	helo    bool               // the server dropped the connection at EHLO
	opened  *opened            // what dialling has come to already; used once
	token   func() string      // of Credential; behind a function, since fmt prints what is not exported
	late    bool               // wait for every word, whatever the server offered
	claims  *claims            // on the Limiter; nil: none
	use     *Use               // as far as it is known before there is an address; nil: none
}

// kind is what a transaction asks of a Target.
type kind struct {
	protocol   Protocol
	noReuse    bool // no other delivery gets the session
	helo       bool // the connection was lost at EHLO before: it begins with HELO
	unproven   bool
	requireTLS tlspolicy.RequireTLS
}

// Quirks are what has to be done otherwise for one server. Zero is nothing.
type Quirks struct {
	Discard []string // EHLO keywords to overlook, as "PIPELINING"; in any case of letters
	HELO    bool     // say HELO at once, and use no extension; not in LMTP
	// IgnoreQuota adds IGNOREQUOTA to every RCPT where an LMTP server offers it, as
	// Cyrus and Exim do: the mailbox takes the message though it is full.
	IgnoreQuota bool
	// PipeConnect does not wait for the greeting and the reply to EHLO of a server
	// that has offered PIPECONNECT (Exim's early pipelining): the envelope goes with
	// EHLO, and EHLO with STARTTLS. What was offered is remembered in Client.Cache for
	// a day, by address; where it has changed the connection is given up, and a new one
	// waits. Not in LMTP, with AUTH or with implicit TLS, and not by Dialer.Dial.
	PipeConnect bool
	// Chunking says when content goes by BDAT in place of DATA.
	Chunking Chunking
	// ChunkSize is the most content in one BDAT, in bytes, 16 KiB or more. Zero:
	// all in one.
	ChunkSize int
	// NoOverlap keeps the commands of one transaction out of the write that ends the
	// one before. Without it they go there, if the server offers PIPELINING and
	// another delivery waits in a Pool for the session; in LMTP only where one
	// verdict is due, as some servers give one for all.
	NoOverlap bool
	// PIX works around firewalls that mask the greeting with asterisks, as a Cisco
	// PIX does with its fixup for SMTP. Zero: all that Postfix does,
	// PIXDisableESMTP and PIXDelayDot.
	PIX PIX
	// PIXAge: PIXDelayDot is for messages that arrived so long ago; see
	// Envelope.Arrival. Zero: 500 s.
	PIXAge time.Duration
	// PIXDelay is how long PIXDelayDot waits. Zero: 10 s.
	PIXDelay time.Duration
}

// Chunking says when content goes by BDAT (RFC 3030).
type Chunking uint8

// The uses of BDAT, where the server offers CHUNKING.
const (
	// ChunkingAuto: for binary content, which DATA cannot carry, and for a File of
	// 1 MiB or more that needs no repair, in plaintext over TCP. The system then
	// sends the file without a copy, and instead of its bytes its size and
	// modification time are compared with the scan, before the last piece; one
	// that was modified less than two seconds before its scan goes by DATA. Do not
	// change such a file in place while it is in use; renaming another one to its
	// name is safe.
	ChunkingAuto Chunking = iota
	// ChunkingOff: never.
	ChunkingOff
	// ChunkingAfter: always, once the replies to MAIL and RCPT were read.
	ChunkingAfter
	// ChunkingGrouped: always, and a message of up to 16 KiB in one write with
	// MAIL and RCPT where the server also offers PIPELINING. Of deliveries that
	// wait in a Pool for the session, 8 at most, of 32 KiB in all, are then on
	// their way at once, but for NoOverlap; in LMTP those to one recipient. One that
	// is given up is Unknown and leaves the others alone; where the server ends the
	// session, all that it has not answered are. Only for one's own servers: one
	// that does not swallow the chunk of a refused envelope reads the message as
	// commands.
	ChunkingGrouped
)

// PIX is a set of workarounds.
type PIX uint8

// The workarounds, with Postfix's names.
const (
	PIXDisableESMTP PIX = 1 << iota // say HELO
	PIXDelayDot                     // pause between the content and the final dot
	PIXNone                         // do nothing; stands alone
)

// Protocol is what is spoken.
type Protocol uint8

// The protocols.
const (
	SMTP Protocol = iota // RFC 5321
	LMTP                 // RFC 2033
)

// String gives "smtp" or "lmtp".
func (p Protocol) String() string {
	if p == LMTP {
		return "lmtp"
	}
	return "smtp"
}

// Dial opens a Session: connection, greeting, EHLO, and as the target's policy
// asks STARTTLS and EHLO again, then AUTH if there is a credential. At level May,
// without a credential, a failed TLS handshake is followed by one new connection
// without TLS; TLS.Fallback of Session.Peer then says why.
//
// The error is an *Error with the stage that failed; its Status is Deferred,
// since nothing that a server says here is about a message.
func (d *Dialer) Dial(ctx context.Context, t Target) (s *Session, err error) {
	defer contain(&err)
	if fault := d.fault(); fault != nil {
		return nil, &Error{Status: Deferred, Attempt: Attempt{Stage: StageInput, Enhanced: "4.3.5", Cause: fault}}
	}
	if t.Credential != nil {
		if fault := t.Credential.fault(); fault != nil {
			return nil, &Error{Status: Deferred, Attempt: Attempt{Stage: StageInput, Enhanced: "4.3.5", Cause: fault}}
		}
	}
	s, failure := d.dialWith(ctx, t, d.LocalName, StageTimes{})
	if failure != nil {
		return nil, failure
	}
	return s, nil
}

// fault is what is wrong with the configuration, or nil.
func (d *Dialer) fault() error {
	if d.LocalName != "" {
		if _, err := address.HeloName(d.LocalName); err != nil {
			return fmt.Errorf("Dialer.LocalName: %w", err)
		}
	}
	if a := d.LocalAddr4; a.IsValid() && !a.Is4() {
		return fmt.Errorf("Dialer.LocalAddr4: %v is not an IPv4 address", a)
	}
	if a := d.LocalAddr6; a.IsValid() && (!a.Is6() || a.Is4In6()) {
		return fmt.Errorf("Dialer.LocalAddr6: %v is not an IPv6 address", a)
	}
	if d.DialContext != nil && (d.LocalAddr4.IsValid() || d.LocalAddr6.IsValid()) {
		return errors.New("Dialer.DialContext: cannot be set besides LocalAddr4 or LocalAddr6; bind in the function")
	}
	if d.Transcript > TranscriptAll {
		return fmt.Errorf("Dialer.Transcript: %w", errUnknownValue)
	}
	if err := d.Rules.fault(); err != nil {
		return err
	}
	return d.faultTLS()
}

// dial is Dial with our name, which a Client may bring, and the times of the
// stages before.
func (d *Dialer) dial(ctx context.Context, t Target, name string, before StageTimes) (*Session, *Error) {
	if t.Policy.Level == 0 {
		t.Policy.Level = levelFor(t.Credential)
	}
	if t.Host == "" {
		t.Host = hostOf(t.Addr)
	}
	if _, port, err := net.SplitHostPort(t.Addr); err == nil && port == "465" {
		t.Policy.Implicit = true
	}
	if t.Policy.Implicit {
		t.Policy.Level = atLeast(t.Policy.Level, tlspolicy.Encrypt)
	}
	t.Policy = d.trusting(t.Policy.For(t.Host, t.Host))
	at := Attempt{Host: t.Host, Addr: t.Addr, TLS: tlspolicy.State{Wanted: t.Policy.Level}, Times: before}
	return d.ladder(ctx, t, name, at)
}

// droppedAtHello recognizes a server that closes the connection in place of
// refusing EHLO in plaintext. It may understand HELO.
func droppedAtHello(err *Error) bool {
	return err.Stage == StageHello && err.Reply.Code == 0 && err.TLS.Reached == 0 && err.Enhanced == "4.4.2" && !err.Timeout()
}

// open connects and shakes hands, once. A panic in a hook ends the connection
// and becomes an error.
func (d *Dialer) open(ctx context.Context, t Target, name string, at Attempt) (s *Session, failure *Error) {
	grant, refused := d.claim(ctx, &t, &at)
	if refused != nil {
		return nil, refused
	}
	defer func() { grant.opened(ctx, &t, s, failure) }()
	var conn net.Conn
	defer func() {
		if p := recover(); p != nil {
			if conn != nil {
				conn.Close()
			}
			at.Enhanced, at.Cause = "4.3.0", panicked(p)
			s, failure = nil, &Error{Status: Deferred, Attempt: at}
		}
	}()
	at.Stage = StageConnect
	conn, took, err := t.opened.take()
	if conn == nil && err == nil {
		took, err = stagedAt(ctx, StageConnect, &at, func(*Event) (err error) {
			conn, err = d.connect(ctx, t)
			return err
		})
	}
	at.Times[StageConnect] += took
	if err != nil {
		at.Cause, at.Enhanced = err, "4.4.1"
		switch {
		case bindRefused(err):
			at.Enhanced = "4.3.5"
		case shortage(err):
			at.Enhanced = "4.3.0"
		}
		return nil, &Error{Status: Deferred, Attempt: at}
	}
	s = newSession(d, t, conn, at)
	s.name = helloName(name, conn)
	if failure := s.open(ctx); failure != nil {
		return nil, failure
	}
	return s, nil
}

var errNoConn = errors.New("Dialer.DialContext returned neither a connection nor an error")

// connect opens the connection.
func (d *Dialer) connect(ctx context.Context, t Target) (net.Conn, error) {
	network, addr := d.network(t.Addr)
	limited := ctx
	if limit := d.Timeouts.limit(StageConnect); limit > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	dial := d.DialContext
	if dial == nil {
		dial = (&net.Dialer{LocalAddr: d.localAddr(network)}).DialContext
	}
	conn, err := dial(limited, network, addr)
	switch {
	case err == nil && conn == nil:
		return nil, errNoConn
	case err == nil:
		return conn, nil
	case ctx.Err() != nil:
		return nil, cancelled(ctx)
	case bindRefused(err):
		return nil, fmt.Errorf("the local address %v cannot be used on this machine: %w", d.localAddr(network), err)
	case limited.Err() != nil && !shortage(err):
		return nil, fmt.Errorf("no connection within %v: %w", d.Timeouts.limit(StageConnect), os.ErrDeadlineExceeded)
	}
	return nil, err
}

// network takes Target.Addr apart for dialling.
func (d *Dialer) network(target string) (network, addr string) {
	if path, ok := strings.CutPrefix(target, "unix:"); ok {
		return "unix", path
	}
	ap, err := netip.ParseAddrPort(target)
	switch {
	case err == nil && ap.Addr().Unmap().Is4():
		return "tcp4", target
	case err == nil:
		return "tcp6", target
	case d.LocalAddr4.IsValid() && !d.LocalAddr6.IsValid():
		return "tcp4", target
	case d.LocalAddr6.IsValid() && !d.LocalAddr4.IsValid():
		return "tcp6", target
	}
	return "tcp", target
}

// localAddr is what is bound; nil leaves it to the system.
func (d *Dialer) localAddr(network string) net.Addr {
	switch {
	case network == "tcp4" && d.LocalAddr4.IsValid():
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(d.LocalAddr4, 0))
	case network == "tcp6" && d.LocalAddr6.IsValid():
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(d.LocalAddr6, 0))
	}
	return nil
}

// bindRefused tells that this machine does not have the local address.
func bindRefused(err error) bool {
	var call *os.SyscallError
	return errors.As(err, &call) && call.Syscall == "bind"
}

// hostOf is the host in an address to dial.
func hostOf(addr string) string {
	if host, _, err := net.SplitHostPort(addr); err == nil {
		return host
	}
	return addr
}

// fullName tells whether name can be our EHLO name, and gives it as A-labels. A
// name without a dot is none that others know.
func fullName(name string) (string, bool) {
	full, err := address.HeloName(name)
	if err != nil || !strings.Contains(full, ".") || strings.HasSuffix(full, ".localdomain") {
		return "", false
	}
	return full, true
}
