package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/postrider/postrider/cache"
)

// ErrNotValidated says that no answer is validated by DNSSEC, so that DANE is off
// for every domain.
var ErrNotValidated = errors.New("no DNS answer is validated by DNSSEC")

// Validator is a Resolver that can tell whether its answers are validated.
type Validator interface {
	// Validates is nil as long as they are. An error that wraps ErrNotValidated
	// says that they are not, and what to do; with any other nobody knows. It may be
	// called from many goroutines and as often as one likes, and returns when ctx
	// ends.
	Validates(ctx context.Context) error
}

// Validates asks a Resolver whether its answers are validated by DNSSEC, as a health
// check does: without that DANE is off, and nothing else shows it. Cached, Filter,
// Override and First are as good as the Resolver behind them; nil is Default(). The
// error is that of Validator, and wraps errors.ErrUnsupported for a Resolver that is
// none.
func Validates(ctx context.Context, r Resolver) error {
	switch r := r.(type) {
	case nil:
		return ofMachine.Validates(ctx)
	case Validator:
		return r.Validates(ctx)
	case *Cached:
		return Validates(ctx, r.Resolver)
	case Filter:
		return Validates(ctx, r.Resolver)
	case Override:
		return Validates(ctx, r.Resolver)
	case First:
		for _, one := range r {
			if err := Validates(ctx, one); !errors.Is(err, errors.ErrUnsupported) {
				return err
			}
		}
	}
	return fmt.Errorf("a %T cannot tell whether its answers are validated by DNSSEC: %w", r, errors.ErrUnsupported)
}

const (
	validTime = time.Minute     // how long what is known of validation holds
	probeTime = 5 * time.Second // for the answer to DNS.Probe
)

// validation is what a DNS knows about its servers' work with DNSSEC.
type validation struct {
	once   sync.Once
	flight cache.Loader[finding] // keeps nothing: it puts those together who ask at once

	mu   sync.Mutex
	till time.Time // how long last holds; guarded by mu, as last
	last finding
}

// finding is what Validates says.
type finding struct{ err error }

// Validates implements Validator. An answer of the last minute that was Secure is
// enough. Without one DNS.Probe is asked for, and what comes of it holds for a minute.
func (d *DNS) Validates(ctx context.Context) error {
	if d.Search != 0 {
		return fmt.Errorf("%w: DNS.Search completes names, and what a name means is then up to others; set it to zero, and write names in full", ErrNotValidated)
	}
	if v, ok := d.validation.known(); ok {
		return v.err
	}
	d.validation.once.Do(func() { d.validation.flight.Load = d.probe })
	v, err := d.validation.flight.Get(ctx, "")
	if err != nil {
		return err // of ctx
	}
	return v.err
}

func (v *validation) known() (finding, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.last, time.Now().Before(v.till)
}

func (v *validation) note(last finding) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last, v.till = last, time.Now().Add(validTime)
}

// probe asks for DNS.Probe.
func (d *DNS) probe(ctx context.Context, _ string) (finding, cache.Life, error) {
	if v, ok := d.validation.known(); ok {
		return v, cache.Life{}, nil // found out since the caller looked
	}
	limited, cancel := context.WithTimeoutCause(ctx, probeTime, errTotal)
	defer cancel()
	v := finding{d.tryProbe(limited)}
	if ctx.Err() == nil { // otherwise nobody waited for the answer
		d.validation.note(v)
	}
	return v, cache.Life{}, nil
}

// typeNS is that of the root, which is signed.
const typeNS Type = 2

func (d *DNS) tryProbe(ctx context.Context) error {
	conf, err := d.config()
	q := Question{canonicalName(d.Probe.Name), cmp.Or(d.Probe.Type, typeNS)}
	if err != nil {
		return &Error{Question: q, Err: err}
	}
	r, err := d.ask(ctx, conf, q)
	switch {
	case err != nil:
		return err
	case r.secure:
		return nil
	case r.msg.AuthenticatedData:
		return fmt.Errorf("%w: the name server %s says that it does, but is not among those that are believed; add it to DNS.TrustAD, or the option trust-ad to /etc/resolv.conf, if it and the way to it are safe", ErrNotValidated, r.server)
	}
	return fmt.Errorf("%w: the name server %s did not validate %s %v; turn on DNSSEC validation there (it needs a trust anchor), or ask a name server that validates",
		ErrNotValidated, r.server, quote(q.Name+"."), q.Type)
}
