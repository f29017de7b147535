package smtpclient_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sasl "github.com/emersion/go-sasl"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// remains is what has to be given back.
type remains struct{ conns, streams, leases atomic.Int32 }

func (r *remains) check(t *testing.T) {
	t.Helper()
	if c, s, l := r.conns.Load(), r.streams.Load(), r.leases.Load(); c != 0 || s != 0 || l != 0 {
		t.Errorf("left: %d connections, %d streams of content, %d leases", c, s, l)
	}
}

// mischievous lets connections go wrong.
func (w *world) mischievous(m *mischief) *remains {
	left := &remains{}
	dial := w.client.Dialer.DialContext
	w.client.Dialer.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if err := m.step("dial"); err != nil {
			return nil, err
		}
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		left.conns.Add(1)
		return &mischievousConn{Conn: conn, m: m, left: left}, nil
	}
	m.left = left
	return left
}

type mischievousConn struct {
	net.Conn
	m      *mischief
	left   *remains
	closed atomic.Bool
}

// late is the error of a connection that was held until ctx ended.
func (c *mischievousConn) late(op string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		err = os.ErrDeadlineExceeded
	}
	return &net.OpError{Op: op, Net: "tcp", Err: err}
}

func (c *mischievousConn) Read(p []byte) (int, error) {
	switch err := c.m.step("read"); err {
	case nil:
		return c.Conn.Read(p)
	case errShort:
		return c.Conn.Read(p[:1])
	default:
		return 0, c.late("read", err)
	}
}

// Write takes half of what it is given, and says so without an error, against the
// contract of io.Writer.
func (c *mischievousConn) Write(p []byte) (int, error) {
	switch err := c.m.step("write"); err {
	case nil:
		return c.Conn.Write(p)
	case errShort:
		return c.Conn.Write(p[:len(p)/2])
	default:
		return 0, c.late("write", err)
	}
}

func (c *mischievousConn) SetDeadline(t time.Time) error {
	if err := c.m.step("deadline"); err != nil {
		return c.late("set", err)
	}
	return c.Conn.SetDeadline(t)
}

func (c *mischievousConn) SetWriteDeadline(t time.Time) error {
	if err := c.m.step("deadline"); err != nil {
		return c.late("set", err)
	}
	return c.Conn.SetWriteDeadline(t)
}

func (c *mischievousConn) Buffered() int {
	c.m.step("look")
	return c.Conn.(interface{ Buffered() int }).Buffered()
}

func (c *mischievousConn) LocalAddr() net.Addr {
	c.m.step("address")
	return c.Conn.LocalAddr()
}

func (c *mischievousConn) RemoteAddr() net.Addr {
	c.m.step("address")
	return c.Conn.RemoteAddr()
}

// Close closes, whatever it says.
func (c *mischievousConn) Close() error {
	err := c.Conn.Close()
	if c.closed.CompareAndSwap(false, true) {
		c.left.conns.Add(-1)
	}
	return errors.Join(err, c.m.step("close"))
}

// mischievousContent is content whose operations go wrong.
type mischievousContent struct {
	text string
	m    *mischief
	left *remains
}

func (c *mischievousContent) Size() int64 {
	c.m.step("hook Content.Size")
	return int64(len(c.text))
}

func (c *mischievousContent) Open() (io.ReadCloser, error) {
	if err := c.m.step("content"); err != nil && err != errShort {
		return nil, err
	}
	c.left.streams.Add(1)
	return &mischievousStream{strings.NewReader(c.text), c}, nil
}

type mischievousStream struct {
	r *strings.Reader
	c *mischievousContent
}

func (s *mischievousStream) Read(p []byte) (int, error) {
	switch err := s.c.m.step("content"); err {
	case nil:
		return s.r.Read(p)
	case errShort:
		return s.r.Read(p[:1])
	default:
		return 0, err
	}
}

func (s *mischievousStream) Close() error {
	s.c.left.streams.Add(-1)
	return s.c.m.step("content")
}

// trace is one whose functions go wrong.
func (m *mischief) trace() *smtpclient.Trace {
	return &smtpclient.Trace{
		Start: func(context.Context, smtpclient.Event) { m.step("hook Trace.Start") },
		Done:  func(context.Context, smtpclient.Event) { m.step("hook Trace.Done") },
		Line:  func(context.Context, string) { m.step("hook Trace.Line") },
	}
}

// hookAll sets every hook of a client.
func (w *world) hookAll(m *mischief) {
	c := &w.client
	c.Resolver = m.resolver(w.dns)
	c.Cache = m.cache()
	c.Limiter = m.limiter(w)
	c.TLS = m.policy()
	c.TLSResults = mischievousRecorder{m}
	c.Routing.Provider = func(host string) string { m.step("hook Routing.Provider"); return host }
	c.Source = func(context.Context, smtpclient.SourceQuery) (*smtpclient.Dialer, error) {
		return nil, m.step("Source")
	}
	c.Classify = func(_ smtpclient.Attempt, s smtpclient.Status) smtpclient.Status {
		m.step("hook Classify")
		return s
	}
	c.Dialer.TLSConfig = m.tlsConfig()
	c.Dialer.Quirks = func(smtpclient.Target) (q smtpclient.Quirks) { m.step("hook Quirks"); return q }
	c.Dialer.Filters = &smtpclient.Filters{
		Header:  func(smtpclient.HeaderField) (k smtpclient.Check) { m.step("hook Filters.Header"); return k },
		Body:    func(string) (k smtpclient.Check) { m.step("hook Filters.Body"); return k },
		Address: func(string) string { m.step("hook Filters.Address"); return "" },
		Reply:   func(line string) string { m.step("hook Filters.Reply"); return line },
		Status:  func(smtpclient.Outcome) (s smtpclient.StatusText) { m.step("hook Filters.Status"); return s },
	}
}

type mischievousResolver struct {
	dns resolve.Static
	m   *mischief
}

func (m *mischief) resolver(dns resolve.Static) resolve.Resolver { return mischievousResolver{dns, m} }

func (r mischievousResolver) Lookup(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
	if err := r.m.step("resolver"); err != nil {
		return resolve.Answer{}, err
	}
	return r.dns.Lookup(ctx, q)
}

type mischievousCache struct {
	cache.Memory
	m *mischief
}

func (m *mischief) cache() cache.Cache { return &mischievousCache{m: m} }

func (c *mischievousCache) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if err := c.m.step("cache"); err != nil {
		return nil, false, err
	}
	return c.Memory.Get(ctx, key)
}

func (c *mischievousCache) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := c.m.step("cache"); err != nil {
		return err
	}
	return c.Memory.Set(ctx, key, value, ttl)
}

func (c *mischievousCache) Delete(ctx context.Context, key string) error {
	if err := c.m.step("cache"); err != nil {
		return err
	}
	return c.Memory.Delete(ctx, key)
}

type mischievousPolicy struct{ m *mischief }

func (m *mischief) policy() tlspolicy.Source { return mischievousPolicy{m} }

func (p mischievousPolicy) Decide(context.Context, tlspolicy.Query) (tlspolicy.Policy, error) {
	return tlspolicy.Policy{Level: tlspolicy.Encrypt}, p.m.step("policy")
}

type mischievousRecorder struct{ m *mischief }

func (r mischievousRecorder) Record(context.Context, tlspolicy.Result) { r.m.step("hook TLSResults") }

type mischievousLimiter struct {
	m    *mischief
	left *remains
}

func (m *mischief) limiter(*world) smtpclient.Limiter { return mischievousLimiter{m, m.left} }

func (l mischievousLimiter) Acquire(context.Context, smtpclient.Use) (smtpclient.Lease, error) {
	if err := l.m.step("limiter"); err != nil {
		return nil, err
	}
	l.left.leases.Add(1)
	return &mischievousLease{limiter: l}, nil
}

type mischievousLease struct {
	limiter  mischievousLimiter
	released atomic.Bool
}

func (l *mischievousLease) Report(smtpclient.Feedback) { l.limiter.m.step("hook Lease.Report") }

func (l *mischievousLease) Release() {
	if l.released.CompareAndSwap(false, true) {
		l.limiter.left.leases.Add(-1)
	}
	l.limiter.m.step("hook Lease.Release")
}

// tlsConfig has the hooks of crypto/tls.
func (m *mischief) tlsConfig() *tls.Config {
	return &tls.Config{
		VerifyConnection: func(tls.ConnectionState) error { return m.step("tls verify") },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &tls.Certificate{}, m.step("tls certificate")
		},
		ClientSessionCache: mischievousTickets{m, tls.NewLRUClientSessionCache(10)},
	}
}

type mischievousTickets struct {
	m *mischief
	tls.ClientSessionCache
}

func (c mischievousTickets) Get(key string) (*tls.ClientSessionState, bool) {
	c.m.step("hook ClientSessionCache.Get")
	return c.ClientSessionCache.Get(key)
}

func (c mischievousTickets) Put(key string, cs *tls.ClientSessionState) {
	c.m.step("hook ClientSessionCache.Put")
	c.ClientSessionCache.Put(key, cs)
}

// credentials are ann's, shown by a mechanism that goes wrong.
func (m *mischief) credentials() smtpclient.Credentials {
	return mischievousCredentials{m, &smtpclient.Credential{User: "ann", Password: thePassword,
		SASL: func(mechanism string, _ *tls.ConnectionState) (sasl.Client, error) {
			if mechanism != "LOGIN" {
				return nil, m.step("sasl")
			}
			return &mischievousSASL{m, sasl.NewLoginClient("ann", thePassword)}, m.step("sasl")
		}}}
}

type mischievousCredentials struct {
	m *mischief
	*smtpclient.Credential
}

func (c mischievousCredentials) Lookup(ctx context.Context, q smtpclient.CredentialQuery) (*smtpclient.Credential, error) {
	if err := c.m.step("credentials"); err != nil {
		return nil, err
	}
	return c.Credential, nil
}

type mischievousSASL struct {
	m *mischief
	sasl.Client
}

func (s *mischievousSASL) Start() (string, []byte, error) {
	name, initial, err := s.Client.Start()
	return name, initial, errors.Join(err, s.m.step("sasl"))
}

func (s *mischievousSASL) Next(challenge []byte) ([]byte, error) {
	response, err := s.Client.Next(challenge)
	return response, errors.Join(err, s.m.step("sasl"))
}

// bothAt makes a domain with one exchanger at several addresses, a server at each.
func (w *world) bothAt(domain string, addrs ...string) {
	w.domain(domain, nil, addrs...)
	for _, addr := range addrs {
		w.net[addr+":25"] = &smtptest.Server{Extensions: pipelined, Wire: roomy}
	}
}
