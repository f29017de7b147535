package smtpclient

import (
	"context"
	"errors"
	"fmt"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/tlspolicy"
)

// credential finds what is to be shown to host; nil without an error is nothing.
func (w *way) credential(ctx context.Context, host *resolve.Host) (c *Credential, failure *Error) {
	if w.client.Auth == nil {
		return nil, nil
	}
	took, err := staged(ctx, StageAuth, host.Name, func(*Event) (err error) {
		defer func() {
			if p := recover(); p != nil {
				c, err = nil, fmt.Errorf("Client.Auth.Lookup: %w", panicked(p))
			}
		}()
		c, err = w.client.Auth.Lookup(ctx, CredentialQuery{
			From: w.letter.env.From, NextHop: w.hop, Host: host.Name, Configured: w.configured,
		})
		return err
	})
	w.before[StageAuth] += took
	if ctx.Err() != nil {
		err = cancelled(ctx)
	}
	if err != nil {
		return nil, w.deferred(StageAuth, host.Name, "4.3.0", err)
	}
	if c == nil {
		return nil, nil
	}
	if err := c.fault(); err != nil {
		return nil, w.deferred(StageInput, host.Name, "4.3.5", err)
	}
	return c, nil
}

// levelFor is the level where none was set. Somebody who can answer for the DNS
// must not get a credential.
func levelFor(c *Credential) tlspolicy.Level {
	if c == nil {
		return tlspolicy.May
	}
	return tlspolicy.Secure
}

// dialWith is dial with what the credential needs. A token that is refused may have
// run out: its source is asked once more, and a new token goes over a new
// connection.
func (d *Dialer) dialWith(ctx context.Context, t Target, name string, before StageTimes) (*Session, *Error) {
	if t.Credential == nil || t.Credential.Token == nil {
		return d.dial(ctx, t, name, before)
	}
	var refused *Error
	var token, old string
	for range 2 {
		at := Attempt{Stage: StageAuth, Host: t.Host, Addr: t.Addr}
		took, err := stagedAt(ctx, StageAuth, &at, func(*Event) (err error) {
			token, err = t.Credential.token(ctx)
			return err
		})
		before[StageAuth] += took
		switch {
		case refused != nil && (err != nil || token == old):
			return nil, refused
		case ctx.Err() != nil:
			at.Enhanced, at.Cause, at.Times = "4.3.0", cancelled(ctx), before
			return nil, &Error{Status: Deferred, Attempt: at}
		case err != nil:
			at.Enhanced, at.Cause, at.Times = "4.3.0", err, before
			return nil, &Error{Status: Deferred, Attempt: at}
		}
		shown := token
		t.token, old = func() string { return shown }, token
		s, failure := d.dial(ctx, t, name, before)
		if failure == nil || !errors.Is(failure, AuthBadCredentials) {
			return s, failure
		}
		refused, before = failure, failure.Times
	}
	return nil, refused
}
