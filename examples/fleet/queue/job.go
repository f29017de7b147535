package queue

import (
	"time"

	"github.com/postrider/postrider/smtpclient"
)

// Job is a message on its way to one site: a part of what was submitted, and what
// one entry of the work queue names. It never changes; what became of its
// recipients is in its Record.
type Job struct {
	ID       string // message and part: "2f7e-0"
	Message  string // name of the content in the object store
	Size     int    // of the content, in bytes
	Part     int    // from 0
	Parts    int    // of the message
	Site     string // who receives it: resolve.Route.Site
	Arrival  time.Time
	Envelope smtpclient.Envelope // with the recipients at this site alone
}

// Entry is what stands in the work queue: an invitation to look at a Job.
type Entry struct {
	Job
	// Gen is how many attempts had ended when the entry was written. One that is
	// behind Record.Gen was dealt with, up to what follows from it.
	Gen int
}

// Record is what is known of a Job. It is the truth: entries may come twice, and
// workers may die, but each step is a change of the Record that only one of them can
// make. A Job without a Record was never attempted.
type Record struct {
	Gen int // attempts that have ended
	// Begun is the attempt under way, as soon as the server may get the end of a
	// content. nil: none.
	Begun *Begun `json:",omitempty"`
	Dead  bool   `json:",omitempty"` // nobody can be told of some who were not delivered
	To    []State
}

// Begun names an attempt.
type Begun struct {
	Worker string
	Entry  uint64 // its sequence number in the work queue
	At     time.Time
}

// State is where a recipient stands: Job.Envelope.To[i] has Record.To[i].
type State struct {
	Address string
	// Over: nothing is tried any more. By which attempt it ended is in Gen, and how in
	// Last; a Deferred that is over has expired.
	Over bool
	Gen  int
	// Tries is how often a server was asked, or nobody was found to ask. A refusal of
	// the limiter is no attempt.
	Tries int
	// Unknown is how often it may have been delivered without anybody knowing.
	Unknown int
	Next    time.Time // not to be tried before
	Last    Finding
}

// Finding is an outcome as it is kept.
type Finding struct {
	Status   smtpclient.Status
	Stage    smtpclient.Stage
	Host     string           `json:",omitempty"`
	Enhanced string           `json:",omitempty"`
	Reply    smtpclient.Reply `json:",omitzero"`
	Cause    string           `json:",omitempty"`
	Owed     smtpclient.Notify
}

// Find keeps what a notice will need of an outcome.
func Find(o smtpclient.Outcome) Finding {
	f := Finding{Status: o.Status, Stage: o.Stage, Host: o.Host, Enhanced: o.Enhanced, Reply: o.Reply, Owed: o.Owed}
	if o.Cause != nil {
		f.Cause = o.Cause.Error()
	}
	return f
}

// Outcome is the other way.
func (f Finding) Outcome(address string) smtpclient.Outcome {
	o := smtpclient.Outcome{Address: address, Status: f.Status, Owed: f.Owed, Attempt: &smtpclient.Attempt{
		Stage: f.Stage, Host: f.Host, Enhanced: f.Enhanced, Reply: f.Reply,
	}}
	if f.Cause != "" {
		o.Cause = reason(f.Cause)
	}
	return o
}

// reason is an error that was kept as text.
type reason string

func (r reason) Error() string { return string(r) }

// New is the Record of a Job that was not attempted.
func New(j *Job) Record {
	r := Record{To: make([]State, len(j.Envelope.To))}
	for i, to := range j.Envelope.To {
		r.To[i].Address = to.Address
	}
	return r
}

// Done tells that nobody is left to be tried.
func (r *Record) Done() bool {
	for i := range r.To {
		if !r.To[i].Over {
			return false
		}
	}
	return true
}

// Next is when the first of those who are left is to be tried.
func (r *Record) Next() time.Time {
	var next time.Time
	for i := range r.To {
		s := &r.To[i]
		if !s.Over && (next.IsZero() || s.Next.Before(next)) {
			next = s.Next
		}
	}
	return next
}
