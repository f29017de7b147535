package smtpclient

import (
	"slices"
	"time"
)

// recipient is one recipient on its way: what is written of it, and whether a
// server has decided yet.
type recipient struct {
	outcome *Outcome
	to      *Recipient // as given
	path    string     // wire form of the forward path, without angle brackets
	domain  string     // where it goes by itself; "" for postmaster
	twin    *recipient // an earlier one with the same path, whose outcome this one shares
	utf8    bool       // path is not ASCII
	open    bool       // no server has decided yet, and another host may
	pending bool       // the transaction in progress has not settled it
	tried   bool       // outcome holds an attempt
	handed  bool       // the server was given NOTIFY: success is told by it
	excess  *Attempt   // the server took no more recipients in one transaction; nil: it did

	classify func(Attempt, Status) Status // Client.Classify
	judged   bool                         // it was asked about the attempt in outcome
}

// settle records what an attempt came to. After Deferred the recipient stays
// open for the next host; every other status is final, unless Client.Classify has
// it otherwise.
func (r *recipient) settle(status Status, a *Attempt) { r.settleAt(status, a, time.Now()) }

// settleAt is settle for many at one time.
func (r *recipient) settleAt(status Status, a *Attempt, now time.Time) {
	o := r.outcome
	if r.tried {
		o.keepEarlier()
	}
	r.tried, r.pending, r.judged = true, false, false
	o.Status, o.Attempt, o.Action, o.At = status, a, actions[status], now
	if status == Failed {
		r.judge()
	}
	r.open = o.Status == Deferred
}

// keepEarlier makes the deciding attempt one of those before.
//
//go:noinline
func (o *Outcome) keepEarlier() { o.Earlier = append(o.Earlier, *o.Attempt) }

// actions are the words of RFC 3464, Section 2.3.3. A message that SMTP has taken
// was relayed: whether it reaches a mailbox is not known here.
var actions = [...]string{Unknown: "delayed", Delivered: "relayed", Deferred: "delayed", Failed: "failed"}

// share copies the outcome of the twin.
func (r *recipient) share() {
	address := r.outcome.Address
	*r.outcome = *r.twin.outcome
	r.outcome.Address = address
	r.outcome.Earlier = slices.Clone(r.twin.outcome.Earlier)
	r.handed = r.twin.handed
}

// stillOpen are those of rs whom another host may take; rs itself if all are.
func stillOpen(rs []*recipient) []*recipient {
	if !slices.ContainsFunc(rs, (*recipient).decided) {
		return rs[:len(rs):len(rs)]
	}
	var open []*recipient
	for _, r := range rs {
		if r.open {
			open = append(open, r)
		}
	}
	return open
}

func (r *recipient) decided() bool { return !r.open }

// anyOpen tells whether there is one of them.
func anyOpen(rs []*recipient) bool { return slices.ContainsFunc(rs, (*recipient).isOpen) }

func (r *recipient) isOpen() bool { return r.open }

// openAgain lets another host take those who have failed as far as this one goes.
func openAgain(rs []*recipient) {
	for _, r := range rs {
		r.open = true
	}
}
