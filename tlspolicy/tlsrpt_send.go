package tlspolicy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Reporter sends the reports of a Collector, day after day:
//
//	reporter := &tlspolicy.Reporter{Collector: collector, Sign: sign, Send: send}
//	go reporter.Run(ctx)
//
// Sign and Send are the caller's, since the key is his, and the client, too: docs/tlsrpt.md
// and examples/tlsrpt have both.
type Reporter struct {
	Collector *Collector // needed
	// Sign adds a DKIM-Signature of the domain of Collector.Contact to a message, which
	// has CRLF, and gives it back. A message without one is not sent. nil: reports are
	// only posted.
	Sign func(ctx context.Context, message []byte) ([]byte, error)
	// Send brings a message to an address, from the given envelope sender, whatever TLS says: by a
	// Client at level May, with Envelope.TLS NotRequired, which keeps it from being
	// counted. An error with a method Temporary that says false, as smtpclient.Error has,
	// is for good. Several goroutines call it at the same time. nil: reports are only
	// posted.
	Send func(ctx context.Context, from, to string, message []byte) error
	// Poster posts to https addresses. If it has no Resolver, Collector.Resolver is asked.
	Poster Poster
	// Tried is told of each try to send a report, and of what keeps reports from being
	// made, for which r may be empty; err is nil where it has arrived. Several goroutines
	// call it at the same time. nil: nobody is told.
	Tried func(r Report, uri string, err error)
	// Parallel is how many reports are sent at the same time, at most 256. Zero: 8.
	Parallel int
	// Spread is within which time after the end of the day, and a quarter of an hour, the
	// first try is made, so that not all who report do it at once (RFC 8460, Section
	// 4.1). Zero: 4 hours.
	Spread time.Duration
}

// The times of reports.
const (
	othersSave  = 3 * saveEvery    // what other processes have counted is stored by then
	usualSpread = 4 * time.Hour    // as in RFC 8460, Section 4.1
	firstRetry  = 5 * time.Minute  // then twice as long each time
	tryFor      = 24 * time.Hour   // RFC 8460, Section 5.5
	sendTime    = 15 * time.Minute // for one mail
)

// Run saves what is counted, as Collector.Keep does, and sends the reports of each day
// when it is over, those of yesterday if they were not sent yet. What cannot be
// delivered is tried again after 5 minutes, 10, 20 and so on, for 24 hours, each
// address by itself. It returns when ctx ends, with the error of the last Save, or at
// once with a fault of the configuration. What it was sending then it sends when it
// runs again, if the Collector has a Cache; a report that arrives twice has the same
// ID.
func (r *Reporter) Run(ctx context.Context) error {
	if err := r.fault(); err != nil {
		return err
	}
	var wg sync.WaitGroup
	var saved error
	wg.Go(func() { saved = r.Collector.Keep(ctx) })
	for d := dayOf(time.Now()) - 1; ; d++ {
		due := (d + 1).begin().Add(othersSave + rand.N(cmp.Or(r.Spread, usualSpread)))
		if !sleep(ctx, time.Until(due)) {
			break
		}
		wg.Go(func() { _ = r.sendDay(ctx, d) }) // Tried is told of what is wrong
	}
	wg.Wait()
	return saved
}

// SendDay sends the reports of the day that has t in it, in UTC, now, and tries again as
// Run does. It is for those who have a clock of their own, as cron, in place of Run;
// all processes must have saved what they counted. A day that is not over is sent as
// far as it has come, and the rest of it is in no report. A day whose reports were sent
// is nothing to do. The error is a fault of the configuration, that of ctx, or that
// some reports have not arrived; Tried has heard which.
func (r *Reporter) SendDay(ctx context.Context, t time.Time) error {
	if err := r.fault(); err != nil {
		return err
	}
	return r.sendDay(ctx, dayOf(t))
}

func (r *Reporter) fault() error {
	switch {
	case r.Collector == nil:
		return errors.New("Reporter.Collector: it is needed")
	case (r.Sign == nil) != (r.Send == nil):
		return errors.New("Reporter.Sign and Send: one is not enough, as unsigned reports are ignored")
	case r.Spread < 0 || r.Parallel < 0:
		return errors.New("Reporter.Spread and Parallel: must not be negative")
	}
	return r.Collector.fault()
}

// remains is what is left to do for a bucket.
type remains struct {
	begun bool
	// uris are those to be tried again, by domain; none are given for a domain that
	// could not be asked.
	uris map[string][]string
	// refused: not all that is done has arrived.
	refused bool
}

func (m *remains) done() bool { return m.begun && len(m.uris) == 0 }

var errNotAll = errors.New("some reports have not arrived; see Reporter.Tried")

// sendDay sends the reports of a day, until they have arrived or it is too late.
func (r *Reporter) sendDay(ctx context.Context, d day) error {
	c := r.Collector
	c.init()
	if c.isDone(ctx, d) {
		return nil
	}
	c.closeUntil(d + 1)
	var left [partsOfDay]remains
	until := time.Now().Add(tryFor)
	for wait := firstRetry; ; wait *= 2 {
		more := r.round(ctx, d, &left)
		if pause := wait + rand.N(wait/10); !more || time.Now().Add(pause).After(until) || !sleep(ctx, pause) {
			break
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var err error
	for i := range left {
		if !left[i].done() {
			err = errNotAll
			r.told(Report{}, "", c.forget(ctx, i, d))
		}
		if left[i].refused {
			err = errNotAll
		}
	}
	r.told(Report{}, "", c.setDone(ctx, d))
	return err
}

// round makes one try for all that is left, and tells whether something still is.
// Whoever is slow holds up only his bucket.
func (r *Reporter) round(ctx context.Context, d day, left *[partsOfDay]remains) (more bool) {
	var wg sync.WaitGroup
	var next atomic.Int64
	for range cmp.Or(r.Parallel, 8) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(left) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if !left[i].done() {
					r.sendBucket(ctx, i, d, &left[i])
				}
			}
		})
	}
	wg.Wait()
	return slices.ContainsFunc(left[:], func(m remains) bool { return !m.done() })
}

// sendBucket makes one try for what is left of a bucket.
func (r *Reporter) sendBucket(ctx context.Context, i int, d day, left *remains) {
	var only map[string][]string
	if left.begun {
		only = left.uris
	}
	reports, unknown, err := r.Collector.reports(ctx, i, d, only)
	r.told(Report{}, "", err)
	if err != nil && len(unknown) == 0 {
		return
	}
	next := make(map[string][]string)
	for _, domain := range unknown {
		next[domain] = only[domain]
	}
	for _, report := range reports {
		for _, uri := range report.Addresses {
			if again := only[report.Domain]; len(again) > 0 && !slices.Contains(again, uri) {
				continue
			}
			if ctx.Err() != nil {
				return
			}
			switch err := r.try(ctx, report, uri); {
			case err == nil:
			case isFinal(uri, err):
				left.refused = true
			default:
				next[report.Domain] = append(next[report.Domain], uri)
			}
		}
	}
	left.begun, left.uris = true, next
	if left.done() {
		r.told(Report{}, "", r.Collector.forget(ctx, i, d))
	}
}

// try sends a report to one address.
func (r *Reporter) try(ctx context.Context, report Report, uri string) error {
	err := r.send(ctx, report, uri)
	r.told(report, uri, err)
	return err
}

// isFinal tells that there is no use in trying again.
func isFinal(uri string, err error) bool {
	var temporary interface{ Temporary() bool }
	return strings.HasPrefix(uri, "mailto:") && errors.As(err, &temporary) && !temporary.Temporary()
}

func (r *Reporter) send(ctx context.Context, report Report, uri string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a hook of the Reporter: %v", p)
		}
	}()
	to, isMail := strings.CutPrefix(uri, "mailto:")
	if !isMail {
		poster := r.Poster
		if poster.Resolver == nil {
			poster.Resolver = r.Collector.Resolver
		}
		return poster.Post(ctx, report, uri)
	}
	if r.Send == nil {
		return errNoMail
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	to, _ = parseMailto(to)
	message, err := report.Message(to)
	if err != nil {
		return err
	}
	if message, err = r.Sign(ctx, message); err != nil {
		return fmt.Errorf("Reporter.Sign: %w", err)
	}
	if err := checkSigned(message, report.Submitter); err != nil {
		return err
	}
	return r.Send(ctx, report.Contact, to, message)
}

// errNoMail is for good.
var errNoMail error = noMailError{}

type noMailError struct{}

func (noMailError) Error() string {
	return "the Reporter has neither Sign nor Send, so that no mail can be sent"
}
func (noMailError) Temporary() bool { return false }

// told passes on what happened, where there is something to tell.
func (r *Reporter) told(report Report, uri string, err error) {
	if r.Tried == nil || err == nil && uri == "" {
		return
	}
	defer func() { recover() }()
	r.Tried(report, uri, err)
}

func doneKey(d day) string { return fmt.Sprintf("tlsrpt1:%v:done", d) }

// isDone tells whether the reports of a day were sent, before a restart or now.
func (c *Collector) isDone(ctx context.Context, d day) bool {
	if c.Cache == nil {
		return false // what was sent is not in memory any more
	}
	_, ok, err := c.get(ctx, doneKey(d))
	return err == nil && ok
}

func (c *Collector) setDone(ctx context.Context, d day) error {
	if c.Cache == nil {
		return nil
	}
	return c.set(ctx, doneKey(d), []byte{1})
}
