package smtpclient

import (
	"strconv"

	"github.com/postrider/postrider/resolve"
)

// FallbackFor says who goes to Client.Fallback when all other next hops are
// through.
type FallbackFor uint8

const (
	// FallbackUnanswered is who was answered by no host: the domain or its hosts
	// were not found, or nobody greeted us there. A host that refuses or defers
	// has answered, and so has one that greets and cannot be made secure.
	FallbackUnanswered FallbackFor = iota
	// FallbackDeferred is besides everybody who is Deferred so far, or cannot be
	// served for want of an extension. It is what Postfix's smtp_fallback_relay
	// does.
	FallbackDeferred
)

// String gives "unanswered" or "deferred".
func (f FallbackFor) String() string {
	switch f {
	case FallbackUnanswered:
		return "unanswered"
	case FallbackDeferred:
		return "deferred"
	}
	return "FallbackFor(" + strconv.Itoa(int(f)) + ")"
}

// forFallback are those of rs for whom the fallback is.
func (d *delivery) forFallback(rs []*recipient) []*recipient {
	open := stillOpen(rs)
	if d.client.FallbackFor == FallbackDeferred {
		return open
	}
	var unanswered []*recipient
	for _, r := range open {
		if !r.answered() {
			unanswered = append(unanswered, r)
		}
	}
	return unanswered
}

// answered tells that a host has answered about the recipient.
func (r *recipient) answered() bool {
	if r.tried && r.outcome.answered() {
		return true
	}
	for i := range r.outcome.Earlier {
		if r.outcome.Earlier[i].answered() {
			return true
		}
	}
	return false
}

// answered tells that the host of an attempt has said anything: whatever comes
// behind the greeting has a greeting before it.
func (a *Attempt) answered() bool { return a.Reply.Code != 0 || a.Stage > StageGreeting }

// loopError is a server that has our own name. It is a resolve.ErrLoop, found one
// step later.
type loopError struct{}

func (loopError) Error() string        { return "mail loops back: the server has our own name" }
func (loopError) Is(target error) bool { return target == resolve.ErrLoop }
