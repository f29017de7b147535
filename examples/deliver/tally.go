package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/postrider/postrider/smtpclient"
)

// The exit codes, named and numbered as in sysexits.h where that has a word
// for it.
const (
	exitDelivered = 0
	exitUsage     = 64 // EX_USAGE
	exitInput     = 65 // EX_DATAERR
	exitFailed    = 69 // EX_UNAVAILABLE
	exitDeferred  = 75 // EX_TEMPFAIL
	exitUnknown   = 76 // EX_PROTOCOL
)

// tally counts messages, and recipients by what became of them.
type tally struct {
	messages                                      int
	delivered, deferred, failed, unknown, refused int // refused: failed as input
}

// add counts one call of Deliver. A call that had no recipient counts by its
// error.
func (t *tally) add(r smtpclient.Report, err error) {
	t.messages++
	for _, o := range r.Outcomes {
		t.count(o.Status, o.Stage)
	}
	if len(r.Outcomes) > 0 || err == nil {
		return
	}
	var e *smtpclient.Error
	if errors.As(err, &e) {
		t.count(e.Status, e.Stage)
	} else {
		t.unknown++
	}
}

func (t *tally) count(status smtpclient.Status, stage smtpclient.Stage) {
	switch {
	case status == smtpclient.Delivered:
		t.delivered++
	case status == smtpclient.Deferred:
		t.deferred++
	case status == smtpclient.Failed && stage == smtpclient.StageInput:
		t.refused++
	case status == smtpclient.Failed:
		t.failed++
	default:
		t.unknown++
	}
}

// exitCode is that of the gravest outcome. Unknown comes first: who only looks
// at the code must not send such a message again without thought.
func (t *tally) exitCode() int {
	switch {
	case t.unknown > 0:
		return exitUnknown
	case t.deferred > 0:
		return exitDeferred
	case t.refused > 0:
		return exitInput
	case t.failed > 0:
		return exitFailed
	}
	return exitDelivered
}

func (t *tally) summary(took time.Duration) string {
	return fmt.Sprintf("%d messages in %.3f s, %.1f messages/s; recipients: %d delivered, %d deferred, %d failed, %d refused as input, %d unknown",
		t.messages, took.Seconds(), float64(t.messages)/max(took, 1).Seconds(),
		t.delivered, t.deferred, t.failed, t.refused, t.unknown)
}
