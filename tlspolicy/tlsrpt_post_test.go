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
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/tlspolicy"
)

// receiver is the web server of report.example, and a Poster that finds it.
type receiver struct {
	poster  tlspolicy.Poster
	dns     resolve.Static
	shown   tls.Certificate
	mu      sync.Mutex
	answer  http.HandlerFunc
	got     []postedReport
	dialled []string
}

type postedReport struct {
	method, path, media string
	body                []byte
}

func withReceiver(t *testing.T, test func(t *testing.T, w *receiver)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		root := newIssuer(t, nil, "root")
		w := &receiver{dns: resolve.Static{
			{Name: "report.example", Type: resolve.TypeA}: {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.80")}},
		}, answer: func(http.ResponseWriter, *http.Request) {}}
		w.shown = root.leaf(t, "report.example").tls()
		listener := memoryListener{make(chan net.Conn), make(chan struct{})}
		w.poster = tlspolicy.Poster{Resolver: w.dns, Roots: root.pool(), DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			w.dialled = append(w.dialled, addr)
			ours, theirs := net.Pipe()
			select {
			case listener.conns <- theirs:
				return ours, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}}
		server := &http.Server{Handler: w, ErrorLog: log.New(io.Discard, "", 0)}
		done := make(chan struct{})
		go func() {
			defer close(done)
			server.Serve(tls.NewListener(listener, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &w.shown, nil }}))
		}()
		defer func() {
			time.Sleep(time.Hour) // handlers go on for a while
			server.Close()
			<-done
		}()
		test(t, w)
	})
}

func (w *receiver) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	w.got = append(w.got, postedReport{r.Method, r.URL.RequestURI(), r.Header.Get("Content-Type"), body})
	w.mu.Unlock()
	w.answer(rw, r)
}

func (w *receiver) received() []postedReport {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.got)
}

// aReport is a report about one failure.
func aReport(t *testing.T) tlspolicy.Report {
	c := newCollector(nil, "")
	c.Record(t.Context(), bad("example.net", "certificate-expired"))
	return today(t, c)["example.net"]
}

func TestPost(t *testing.T) {
	withReceiver(t, func(t *testing.T, w *receiver) {
		r := aReport(t)
		w.answer = func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusCreated) }
		if err := w.poster.Post(t.Context(), r, "https://report.example/v1?to=us"); err != nil {
			t.Fatal(err)
		}
		got := w.received()
		if len(got) != 1 || fmt.Sprint(w.dialled) != "[192.0.2.80:443]" {
			t.Fatalf("%d posts to %v", len(got), w.dialled)
		}
		if got := got[0]; got.method != "POST" || got.path != "/v1?to=us" || got.media != "application/tlsrpt+gzip" || string(unzip(t, got.body).JSON) != string(r.JSON) {
			t.Errorf("%+v", got)
		}
	})
}

// What a domain publishes leads to no other port, no other scheme, no machine of ours,
// and no time or memory above the bounds.
func TestPostFails(t *testing.T) {
	tests := map[string]struct {
		change func(t *testing.T, w *receiver)
		uri    string
		posts  int
		want   string
	}{
		"refused":       {func(_ *testing.T, w *receiver) { w.answer = http.NotFound }, "", 1, "404"},
		"redirected":    {func(_ *testing.T, w *receiver) { w.answer = redirect }, "", 1, "307"},
		"certificate":   {func(t *testing.T, w *receiver) { w.shown = newIssuer(t, nil, "other").leaf(t, "report.example").tls() }, "", 0, "certificate"},
		"private":       {at("10.0.0.1"), "", 0, "no address of report.example can be used"},
		"loopback":      {at("::ffff:127.0.0.1"), "", 0, "no address of report.example can be used"},
		"no name":       {nil, "https://absent.example/", 0, "no address"},
		"plain":         {nil, "http://report.example/", 0, "is not https"},
		"port":          {nil, "https://report.example:8443/", 0, "port 443"},
		"address":       {nil, "https://192.0.2.80/", 0, "host name"},
		"no URI":        {nil, "%", 0, "invalid URL"},
		"never answers": {func(_ *testing.T, w *receiver) { w.answer = hang }, "", 1, "deadline exceeded"},
		"never ends":    {func(_ *testing.T, w *receiver) { w.answer = endless }, "", 1, ""},
		"own client":    {func(_ *testing.T, w *receiver) { w.poster.Client = &http.Client{Transport: plaintext{}} }, "", 0, "not verified"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			withReceiver(t, func(t *testing.T, w *receiver) {
				if tt.change != nil {
					tt.change(t, w)
				}
				if tt.uri == "" {
					tt.uri = "https://report.example/"
				}
				begin := time.Now()
				err := w.poster.Post(t.Context(), aReport(t), tt.uri)
				if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %q", err, tt.want)
				}
				if took, posts := time.Since(begin), len(w.received()); took > time.Minute || posts != tt.posts {
					t.Errorf("%d posts within %v, want %d", posts, took, tt.posts)
				}
			})
		})
	}
}

func at(addr string) func(*testing.T, *receiver) {
	return func(_ *testing.T, w *receiver) {
		w.dns[resolve.Question{Name: "report.example", Type: resolve.TypeA}] = resolve.Answer{Addrs: []netip.Addr{netip.MustParseAddr(addr)}}
	}
}

func redirect(rw http.ResponseWriter, r *http.Request) {
	http.Redirect(rw, r, "https://report.example/elsewhere", http.StatusTemporaryRedirect)
}

func hang(rw http.ResponseWriter, r *http.Request) { time.Sleep(10 * time.Minute) }

func endless(rw http.ResponseWriter, r *http.Request) {
	for {
		if _, err := rw.Write(make([]byte, 1<<10)); err != nil {
			return
		}
	}
}

// plaintext answers without TLS.
type plaintext struct{}

func (plaintext) RoundTrip(r *http.Request) (*http.Response, error) {
	io.Copy(io.Discard, r.Body)
	return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
}

// A Reporter posts where a domain says so, beside the mail, and again where that failed.
func TestReporterPosts(t *testing.T) {
	withReceiver(t, func(t *testing.T, w *receiver) {
		o, c := &outbox{}, newCollector(nil, "")
		w.dns[resolve.Question{Name: "_smtp._tls.example.net", Type: resolve.TypeTXT}] = resolve.Answer{
			TXT: []string{"v=TLSRPTv1; rua=https://report.example/a,mailto:tlsrpt@example.net,https://report.example/b"}}
		c.Resolver = w.dns
		c.Record(t.Context(), good("example.net"))
		failures := 2
		w.answer = func(rw http.ResponseWriter, r *http.Request) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if r.URL.Path == "/b" && failures > 0 {
				failures--
				rw.WriteHeader(http.StatusServiceUnavailable)
			}
		}
		r := o.reporter(c)
		r.Poster = w.poster
		r.Poster.Resolver = nil // that of the Collector
		runs(t, r, 3*aDay)
		paths := make(map[string]int)
		for _, p := range w.received() {
			paths[p.path]++
		}
		if len(o.mails) != 1 || len(w.received()) != 4 || paths["/a"] != 1 || paths["/b"] != 3 {
			t.Errorf("%d mails, posts %v: %q", len(o.mails), paths, o.tries)
		}
	})
}
