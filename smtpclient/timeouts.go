package smtpclient

import (
	"time"
)

// Timeouts bound the waits of a session. Each is the time for one whole reply
// with all its lines, not for a single read; in a group of pipelined commands
// every reply has its own time, counted from the reply before it. Zero is the
// value in brackets, of RFC 5321, Section 4.5.3.2 where that names one; a
// negative value waits for ever, and then only ctx and Transaction count.
type Timeouts struct {
	Connect   time.Duration // opening the connection (30 s)
	Greeting  time.Duration // the server's first reply (5 min)
	Hello     time.Duration // reply to EHLO, HELO or LHLO (5 min)
	StartTLS  time.Duration // reply to STARTTLS, and again for the handshake (5 min)
	Auth      time.Duration // each reply in the exchange of AUTH (5 min)
	Mail      time.Duration // reply to MAIL (5 min)
	Rcpt      time.Duration // reply to each RCPT (5 min)
	DataInit  time.Duration // reply to DATA (2 min)
	DataBlock time.Duration // writing one block of content, at most 64 KiB (3 min)
	DataDone  time.Duration // reply to the end of the content, in LMTP each (10 min)
	Command   time.Duration // reply to RSET or NOOP (20 s)
	Quit      time.Duration // reply to QUIT, where it is waited for (5 min)

	// Transaction is the budget of a whole transaction, from MAIL to the last
	// reply. Zero is one hour, and the time that the content takes at MinRate;
	// negative is no budget.
	Transaction time.Duration
	// MinRate is the least speed, in bytes per second, at which the server has
	// to take the content, after one DataBlock of grace. Zero is 500 (Postfix's
	// smtp_min_data_rate); negative is no such bound.
	MinRate int
}

// defaultTimeouts are those of RFC 5321, Section 4.5.3.2; what it does not name
// is Postfix's.
var defaultTimeouts = StageTimes{
	StageConnect:   30 * time.Second,
	StageGreeting:  5 * time.Minute,
	StageHello:     5 * time.Minute,
	StageStartTLS:  5 * time.Minute,
	StageAuth:      5 * time.Minute,
	StageMail:      5 * time.Minute,
	StageRcpt:      5 * time.Minute,
	StageDataInit:  2 * time.Minute,
	StageDataBlock: 3 * time.Minute,
	StageDataDone:  10 * time.Minute,
	StageCommand:   20 * time.Second,
	StageQuit:      5 * time.Minute,
}

const defaultMinRate = 500

// limit is the time for one reply, or one block, at a stage; negative is no bound.
func (t *Timeouts) limit(stage Stage) time.Duration {
	set := time.Duration(0)
	switch stage {
	case StageConnect:
		set = t.Connect
	case StageGreeting:
		set = t.Greeting
	case StageHello:
		set = t.Hello
	case StageStartTLS:
		set = t.StartTLS
	case StageAuth:
		set = t.Auth
	case StageMail:
		set = t.Mail
	case StageRcpt:
		set = t.Rcpt
	case StageDataInit:
		set = t.DataInit
	case StageDataBlock:
		set = t.DataBlock
	case StageDataDone:
		set = t.DataDone
	case StageCommand:
		set = t.Command
	case StageQuit:
		set = t.Quit
	}
	return orDefault(set, defaultTimeouts[stage])
}

// limit is that of the Dialer, but where a command takes long.
func (s *Session) limit(stage Stage) time.Duration {
	if stage == StageCommand && s.patience != 0 {
		return s.patience
	}
	return s.dialer.Timeouts.limit(stage)
}

// budget is the time for a whole transaction with size bytes of content;
// negative is no bound.
func (t *Timeouts) budget(size int64) time.Duration {
	if t.Transaction != 0 {
		return t.Transaction
	}
	return time.Hour + t.atMinRate(size)
}

// atMinRate is the time that size bytes take at the least rate; 0 if there is
// none.
func (t *Timeouts) atMinRate(size int64) time.Duration {
	rate := t.MinRate
	if rate == 0 {
		rate = defaultMinRate
	}
	if rate < 0 {
		return 0
	}
	const most = 1e9 // seconds; more would not fit a Duration with what is added
	return time.Duration(min(float64(size)/float64(rate), most) * float64(time.Second))
}

// after is the point in time d from now; zero, which is no deadline, if d is
// negative.
func after(now time.Time, d time.Duration) time.Time {
	if d < 0 {
		return time.Time{}
	}
	return now.Add(d)
}

// earlier is the first of two deadlines, where zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
