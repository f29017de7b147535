package smtpclient_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// An error of a Resolver never bounces mail, whatever it wraps: what does not
// exist is an Answer (resolve.Resolver, rules 3 and 4).
func TestResolverErrorNeverFails(t *testing.T) {
	aOfMX := resolve.Question{Name: "mx10.example.net", Type: resolve.TypeA}
	for name, err := range map[string]error{
		"not found": resolve.ErrNotFound,
		"no domain": fmt.Errorf("my resolver: %w", resolve.ErrNoDomain),
		"null MX":   resolve.ErrNullMX,
		"forbidden": resolve.ErrForbidden,
		"several":   errors.Join(errNoAnwer, resolve.ErrNotFound),
	} {
		for _, q := range []resolve.Question{mxOfNet, aOfMX} {
			t.Run(name+"/"+q.Type.String(), func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					w.mx(10, &smtptest.Server{})
					w.client.Resolver = overrides{w.dns, map[resolve.Question]func() (resolve.Answer, error){
						q: func() (resolve.Answer, error) { return resolve.Answer{}, err },
					}}
					report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
					expect(t, report, "bob@example.net deferred resolve 4.4.3")
				})
			})
		}
	}
}
