package smtpclient

import "time"

// Timeouts bound the waits of a session. Each is the time for one whole reply
// with all its lines, not for a single read; in a group of pipelined commands
// every reply has its own time, counted from the reply before it. Zero is the
// value in brackets, of RFC 5321, Section 4.5.3.2 where that names one; a
// negative value waits for ever, and then only ctx and Transaction count.
type Timeouts struct {
	Connect   time.Duration // opening the connection (30 s)
	Greeting  time.Duration // the server's first reply (5 min)
	Hello     time.Duration // reply to EHLO, HELO or LHLO (5 min)
	StartTLS  time.Duration // reply to STARTTLS, and the handshake (5 min each)
	Mail      time.Duration // reply to MAIL (5 min)
	Rcpt      time.Duration // reply to each RCPT (5 min)
	DataInit  time.Duration // reply to DATA (2 min)
	DataBlock time.Duration // writing one block of content, at most 64 KiB (3 min)
	DataDone  time.Duration // reply to the end of the content, in LMTP each (10 min)
	Command   time.Duration // reply to RSET or NOOP (20 s)
	Quit      time.Duration // reply to QUIT, where it is waited for (5 min)

	// Transaction is the budget of a whole transaction, from MAIL to the last
	// reply: one hour, and the time that the content takes at MinRate.
	Transaction time.Duration
	// MinRate is the least speed, in bytes per second, at which the server has
	// to take the content, after one DataBlock of grace (500). Negative: none.
	MinRate int
}
