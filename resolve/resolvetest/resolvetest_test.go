package resolvetest

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
)

func good(srv *dnstest.Server) resolve.Resolver {
	return &resolve.DNS{Servers: []string{"127.0.0.1:53"}, DialContext: srv.DialContext}
}

func TestGoodResolverPasses(t *testing.T) {
	Test(t, func(_ *testing.T, srv *dnstest.Server) resolve.Resolver { return good(srv) })
}

// Each faulty resolver breaks one rule, and the check of that rule must see it.
func TestChecksSeeFaults(t *testing.T) {
	// after changes every answer.
	after := func(change func(q resolve.Question, a *resolve.Answer, err *error)) func(resolve.Resolver) resolve.Resolver {
		return func(r resolve.Resolver) resolve.Resolver {
			return resolve.Func(func(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
				a, err := r.Lookup(ctx, q)
				change(q, &a, &err)
				return a, err
			})
		}
	}
	for _, f := range []struct {
		fault  string
		check  func(context.Context, *scene) error
		faulty func(resolve.Resolver) resolve.Resolver
	}{
		{"one caller at a time", manyGoroutines, func(r resolve.Resolver) resolve.Resolver { return &busy{Resolver: r} }},
		{"deaf to a ctx that has ended", endsWithContext, func(r resolve.Resolver) resolve.Resolver {
			return resolve.Func(func(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
				if ctx.Err() != nil {
					return resolve.Answer{}, nil
				}
				return r.Lookup(ctx, q)
			})
		}},
		{"error of its own when ctx ends", endsWithContext, after(func(_ resolve.Question, _ *resolve.Answer, err *error) {
			if *err != nil {
				*err = errors.New("it did not work")
			}
		})},
		{"upper case", names, after(func(_ resolve.Question, a *resolve.Answer, _ *error) {
			for i := range a.MX {
				a.MX[i].Host = strings.ToUpper(a.MX[i].Host)
			}
		})},
		{"final dot", names, after(func(_ resolve.Question, a *resolve.Answer, _ *error) { a.Canonical += "." })},
		{"search list", names, func(r resolve.Resolver) resolve.Resolver {
			return resolve.Func(func(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
				if !strings.Contains(q.Name, ".") {
					q.Name += ".example.org"
				}
				return r.Lookup(ctx, q)
			})
		}},
		{"nothing is an error", nothing, after(func(_ resolve.Question, a *resolve.Answer, err *error) {
			if a.NoName {
				*err = errors.New("no such name")
			}
		})},
		{"no record is no name", nothing, after(func(_ resolve.Question, a *resolve.Answer, _ *error) { a.NoName = true })},
		{"errors are nothing", errorsAreErrors, after(func(_ resolve.Question, _ *resolve.Answer, err *error) { *err = nil })},
		{"a type that it does not know is nothing", everyType, after(func(q resolve.Question, a *resolve.Answer, _ *error) {
			if q.Type == resolve.TypeTLSA {
				*a = resolve.Answer{}
			}
		})},
		{"knows no addresses", everyType, after(func(q resolve.Question, a *resolve.Answer, err *error) {
			if q.Type == resolve.TypeAAAA {
				*a, *err = resolve.Answer{}, errors.ErrUnsupported
			}
		})},
		{"aliases not followed", aliases, after(func(q resolve.Question, a *resolve.Answer, _ *error) {
			if q.Name == "twice.example.org" {
				*a = resolve.Answer{}
			}
		})},
		{"Canonical is the question", aliases, after(func(q resolve.Question, a *resolve.Answer, _ *error) { a.Canonical = q.Name })},
		{"all is secure", secure, after(func(_ resolve.Question, a *resolve.Answer, _ *error) { a.Secure = true })},
		{"nothing is secure", secure, after(func(_ resolve.Question, a *resolve.Answer, _ *error) { a.Secure = len(a.Addrs) == 0 })},
		{"one buffer for all answers", answersStay, func(r resolve.Resolver) resolve.Resolver {
			buffer := make([]netip.Addr, 10)
			return after(func(_ resolve.Question, a *resolve.Answer, _ *error) { a.Addrs = buffer[:copy(buffer, a.Addrs)] })(r)
		}},
	} {
		t.Run(f.fault, func(t *testing.T) {
			s := newScene()
			defer s.server.Close()
			s.Resolver = f.faulty(good(s.server))
			if f.check(t.Context(), s) == nil {
				t.Error("the check passed")
			}
		})
	}
}

// busy refuses a call while another is under way.
type busy struct {
	resolve.Resolver
	mu     sync.Mutex
	second chan struct{} // closed when a second caller has come; nil before the first
	passed bool
}

// Lookup holds the first caller until a second one has been turned away, so that
// the fault does not depend on who runs when.
func (b *busy) Lookup(ctx context.Context, q resolve.Question) (resolve.Answer, error) {
	b.mu.Lock()
	if b.second != nil {
		if !b.passed {
			b.passed = true
			close(b.second)
		}
		b.mu.Unlock()
		return resolve.Answer{}, errors.New("busy")
	}
	b.second = make(chan struct{})
	b.mu.Unlock()
	select {
	case <-b.second:
	case <-ctx.Done():
	}
	return b.Resolver.Lookup(ctx, q)
}
