package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/tlspolicy"
)

// ladder dials t as its policy asks, and at May goes on where TLS fails: RFC 7435
// has opportunistic security not get in the way of delivery. Nothing here makes a
// channel that is below any other level.
func (d *Dialer) ladder(ctx context.Context, t Target, name string, at Attempt) (*Session, *Error) {
	if broken := t.brokenTLS(ctx); broken != nil {
		at.TLS.Fallback = broken
		t.Policy.Level = tlspolicy.None
	}
	s, err := d.open(ctx, t, name, at)
	if isEarly(err) && ctx.Err() == nil {
		t.late = true
		at.Times = err.Times
		s, err = d.open(ctx, t, name, at)
	}
	if isStale(err) && ctx.Err() == nil {
		t.fresh = true
		at.Times = err.Times
		s, err = d.open(ctx, t, name, at)
	}
	if err != nil && ctx.Err() == nil && droppedAtHello(err) && t.Protocol == SMTP && !t.Policy.Level.Mandatory() {
		t.helo = true
		at.Times = err.Times
		s, err = d.open(ctx, t, name, at)
	}
	if err == nil || !t.opportunistic() || t.Policy.NoPlaintextRetry || ctx.Err() != nil {
		return s, err
	}
	broken, ok := errors.AsType[*handshakeError](err.Cause)
	if !ok {
		return s, err
	}
	t.rememberBroken(ctx, broken)
	at.TLS.Fallback = broken
	at.TLS.Failure = err.TLS.Failure
	at.Times = err.Times
	t.Policy.Level = tlspolicy.None
	return d.open(ctx, t, name, at)
}

// opportunistic tells that mail may go in plaintext where TLS fails: never where a
// credential is at stake.
func (t *Target) opportunistic() bool {
	return t.Policy.Level == tlspolicy.May && !t.Policy.Implicit && t.Credential == nil
}

// brokenFor is how long a host whose handshake failed is not asked for TLS.
const brokenFor = time.Hour

// brokenKey is where the failure of a host is kept; "" if it is not.
func (t *Target) brokenKey() string {
	if t.memory == nil || t.memory == cache.None {
		return ""
	}
	key := strings.ToLower("tls-broken/" + t.Host + "/" + t.Addr)
	if len(key) > 250 || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return key
}

// brokenTLS is why TLS is not tried with this host now, or nil. It is asked at
// May only: nothing that is remembered lowers any other level.
func (t *Target) brokenTLS(ctx context.Context) error {
	key := t.brokenKey()
	if key == "" || !t.opportunistic() || t.Policy.NoPlaintextRetry {
		return nil
	}
	why, ok, err := t.memory.Get(ctx, key)
	if err != nil || !ok {
		return nil
	}
	return fmt.Errorf("TLS failed with this host within the last hour: %s", printable(why))
}

// rememberBroken keeps the failure, unless the message had asked for less than
// the policy: what it was content with is not for others.
func (t *Target) rememberBroken(ctx context.Context, why error) {
	if key := t.brokenKey(); key != "" {
		// An error of the cache is a handshake that is tried again.
		_ = t.memory.Set(ctx, key, []byte(printable([]byte(why.Error()))), brokenFor)
	}
}

// printable makes a foreign text fit for a log: short, and without control
// characters.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, string(b[:min(len(b), 200)]))
}
