package tlspolicy_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/tlspolicy"
)

// judged is a resolver with an opinion on its own answers.
type judged struct {
	*tlsaDNS
	validates error
	asked     int
}

func (j *judged) Validates(context.Context) error {
	j.asked++
	return j.validates
}

// D16: where the resolver has stopped to validate, every host looks as if it had no
// DANE. That is told, and at DANEOnly the error says what to do; it is no reason to
// hold back mail at DANE.
func TestDANED16ResolverDoesNotValidate(t *testing.T) {
	off := errors.Join(errors.New("turn on validation at the name server"), resolve.ErrNotValidated)
	for _, tt := range []struct {
		name      string
		validates error
		set       func(d *tlsaDNS, q *tlspolicy.Query)
		asked     bool
		told      bool
	}{
		{"nothing is validated", off, func(d *tlsaDNS, q *tlspolicy.Query) { q.Host.Secure, q.Route.Secure = false, false }, true, true},
		{"the route is from before", off, func(d *tlsaDNS, q *tlspolicy.Query) { d.tlsa("mx.example.net", false, ee) }, true, true},
		{"an unsigned host", nil, func(d *tlsaDNS, q *tlspolicy.Query) { q.Host.Secure = false }, true, false},
		{"nobody knows", errors.New("SERVFAIL"), func(d *tlsaDNS, q *tlspolicy.Query) { q.Host.Secure = false }, true, false},
		{"a host with DANE", off, func(d *tlsaDNS, q *tlspolicy.Query) { d.tlsa("mx.example.net", true, ee) }, false, false},
		{"records that cannot be used", off, func(d *tlsaDNS, q *tlspolicy.Query) { d.tlsa("mx.example.net", true, unusable) }, false, false},
		{"an address", off, func(d *tlsaDNS, q *tlspolicy.Query) { q.Host.Name = "192.0.2.10" }, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, level := range []tlspolicy.Level{tlspolicy.DANE, tlspolicy.DANEOnly} {
				r := &judged{tlsaDNS: &tlsaDNS{Static: resolve.Static{}}, validates: tt.validates}
				var told []error
				q := tlspolicy.Query{
					Route: &resolve.Route{NextHop: resolve.NextHop{Name: "example.net"}, Secure: true},
					Host:  resolve.Host{Name: "mx.example.net", Port: 25, Secure: true}, Resolver: r,
					NoDANE: func(err error) { told = append(told, err) },
				}
				tt.set(r.tlsaDNS, &q)
				_, err := tlspolicy.Sources{level, tlspolicy.May}.Decide(t.Context(), q)
				if (r.asked > 0) != tt.asked || r.asked > 1 {
					t.Errorf("%v: the resolver was asked %d times", level, r.asked)
				}
				if (len(told) == 1) != tt.told || tt.told && !errors.Is(told[0], resolve.ErrNotValidated) {
					t.Errorf("%v: told %v", level, told)
				}
				switch {
				case level == tlspolicy.DANE && err != nil:
					t.Errorf("dane: %v", err)
				case level == tlspolicy.DANEOnly && tt.told && (!errors.Is(err, resolve.ErrNotValidated) ||
					!strings.Contains(err.Error(), "turn on validation") || tlspolicy.FailureType(err) != "dane-required"):
					t.Errorf("dane-only: %v", err)
				case level == tlspolicy.DANEOnly && !tt.told && errors.Is(err, resolve.ErrNotValidated):
					t.Errorf("dane-only: %v", err)
				}
				q.NoDANE = nil
				_, _ = level.Decide(t.Context(), q) // nobody has to be told
			}
		})
	}
}
