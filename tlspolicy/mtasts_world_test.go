package tlspolicy_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/tlspolicy"
)

// stsWorld is the domain example.net with its DNS and its policy host, a real
// HTTPS server in memory, in fake time. All may change while a test goes on.
type stsWorld struct {
	t     *testing.T
	cache *cache.Memory
	sts   *tlspolicy.MTASTS
	root  *issued

	mu      sync.Mutex // guards what follows
	txt     []string   // of _mta-sts.example.net
	noTXT   error      // of that lookup, in place of an answer
	slowTXT time.Duration
	addrs   []netip.Addr // of mta-sts.example.net
	answer  http.HandlerFunc
	shown   tls.Certificate
	oldTLS  bool // TLS 1.1 at most
	asked   int  // TXT lookups
	silent  int  // so many of the next connections never come about
	mute    bool // connections come about, and nothing more
	dialled []string
	fetched []*http.Request
}

// enforced is a policy as it is mostly published.
const enforced = "version: STSv1\r\nmode: enforce\r\nmx: mx10.example.net\r\nmx: *.backup.example.net\r\nmax_age: 604800\r\n"

func policyText(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, text)
	}
}

// inSTSWorld runs a test in a bubble where example.net publishes enforced with
// the id 1.
func inSTSWorld(t *testing.T, test func(t *testing.T, w *stsWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &stsWorld{t: t, cache: &cache.Memory{}, root: newIssuer(t, nil, "root")}
		w.txt, w.answer = []string{"v=STSv1; id=1;"}, policyText(enforced)
		w.addrs = []netip.Addr{netip.MustParseAddr("192.0.2.80")}
		w.shown = w.root.leaf(t, "mta-sts.example.net").tls()
		listener := memoryListener{make(chan net.Conn), make(chan struct{})}
		w.sts = &tlspolicy.MTASTS{Roots: w.root.pool(), DialContext: w.dialer(listener)}
		server := &http.Server{Handler: w, ErrorLog: log.New(io.Discard, "", 0)}
		done := make(chan struct{})
		go func() {
			defer close(done)
			server.Serve(tls.NewListener(listener, &tls.Config{GetCertificate: w.certificate, MinVersion: tls.VersionTLS10, GetConfigForClient: w.version}))
		}()
		defer func() {
			// Handlers go on for a while, and net.Pipe holds up the alerts of
			// connections that are closed.
			time.Sleep(time.Hour)
			server.Close()
			<-done
		}()
		test(t, w)
	})
}

// set changes the world.
func (w *stsWorld) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *stsWorld) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return &w.shown, nil
}

// version gives a server that is too old another configuration.
func (w *stsWorld) version(*tls.ClientHelloInfo) (*tls.Config, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.oldTLS {
		return nil, nil
	}
	return &tls.Config{Certificates: []tls.Certificate{w.shown}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, nil
}

func (w *stsWorld) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	w.fetched = append(w.fetched, r)
	answer := w.answer
	w.mu.Unlock()
	answer(rw, r)
}

func (w *stsWorld) dialer(l memoryListener) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, addr string) (net.Conn, error) {
		silent := false
		w.set(func() {
			w.dialled = append(w.dialled, addr)
			silent = w.silent > 0
			w.silent--
		})
		if silent {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		ours, theirs := net.Pipe()
		if w.mute {
			return ours, nil
		}
		select {
		case l.conns <- theirs:
			return ours, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Lookup implements resolve.Resolver.
func (w *stsWorld) Lookup(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
	w.mu.Lock()
	txt, err, slow, addrs := w.txt, w.noTXT, w.slowTXT, w.addrs
	if q.Type == resolve.TypeTXT {
		w.asked++
	}
	w.mu.Unlock()
	switch q {
	case resolve.Question{Name: "_mta-sts.example.net", Type: resolve.TypeTXT}:
		select {
		case <-time.After(slow):
			return resolve.Answer{TXT: txt}, err
		case <-ctx.Done():
			return resolve.Answer{}, ctx.Err()
		}
	case resolve.Question{Name: "mta-sts.example.net", Type: resolve.TypeA}:
		return resolve.Answer{Addrs: addrs}, nil
	}
	return resolve.Answer{NoName: true}, nil
}

func (w *stsWorld) query(host string) tlspolicy.Query {
	route := &resolve.Route{NextHop: resolve.NextHop{Name: "example.net"}}
	return tlspolicy.Query{Route: route, Host: resolve.Host{Name: host, Port: 25}, Resolver: w, Cache: w.cache}
}

// wants decides for a host and checks level and error: "" is none, anything else
// words of it.
func (w *stsWorld) wants(host string, level tlspolicy.Level, fails string) tlspolicy.Policy {
	w.t.Helper()
	p, err := w.sts.Decide(w.t.Context(), w.query(host))
	if p.Level != level || (err == nil) != (fails == "") || err != nil && !strings.Contains(err.Error(), fails) {
		w.t.Errorf("%s: level %q, error %v; want %q, %q", host, p.Level, err, level, fails)
	}
	return p
}

// enforces checks that the policy enforced is in force.
func (w *stsWorld) enforces() {
	w.t.Helper()
	w.wants("mx10.example.net", tlspolicy.Verify, "")
	w.wants("mx.example.com", 0, "does not allow the host mx.example.com")
}

// absent checks that there is no policy.
func (w *stsWorld) absent() {
	w.t.Helper()
	w.wants("mx10.example.net", 0, "")
	w.wants("mx.example.com", 0, "")
}

// fails checks that there is a policy that cannot be had, and is reported as such;
// "": that there is none.
func (w *stsWorld) fails(result string) {
	w.t.Helper()
	if result == "" {
		w.absent()
		return
	}
	for _, host := range []string{"mx10.example.net", "mx.example.com"} {
		p := w.wants(host, tlspolicy.May, "")
		if got := p.Published; got.Failure != result || got.Reason == "" || got.Type != "sts" || got.Domain != "example.net" {
			w.t.Errorf("published %+v, want a failure %s", got, result)
		}
	}
}

// counts checks how often the policy host was asked so far.
func (w *stsWorld) counts(fetches int) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.fetched) != fetches {
		w.t.Errorf("the policy was fetched %d times, want %d", len(w.fetched), fetches)
	}
}

// counted checks how often the TXT record was asked for so far.
func (w *stsWorld) counted(lookups int) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asked != lookups {
		w.t.Errorf("the TXT record was looked up %d times, want %d", w.asked, lookups)
	}
}

// memoryListener takes the connections of a dialer in the same process.
type memoryListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, fmt.Errorf("closed: %w", net.ErrClosed)
	}
}

func (l memoryListener) Close() error   { close(l.closed); return nil }
func (l memoryListener) Addr() net.Addr { return &net.TCPAddr{} }
