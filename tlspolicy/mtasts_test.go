package tlspolicy_test

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/tlspolicy"
)

// What enforce asks of a host: its own name in the certificate, from an authority
// that is trusted.
func TestMTASTSEnforce(t *testing.T) {
	inSTSWorld(t, func(t *testing.T, w *stsWorld) {
		p := w.wants("mx10.example.net", tlspolicy.Verify, "")
		if !slices.Equal(p.Names, []string{"mx10.example.net"}) || p.ServerName != "mx10.example.net" || p.Roots != w.sts.Roots {
			t.Errorf("names %q, server name %q, roots %v", p.Names, p.ServerName, p.Roots)
		}
		want := tlspolicy.Published{Type: "sts", Domain: "example.net",
			Lines: []string{"version: STSv1", "mode: enforce", "mx: mx10.example.net", "mx: *.backup.example.net", "max_age: 604800"},
			Hosts: []string{"mx10.example.net", "*.backup.example.net"}}
		if fmt.Sprint(p.Published) != fmt.Sprint(want) {
			t.Errorf("published %+v, want %+v", p.Published, want)
		}
		r := w.fetched[0]
		if r.Method != "GET" || r.Host != "mta-sts.example.net" || r.URL.Path != "/.well-known/mta-sts.txt" {
			t.Errorf("fetched by %s %s%s", r.Method, r.Host, r.URL)
		}
		for _, header := range []string{"Accept-Encoding", "Cookie"} { // S9
			if r.Header.Get(header) != "" {
				t.Errorf("the request had %s: %s", header, r.Header.Get(header))
			}
		}
		if !slices.Equal(w.dialled, []string{"192.0.2.80:443"}) || r.TLS.ServerName != "mta-sts.example.net" {
			t.Errorf("dialled %q with the name %q", w.dialled, r.TLS.ServerName)
		}
	})
}

// Faults of the record and of the policy host: a domain without a policy has none
// then, and one whose policy is known keeps it. The policy host counts for nothing
// where there is no record.
func TestMTASTSFaults(t *testing.T) {
	for name, spoil := range map[string]func(w *stsWorld){
		"S1 no TXT":             func(w *stsWorld) { w.txt = nil },
		"S2 TXT lookup fails":   func(w *stsWorld) { w.noTXT = errors.New("SERVFAIL") },
		"S2 TXT never answered": func(w *stsWorld) { w.slowTXT = time.Hour },
		"S3 two records":        func(w *stsWorld) { w.txt = []string{"v=STSv1; id=2;", "v=STSv1; id=3;"} },
		"S3 record invalid":     func(w *stsWorld) { w.txt = []string{"v=STSv1; id=two-and-a-half;"} },
		"S5 404":                func(w *stsWorld) { w.answer = http.NotFound },
		"S5 500":                status(500),
		"S5 204 without body":   status(204),
		"S5 reset":              func(w *stsWorld) { w.answer = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) } },
		"S5 body cut short": func(w *stsWorld) {
			w.answer = func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Content-Length", "10000")
				policyText(enforced)(rw, r)
			}
		},
		"S5 no address":       func(w *stsWorld) { w.addrs = nil },
		"S5 no TLS handshake": func(w *stsWorld) { w.mute = true },
		"S5 no connection":    func(w *stsWorld) { w.silent = 1000 },
		"S5 never answers": func(w *stsWorld) {
			w.answer = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		},
		"S6 redirect": func(w *stsWorld) {
			w.answer = func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/policy.txt" {
					http.Redirect(rw, r, "https://mta-sts.example.net/policy.txt", http.StatusMovedPermanently)
					return
				}
				policyText(enforced)(rw, r)
			}
		},
		"S7 certificate for another name": func(w *stsWorld) { w.shown = w.root.leaf(w.t, "www.example.net").tls() },
		"S7 certificate of a stranger":    func(w *stsWorld) { w.shown = newIssuer(w.t, nil, "x").leaf(w.t, "mta-sts.example.net").tls() },
		"S7 certificate expired": func(w *stsWorld) {
			w.shown = issue(w.t, w.root, func(c *x509.Certificate) {
				c.DNSNames, c.NotAfter = []string{"mta-sts.example.net"}, longAgo.AddDate(1, 0, 0)
			}).tls()
		},
		"S7 name only in CN": func(w *stsWorld) {
			w.shown = issue(w.t, w.root, func(c *x509.Certificate) { c.Subject.CommonName = "mta-sts.example.net" }).tls()
		},
		"S7 no certificate": func(w *stsWorld) { w.shown = tls.Certificate{} },
		"S7 TLS 1.1 only":   func(w *stsWorld) { w.oldTLS = true },
		"S8 endless body": func(w *stsWorld) {
			w.answer = body(func(rw io.Writer) {
				for _, err := rw.Write([]byte(enforced)); err == nil; {
					_, err = rw.Write([]byte("x: y\r\n"))
				}
			})
		},
		"S8 too long by one": func(w *stsWorld) { w.answer = policyText(padded(64<<10 + 1)) },
		"S8 drip": func(w *stsWorld) {
			w.answer = body(func(rw io.Writer) {
				for i := range enforced {
					rw.Write([]byte(enforced[i : i+1]))
					rw.(http.Flusher).Flush()
					time.Sleep(time.Second)
				}
			})
		},
		"S8 gzip": func(w *stsWorld) {
			w.answer = func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Type", "text/plain")
				rw.Header().Set("Content-Encoding", "gzip")
				z := gzip.NewWriter(rw)
				io.WriteString(z, enforced)
				z.Close()
			}
		},
		"S8 html": func(w *stsWorld) {
			w.answer = func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Type", "text/html")
				io.WriteString(rw, enforced)
			}
		},
		"S8 header bomb": func(w *stsWorld) {
			w.answer = func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("X", strings.Repeat("x", 100<<10))
				policyText(enforced)(rw, r)
			}
		},
		"S10 invalid policy": func(w *stsWorld) { w.answer = policyText("version: STSv1\nmode: enforce\nmax_age: 1000\n") },
	} {
		t.Run(name, func(t *testing.T) {
			inSTSWorld(t, func(t *testing.T, w *stsWorld) {
				w.set(func() { spoil(w) })
				w.fails(resultOf(name))
			})
			inSTSWorld(t, func(t *testing.T, w *stsWorld) {
				w.enforces()
				w.set(func() {
					w.txt = []string{"v=STSv1; id=2;"} // S17: the id has changed
					spoil(w)
					if strings.Contains(name, "TXT") || strings.Contains(name, "record") {
						w.answer = http.NotFound // or the policy would be renewed, see TestMTASTSRefresh
					}
				})
				for range 6 { // S18: until the policy ends
					time.Sleep(24 * time.Hour)
					w.enforces()
				}
				time.Sleep(24 * time.Hour)
				w.fails(resultOf(name)) // S19
			})
		})
	}
}

// resultOf is how a fault is reported (RFC 8460, Section 4.3.2.2). Where there is no
// record, there is nothing to report.
func resultOf(name string) string {
	row, what, _ := strings.Cut(name, " ")
	switch {
	case row == "S1" || row == "S2" || row == "S3":
		return ""
	case row == "S7" && what != "no certificate" && what != "TLS 1.1 only":
		return "sts-webpki-invalid"
	case row == "S10", what == "endless body", what == "too long by one", what == "gzip", what == "html":
		return "sts-policy-invalid"
	}
	return "sts-policy-fetch-error"
}

func status(code int) func(*stsWorld) {
	return func(w *stsWorld) {
		w.answer = func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "text/plain")
			rw.WriteHeader(code)
			if code != http.StatusNoContent {
				io.WriteString(rw, enforced)
			}
		}
	}
}

func body(write func(io.Writer)) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/plain")
		write(rw)
	}
}

// padded is the policy enforced, made to have n bytes.
func padded(n int) string {
	return enforced + "x: " + strings.Repeat("y", n-len(enforced)-3)
}

func TestMTASTSLongestPolicy(t *testing.T) {
	inSTSWorld(t, func(t *testing.T, w *stsWorld) {
		w.set(func() { w.answer = policyText(padded(64 << 10)) })
		w.enforces()
	})
}

// S17, S24: what failed is not tried with every message, but again after a while.
func TestMTASTSTriesAgain(t *testing.T) {
	inSTSWorld(t, func(t *testing.T, w *stsWorld) {
		w.set(func() { w.answer = http.NotFound })
		w.fails("sts-policy-fetch-error")
		time.Sleep(5*time.Minute - time.Second)
		w.fails("sts-policy-fetch-error")
		w.counts(1)
		w.counted(1)
		time.Sleep(time.Minute + time.Second)
		w.set(func() { w.answer = policyText(enforced) })
		w.enforces()
		w.counts(2)
	})
}

// A domain without a policy is asked once in a while, and its policy host never.
func TestMTASTSAbsenceIsRemembered(t *testing.T) {
	inSTSWorld(t, func(t *testing.T, w *stsWorld) {
		w.set(func() { w.txt = nil })
		w.absent()
		time.Sleep(5*time.Minute - time.Second)
		w.absent()
		w.counted(1)
		w.set(func() { w.txt = []string{"v=STSv1; id=1;"} })
		time.Sleep(time.Minute + time.Second)
		w.enforces()
		w.counted(2)
		w.counts(1)
	})
}

// A changed id brings the new policy; the same id does not for a day.
func TestMTASTSRefresh(t *testing.T) {
	const testing1 = "version: STSv1\nmode: testing\nmx: mx10.example.net\nmax_age: 604800\n"
	inSTSWorld(t, func(t *testing.T, w *stsWorld) {
		w.enforces()
		w.set(func() { w.answer = policyText(testing1) })
		time.Sleep(23 * time.Hour)
		w.enforces() // the policy was swapped without a new id
		w.counts(1)
		w.set(func() { w.txt = []string{"v=STSv1; id=2;"} })
		time.Sleep(6 * time.Minute)
		w.wants("mx.example.com", tlspolicy.May, "")
		w.counts(2)
	})
	inSTSWorld(t, func(t *testing.T, w *stsWorld) {
		w.enforces()
		for range 30 { // S19: a policy that is renewed does not end, nor does it without its record
			w.set(func() { w.txt = nil })
			time.Sleep(24 * time.Hour)
			w.enforces()
		}
		w.counts(31)
		w.set(func() { w.answer = policyText(testing1) })
		time.Sleep(24 * time.Hour)
		w.wants("mx.example.com", tlspolicy.May, "")
	})
}

// A policy that lives for a day or less is renewed before it ends, so that a policy
// host which is away for some hours, or kept away, does not turn it off (S19).
func TestMTASTSRenewsShortPolicies(t *testing.T) {
	inSTSWorld(t, func(t *testing.T, w *stsWorld) {
		w.set(func() { w.answer = policyText(strings.Replace(enforced, "604800", "86400", 1)) })
		for range 23 {
			w.enforces()
			time.Sleep(time.Hour)
		}
		w.counts(2)
		w.set(func() { w.txt, w.answer = nil, http.NotFound })
		for range 12 {
			w.enforces()
			time.Sleep(time.Hour)
		}
		time.Sleep(2 * time.Hour)
		w.absent()
	})
}

// S13: no host fits until the domain has put its policy right.
func TestMTASTSNoHostFits(t *testing.T) {
	inSTSWorld(t, func(t *testing.T, w *stsWorld) {
		w.wants("new.example.net", 0, "does not allow the host new.example.net")
		w.set(func() {
			w.txt, w.answer = []string{"v=STSv1; id=2;"}, policyText(strings.Replace(enforced, "mx10", "new", 1))
		})
		time.Sleep(6 * time.Minute)
		w.wants("new.example.net", tlspolicy.Verify, "")
	})
}

// S16: mode none is as no policy, also after one that was enforced.
func TestMTASTSModeNone(t *testing.T) {
	inSTSWorld(t, func(t *testing.T, w *stsWorld) {
		w.enforces()
		w.set(func() {
			w.txt, w.answer = []string{"v=STSv1; id=2;"}, policyText("version: STSv1\nmode: none\nmax_age: 86400\n")
		})
		time.Sleep(6 * time.Minute)
		w.absent()
		w.set(func() { w.txt, w.answer = nil, http.NotFound })
		time.Sleep(48 * time.Hour)
		w.absent()
	})
}

// S15: mode testing leaves the level to the next Source, at least May, and is
// there for reports.
func TestMTASTSModeTesting(t *testing.T) {
	inSTSWorld(t, func(t *testing.T, w *stsWorld) {
		w.set(func() { w.answer = policyText(strings.Replace(enforced, "enforce", "testing", 1)) })
		for next, want := range map[tlspolicy.Level]tlspolicy.Level{
			0: tlspolicy.May, tlspolicy.May: tlspolicy.May, tlspolicy.Encrypt: tlspolicy.Encrypt, tlspolicy.Secure: tlspolicy.Secure,
		} {
			p, err := tlspolicy.Sources{w.sts, next}.Decide(t.Context(), w.query("mx.example.com"))
			if err != nil || p.Level != want || (p.Published.Type == "sts") == want.Authenticates() {
				t.Errorf("before level %q: %+v, %v; want level %v", next, p, err, want)
			}
		}
	})
}

// S23: a next hop that is configured as a host has no policy; one that is a domain
// has its own.
func TestMTASTSOnlyDomains(t *testing.T) {
	inSTSWorld(t, func(t *testing.T, w *stsWorld) {
		for _, hop := range []string{"[example.net]", "[192.0.2.10]", "unix:/run/lmtp"} {
			q := w.query("mx.example.com")
			q.Route.NextHop, _ = resolve.ParseNextHop(hop)
			if p, err := w.sts.Decide(t.Context(), q); err != nil || p.Level != 0 {
				t.Errorf("%s: %+v, %v", hop, p, err)
			}
		}
		w.counted(0)
		if p, err := w.sts.Decide(t.Context(), tlspolicy.Query{}); err != nil || p.Level != 0 {
			t.Errorf("without a route: %+v, %v", p, err)
		}
	})
}

// TLS-Required: no is not asked for a policy (RFC 8689).
func TestMTASTSNotRequired(t *testing.T) {
	inSTSWorld(t, func(t *testing.T, w *stsWorld) {
		q := w.query("mx.example.com")
		q.Message = tlspolicy.NotRequired
		if p, err := w.sts.Decide(t.Context(), q); err != nil || p.Level != 0 {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

// S24: all who come at the same time share one lookup and one fetch.
func TestMTASTSOneFlight(t *testing.T) {
	inSTSWorld(t, func(t *testing.T, w *stsWorld) {
		w.set(func() {
			w.answer = func(rw http.ResponseWriter, r *http.Request) {
				time.Sleep(time.Second)
				policyText(enforced)(rw, r)
			}
		})
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { w.wants("mx10.example.net", tlspolicy.Verify, "") })
		}
		wg.Wait()
		w.counts(1)
		w.counted(1)
	})
}

// Mail never waits long for a domain that does not answer, and not at all for
// another call that does.
func TestMTASTSDelaysLittle(t *testing.T) {
	inSTSWorld(t, func(t *testing.T, w *stsWorld) {
		start := time.Now()
		w.set(func() { w.slowTXT = time.Hour })
		w.absent()
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("waited %v for a TXT record", took)
		}
	})
	inSTSWorld(t, func(t *testing.T, w *stsWorld) {
		w.enforces()
		w.set(func() { w.slowTXT = time.Hour })
		time.Sleep(6 * time.Minute)
		go w.enforces()
		synctest.Wait()
		start := time.Now()
		w.enforces()
		if took := time.Since(start); took != 0 {
			t.Errorf("waited %v although a policy was at hand and another call was looking", took)
		}
		time.Sleep(time.Minute)
	})
}

// A call whose ctx ends leaves, and what it did not learn is not remembered.
func TestMTASTSCancel(t *testing.T) {
	inSTSWorld(t, func(t *testing.T, w *stsWorld) {
		w.set(func() { w.slowTXT = 2 * time.Second })
		w.sts.Cache = deafCache{w.cache}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if p, err := w.sts.Decide(ctx, w.query("mx10.example.net")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%+v, %v", p, err)
		}
		synctest.Wait() // what the load leaves behind is there now
		w.enforces()
	})
}

// deafCache does not hear that a call is over.
type deafCache struct{ *cache.Memory }

func (d deafCache) Set(_ context.Context, key string, value []byte, ttl time.Duration) error {
	return d.Memory.Set(context.Background(), key, value, ttl)
}

// S8, N14: a policy host on addresses that are nobody else's business is not
// connected to, unless that is allowed.
func TestMTASTSGuardsAddresses(t *testing.T) {
	for _, addr := range []string{"127.0.0.1", "0.0.0.0", "169.254.169.254", "10.1.2.3", "192.168.1.1", "224.0.0.1", "255.255.255.255",
		"::1", "::", "fe80::1", "fd00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
		"0.1.2.3", "::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::a9fe:a9fe", "::ffff:0:10.0.0.1", "2002:7f00:1::1", "2002:a00:1::1"} {
		inSTSWorld(t, func(t *testing.T, w *stsWorld) {
			w.set(func() { w.addrs = []netip.Addr{netip.MustParseAddr(addr)} })
			w.fails("sts-policy-fetch-error")
			if len(w.dialled) != 0 {
				t.Errorf("dialled %q", w.dialled)
			}
		})
		inSTSWorld(t, func(t *testing.T, w *stsWorld) {
			w.sts.Local = true
			w.set(func() { w.addrs = []netip.Addr{netip.MustParseAddr(addr)} })
			w.enforces()
		})
	}
}

// A policy host whose first addresses do not answer is reached by the next, within
// the time for all; and only some are tried.
func TestMTASTSAddresses(t *testing.T) {
	for silent, fails := range map[int]bool{1: false, 5: false, 6: true} {
		inSTSWorld(t, func(t *testing.T, w *stsWorld) {
			w.set(func() {
				w.silent, w.addrs = silent, nil
				for i := range 100 {
					w.addrs = append(w.addrs, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
				}
			})
			start := time.Now()
			if w.sts.Decide(t.Context(), w.query("mx10.example.net")); time.Since(start) > 15*time.Second {
				t.Errorf("%d addresses without an answer took %v", silent, time.Since(start))
			}
			if fails {
				w.fails("sts-policy-fetch-error")
			} else {
				w.enforces()
			}
			if len(w.dialled) > 6 {
				t.Errorf("dialled %q", w.dialled)
			}
		})
	}
}

// S22: a cache that fails, hangs or lies is as an empty one.
func TestMTASTSBadCache(t *testing.T) {
	for name, bad := range map[string]*badCache{
		"fails":  {err: errors.New("connection refused")},
		"hangs":  {hangs: true},
		"garble": {value: []byte("garbage")},
	} {
		t.Run(name, func(t *testing.T) {
			inSTSWorld(t, func(t *testing.T, w *stsWorld) {
				w.sts.Cache = bad
				start := time.Now()
				w.enforces()
				w.counts(2)
				if took := time.Since(start); took > 20*time.Second {
					t.Errorf("two decisions took %v", took)
				}
			})
		})
	}
}

// badCache gives what it is told to, whatever was set.
type badCache struct {
	value []byte
	err   error
	hangs bool
}

func (b *badCache) Get(ctx context.Context, _ string) ([]byte, bool, error) {
	if b.hangs {
		<-ctx.Done()
		return nil, false, ctx.Err()
	}
	return b.value, b.err == nil, b.err
}

func (b *badCache) Set(ctx context.Context, key string, _ []byte, _ time.Duration) error {
	_, _, err := b.Get(ctx, key)
	return err
}

func (b *badCache) Delete(ctx context.Context, key string) error { return b.Set(ctx, key, nil, 0) }

// What an emptied cache loses: a domain that was known is met as for the first
// time, and who can withhold its record then has no policy in the way.
func TestMTASTSEmptiedCache(t *testing.T) {
	inSTSWorld(t, func(t *testing.T, w *stsWorld) {
		w.enforces()
		w.set(func() { w.txt = nil })
		w.enforces()
		w.cache = &cache.Memory{}
		w.absent()
	})
}

// The cache outlives the Source.
func TestMTASTSPolicyOutlivesProcess(t *testing.T) {
	inSTSWorld(t, func(t *testing.T, w *stsWorld) {
		w.enforces()
		w.set(func() { w.txt, w.answer = nil, http.NotFound })
		w.sts = &tlspolicy.MTASTS{Roots: w.sts.Roots, DialContext: w.sts.DialContext}
		w.enforces()
		time.Sleep(6 * 24 * time.Hour)
		w.enforces()
	})
}

// S9: a client of one's own fetches, but without its cookies and redirects, and
// not without verifying.
func TestMTASTSOwnClient(t *testing.T) {
	own := func(w *stsWorld, config *tls.Config) *http.Client {
		dial := w.sts.DialContext
		w.sts.DialContext = nil
		return &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return nil },
			Transport:     &http.Transport{DialContext: dial, DisableKeepAlives: true, TLSClientConfig: config},
		}
	}
	inSTSWorld(t, func(t *testing.T, w *stsWorld) {
		w.sts.Client = own(w, &tls.Config{RootCAs: w.root.pool()})
		w.enforces()
		if !slices.Equal(w.dialled, []string{"mta-sts.example.net:443"}) {
			t.Errorf("dialled %q", w.dialled)
		}
	})
	inSTSWorld(t, func(t *testing.T, w *stsWorld) {
		w.sts.Client = own(w, &tls.Config{RootCAs: w.root.pool()})
		w.set(func() {
			w.answer = func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/x" {
					policyText(enforced)(rw, r)
					return
				}
				http.Redirect(rw, r, "/x", http.StatusFound)
			}
		})
		w.fails("sts-policy-fetch-error")
		w.counts(1)
	})
	inSTSWorld(t, func(t *testing.T, w *stsWorld) {
		w.sts.Client = own(w, &tls.Config{RootCAs: w.root.pool()})
		w.sts.Client.Jar, _ = cookiejar.New(nil)
		w.sts.Client.Jar.SetCookies(&url.URL{Scheme: "https", Host: "mta-sts.example.net"}, []*http.Cookie{{Name: "who", Value: "ann"}})
		w.enforces()
		if got := w.fetched[0].Header.Get("Cookie"); got != "" {
			t.Errorf("the request had the cookie %q", got)
		}
	})
	inSTSWorld(t, func(t *testing.T, w *stsWorld) {
		// Nothing is verified, but nobody says so.
		w.sts.Client = own(w, &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(tls.ConnectionState) error { return nil }})
		w.fails("sts-webpki-invalid")
	})
}
