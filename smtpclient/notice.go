package smtpclient

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/postrider/postrider/internal/address"
	"github.com/postrider/postrider/tlspolicy"
)

// Notice makes delivery status notifications (RFC 3464), the reports that tell a
// sender what became of his message. Zero but for ReportingMTA tells what is
// owed now, which after most calls is that some recipients failed.
type Notice struct {
	ReportingMTA string // the host name that reports, as in EHLO; needed
	// From is a mailbox that somebody reads. "": postmaster at ReportingMTA.
	From string
	// Events are what to tell of, as far as NOTIFY of each recipient allows it.
	// Zero: Outcome.Owed of each. NotifyDelay tells of the Deferred, once a
	// message has waited long enough for that.
	Events Notify
	// Expired: the caller does not try any more, so that the Deferred count as
	// failed. Unknown ones never do: they may have been delivered.
	Expired bool
	// RetryUntil is when the caller will give up. Zero: it is not told.
	RetryUntil time.Time
	// Text replaces our words to the reader; the recipients are listed below it.
	Text string
	// MaxReturn is the largest message in bytes that is given back whole; of larger
	// ones only the header is. Zero: 50,000, as Postfix's bounce_size_limit.
	MaxReturn int64
}

// ErrNoNotice is the error of Notice.Compose where nothing is to be told: nobody
// is owed anything, the sender is the null reverse path, or the message is itself a
// TLS report, to which no notice may come back (RFC 8460, Section 5.3).
var ErrNoNotice = errors.New("there is nothing to tell the sender, or nobody to tell it to")

// Compose makes a notice about the message that was sent with env and content, of
// which report says what became. It is sent like any other message, to the
// sender, from the null reverse path:
//
//	envelope, notice, err := smtpclient.Notice{ReportingMTA: "mail.example.org"}.Compose(ctx, sent, report, content)
//	if err == nil {
//		_, err = client.Deliver(ctx, envelope, notice)
//	}
//
// The header of the message is given back; the message itself only where somebody
// failed, RET is not HDRS, REQUIRETLS was not asked for (RFC 8689, Section 5), and
// it is no longer than MaxReturn. content may be nil: then nothing is given back.
//
// The error is ErrNoNotice (errors.Is), a fault of the input that names the field,
// or that of content; a panic of content is one, too.
func (n Notice) Compose(ctx context.Context, env Envelope, report Report, original Content) (_ Envelope, _ Content, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	if err := n.check(env, report); err != nil {
		return Envelope{}, nil, err
	}
	told := n.told(env, report)
	if env.From == "<>" || len(told) == 0 {
		return Envelope{}, nil, ErrNoNotice
	}
	back, err := n.giveBack(ctx, &env, told, original)
	if err != nil {
		return Envelope{}, nil, err
	}
	notice := Envelope{
		From: "<>",
		To:   []Recipient{{Address: env.From, Notify: NotifyNever}}, // RFC 3461, Section 6.1
	}
	if env.TLS == tlspolicy.EveryHop {
		notice.TLS = tlspolicy.EveryHop // RFC 8689, Section 5
	}
	boundary := rand.Text()
	var b bytes.Buffer
	n.header(&b, env.From, told, boundary)
	if back != nil && back.eightBit {
		b.WriteString(eightBitField)
	}
	fmt.Fprintf(&b, "\r\n--%s\r\n", boundary)
	n.words(&b, told)
	fmt.Fprintf(&b, "\r\n--%s\r\n", boundary)
	n.status(&b, &env, told)
	if back == nil {
		fmt.Fprintf(&b, "\r\n--%s--\r\n", boundary)
		return notice, Bytes(b.Bytes()), nil
	}
	fmt.Fprintf(&b, "\r\n--%s\r\n%s\r\n", boundary, back.header)
	tail := fmt.Sprintf("\r\n--%s--\r\n", boundary)
	if back.whole == nil {
		b.Write(back.part)
		b.WriteString(tail)
		return notice, Bytes(b.Bytes()), nil
	}
	return notice, &enclosed{head: b.Bytes(), whole: back.whole, tail: tail}, nil
}

func (n Notice) check(env Envelope, report Report) error {
	if _, err := address.HeloName(n.ReportingMTA); err != nil {
		return fmt.Errorf("Notice.ReportingMTA: %w", err)
	}
	if n.From != "" {
		if _, err := address.Parse(n.From); err != nil {
			return fmt.Errorf("Notice.From: %w", err)
		}
	}
	if env.From != "<>" {
		if _, err := address.Parse(env.From); err != nil {
			return fmt.Errorf("Envelope.From: %w", err)
		}
	}
	if !graphic(env.EnvID) {
		return errors.New("Envelope.EnvID: it must be printable ASCII")
	}
	if len(report.Outcomes) != len(env.To) {
		return fmt.Errorf("Report.Outcomes: there are %d for the %d recipients of the envelope", len(report.Outcomes), len(env.To))
	}
	return nil
}

// tidings is what a notice says of one recipient.
type tidings struct {
	to      *Recipient
	outcome *Outcome
	event   Notify
	action  string // RFC 3464, Section 2.3.3
}

// told are those of whom the notice tells.
func (n Notice) told(env Envelope, report Report) []tidings {
	var told []tidings
	for i := range report.Outcomes {
		o, to := &report.Outcomes[i], &env.To[i]
		event := o.Owed
		if n.Events != 0 || n.Expired && o.Status == Deferred {
			event = n.event(o, to)
		}
		if event != 0 {
			told = append(told, tidings{to, o, event, action(event, o)})
		}
	}
	return told
}

// event is what may be told of one recipient (RFC 3461, Section 4.1): without
// NOTIFY, failures and delays.
func (n Notice) event(o *Outcome, to *Recipient) Notify {
	wanted := to.Notify
	if wanted == 0 {
		wanted = NotifyFailure | NotifyDelay
	}
	if n.Events != 0 {
		wanted &= n.Events
	}
	switch {
	case o.Status == Delivered:
		return o.Owed & wanted
	case o.Status == Failed || o.Status == Deferred && n.Expired:
		return wanted & NotifyFailure
	case o.Status == Deferred:
		return wanted & NotifyDelay
	}
	return 0
}

func action(event Notify, o *Outcome) string {
	switch event {
	case NotifyFailure:
		return "failed"
	case NotifyDelay:
		return "delayed"
	}
	return o.Action
}

// owed is what the caller must tell the sender about one recipient now. That
// somebody was delivered is told by the server, if it took over NOTIFY (RFC 3461,
// Sections 5.2.1 and 5.2.2).
func (l *letter) owed(r *recipient) Notify {
	notify := r.to.Notify
	switch {
	case l.env.From == "<>" || l.env.Verify != VerifyNo:
		return 0
	case r.outcome.Status == Failed && notify == 0:
		return NotifyFailure
	case r.outcome.Status == Failed:
		return notify & NotifyFailure
	case r.outcome.Status == Delivered && !r.handed:
		return notify & NotifySuccess
	}
	return 0
}
