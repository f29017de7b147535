package smtpclient

import (
	"bytes"
	"errors"
	"strconv"
	"time"

	"github.com/postrider/postrider/tlspolicy"
)

// Report says what became of a message: Outcomes[i] is for Envelope.To[i].
type Report struct {
	Outcomes []Outcome
	Start    time.Time     // when the call began
	Duration time.Duration // of the whole call
	Size     int64         // of the message, as SIZE has it (RFC 1870); zero if it was not read
}

// Outcome is what became of one recipient.
type Outcome struct {
	Address string // as given
	Status  Status
	// Attempt is the one that decided. Recipients whom one reply decided share it: do
	// not change it. It is nil only in an Outcome that a program made without one.
	*Attempt
	Action string    // delivered, relayed, failed or delayed (RFC 3464, Section 2.3.3)
	At     time.Time // when it was decided
	// Owed is what the sender must be told now (RFC 3461); see Notice. Zero:
	// nothing. NotifySuccess is owed where it was asked for and the server did not
	// take that over, NotifyFailure where it was not asked to leave it.
	Owed Notify
	// NotBefore is when to come back, where the Limiter has refused. Zero: it has not.
	NotBefore time.Time
	Earlier   []Attempt // those before the deciding one, in order
}

// Status is the verdict on one recipient.
type Status uint8

const (
	// Unknown: the end of the content may have reached the server, and no
	// reply that can be trusted came. The message may have been delivered.
	// Postrider never sends it again by itself; the caller decides.
	Unknown Status = iota
	// Delivered: the server took the message for this recipient.
	Delivered
	// Deferred: no server took the message, and trying later cannot
	// deliver it twice.
	Deferred
	// Failed: the message will not be taken; trying again makes no sense.
	Failed
)

var statusNames = [...]string{"unknown", "delivered", "deferred", "failed"}

// String gives "unknown", "delivered", "deferred" or "failed".
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return "Status(" + strconv.Itoa(int(s)) + ")"
}

// Attempt is what happened with one server, or before one was reached.
type Attempt struct {
	Stage    Stage  // the last that was entered
	Host     string // name of the server; "" if none was found yet
	Addr     string // "192.0.2.25:25", "unix:/path"; "" if none was dialled
	Reply    Reply  // the one that decided; zero if none did
	Cause    error  // what decided otherwise; nil if the reply did
	Enhanced string // RFC 3463: the server's code or ours; never empty once there is an outcome
	TLS      tlspolicy.State
	Login    string     // the identity that AUTH has proved; "": nobody
	Reused   int        // transactions on this connection before
	Times    StageTimes // how long each stage took
	Notes    []string   // what was done otherwise than asked, in words
	// Transcript is the dialogue up to here, as Trace.Line is told it, where
	// Dialer.Transcript asks for it. Of a long one the middle is left out.
	Transcript []string
}

// Reply is a server's answer to one command (RFC 5321, Section 4.2). Its text is
// safe to log: control characters are replaced, and there is a bound on its
// size.
type Reply struct {
	Code     int      // 550
	Enhanced string   // "5.1.1"; "" if there was none of the class of Code
	Lines    []string // what followed the code on each line
}

// String gives the reply on one line, as "550 5.1.1 no such user".
func (r Reply) String() string {
	var room [128]byte
	return string(r.append(room[:0]))
}

// append adds it to b.
func (r Reply) append(b []byte) []byte {
	if r.Code == 0 {
		return b
	}
	b = strconv.AppendInt(b, int64(r.Code), 10)
	for _, line := range r.Lines {
		b = append(append(b, ' '), line...)
	}
	return bytes.TrimRight(b, " ")
}

// Stage is a step on the way of a message.
type Stage uint8

// The stages, in their order. StageCommand is RSET, NOOP and the like.
const (
	StageInput Stage = iota
	StageResolve
	StagePolicy
	StageLimit
	StagePool
	StageConnect
	StageGreeting
	StageHello
	StageStartTLS
	StageAuth
	StageMail
	StageRcpt
	StageDataInit
	StageDataBlock
	StageDataDone
	StageCommand
	StageQuit
)

var stageNames = [...]string{"input", "resolve", "policy", "limit", "pool", "connect", "greeting", "hello",
	"starttls", "auth", "mail", "rcpt", "data-init", "data-block", "data-done", "command", "quit"}

// String gives the stage's name, as "data-done".
func (s Stage) String() string {
	if int(s) < len(stageNames) {
		return stageNames[s]
	}
	return "Stage(" + strconv.Itoa(int(s)) + ")"
}

// StageTimes holds a duration for each stage: times[StageConnect].
type StageTimes [StageQuit + 1]time.Duration

var errNoRecipients = errors.New("Envelope.To: it is empty; at least one recipient is needed")

// Err is nil if every recipient was delivered, else an *Error of the first that
// is Unknown, else Deferred, else Failed. A Report without outcomes, as for an
// envelope without recipients, has an error too.
func (r Report) Err() error {
	if len(r.Outcomes) == 0 {
		return &Error{Status: Failed, Attempt: Attempt{Stage: StageInput, Enhanced: "5.5.4", Cause: errNoRecipients}}
	}
	worst := -1
	others := -1
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		if o.Status == Delivered {
			continue
		}
		others++
		if worst < 0 || severity(o.Status) > severity(r.Outcomes[worst].Status) {
			worst = i
		}
	}
	if worst < 0 {
		return nil
	}
	o := &r.Outcomes[worst]
	return &Error{Status: o.Status, Attempt: o.deciding(), Others: others}
}

// severity orders the statuses so that a caller who looks at one error only
// errs on the safe side: what must not be repeated blindly comes first.
func severity(s Status) int {
	switch s {
	case Delivered:
		return 0
	case Failed:
		return 1
	case Deferred:
		return 2
	}
	return 3
}

// Err is nil if the recipient was delivered, else an *Error.
func (o Outcome) Err() error {
	if o.Status == Delivered {
		return nil
	}
	return &Error{Status: o.Status, Attempt: o.deciding()}
}

// deciding is the attempt that decided, and empty where there is none.
func (o *Outcome) deciding() Attempt {
	if o.Attempt == nil {
		return Attempt{}
	}
	return *o.Attempt
}

// edit gives the attempt to be changed for this recipient alone.
func (o *Outcome) edit() *Attempt {
	own := *o.Attempt
	o.Attempt = &own
	return o.Attempt
}
