package trial

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// Ledger holds what is reported against what servers have.
type Ledger struct {
	mu      sync.Mutex
	letters map[int]*letter // of this round
	found   Figures
}

// Figures are the sums of a trial.
type Figures struct {
	Messages, Recipients                 int // submitted
	Delivered, Deferred, Failed, Unknown int // recipients
	Yes, Maybe, No                       int // copies at servers, by what they said: 2yz, nothing that counts, 4yz or 5yz
	UnknownTaken                         int // Unknown, and a server has it
	Encrypted, Chunked, Overlapped       int // messages that came inside TLS, by BDAT, and whose end had the next one's envelope in the same record
	Connections, Starts                  int
	Digest                               uint64 // of all verdicts and copies: equal where a trial was repeated
	Violations                           int
	Examples                             []string // of violations, the first
}

// String gives the sums in words, without the examples.
func (f Figures) String() string {
	return fmt.Sprintf("%d messages to %d recipients = %d delivered + %d deferred + %d failed + %d unknown; copies at servers: %d accepted, %d left without an answer, "+
		"%d refused; of the unknown %d had arrived; %d messages came inside TLS, %d in chunks, %d with the next one's envelope behind them; %d connections, %d server starts; digest %x; violations: %d",
		f.Messages, f.Recipients, f.Delivered, f.Deferred, f.Failed, f.Unknown, f.Yes, f.Maybe, f.No, f.UnknownTaken, f.Encrypted, f.Chunked, f.Overlapped, f.Connections, f.Starts, f.Digest, f.Violations)
}

// enclose notes a letter that is about to be sent.
func (l *Ledger) enclose(m *letter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.letters[m.id] = m
}

func (l *Ledger) violation(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.violationLocked(format, args...)
}

func (l *Ledger) violationLocked(format string, args ...any) {
	l.found.Violations++
	if len(l.found.Examples) < 20 {
		l.found.Examples = append(l.found.Examples, fmt.Sprintf(format, args...))
	}
}

// enter takes over what a server has recorded.
func (l *Ledger) enter(p *place, s *smtptest.Server, m mood) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.found.Starts++
	l.found.Connections += s.Sessions()
	for _, message := range s.Messages() {
		l.enterLocked(p, message, m)
	}
	for session := range s.Sessions() {
		l.found.Overlapped += overlapped(s.Transcript(session))
	}
	for _, v := range s.Violations() {
		var session int
		if fmt.Sscanf(v, "session %d:", &session); m.odd.has(session) {
			continue
		}
		l.violationLocked("%s: the client broke the rules: %s; %s", p.name, v, dialogue(s.Transcript(session)))
	}
}

// overlapped counts the ends of a content that brought the next MAIL with them.
func overlapped(chunks []smtptest.Chunk) (n int) {
	for _, c := range chunks {
		if c.FromClient && bytes.Contains(c.Data, []byte("\r\n.\r\nMAIL FROM:<s")) {
			n++
		}
	}
	return n
}

// dialogue is a transcript in short.
func dialogue(chunks []smtptest.Chunk) string {
	var b strings.Builder
	for _, c := range chunks {
		who := "S"
		if c.FromClient {
			who = "C"
		}
		fmt.Fprintf(&b, "\n\t%s: %.200q", who, c.Data)
	}
	return b.String()
}

func (l *Ledger) enterLocked(p *place, m smtptest.Message, in mood) {
	if len(m.To) == 0 {
		return // a lone dot behind an envelope that was refused goes nowhere
	}
	n, ok := numberOf(m.From)
	letter := l.letters[n]
	if !ok || letter == nil {
		l.violationLocked("%s has a message from %q that nobody has sent in this round", p.name, m.From)
		return
	}
	letter.mu.Lock()
	defer letter.mu.Unlock()
	if m.TLS != nil {
		l.found.Encrypted++
	}
	if m.BDAT {
		l.found.Chunked++
	}
	level, decided := letter.levels[p.name]
	switch { // invariant 6
	case !decided:
		l.violationLocked("%s has letter %d without a policy for it", p.name, n)
	case m.TLS == nil && level.Mandatory():
		l.violationLocked("%s has letter %d in plaintext, at %v", p.name, n, level)
	case in.unknown && level.Authenticates():
		l.violationLocked("%s has letter %d though it could not prove its name, at %v", p.name, n, level)
	}
	for i, to := range m.To {
		l.copyLocked(p, letter, to, m.Replies[min(i, len(m.Replies)-1)], string(m.Data))
	}
}

// copyLocked enters the copy for one recipient.
func (l *Ledger) copyLocked(p *place, letter *letter, to, reply, data string) {
	i := slices.IndexFunc(letter.env.To, func(r smtpclient.Recipient) bool { return r.Address == to })
	if i < 0 {
		l.violationLocked("%s has letter %d for %s, who is no recipient of it", p.name, letter.id, to)
		return
	}
	if want := arrived(letter.content); data != want { // invariant 2
		l.violationLocked("%s has letter %d as %.300q, want %.300q", p.name, letter.id, data, want)
	}
	taken := &letter.taken[i]
	taken.said = append(taken.said, fmt.Sprintf("%s: %.40q", p.name, reply))
	switch {
	case strings.HasPrefix(reply, "2"):
		taken.yes++
		l.found.Yes++
	case strings.HasPrefix(reply, "4") || strings.HasPrefix(reply, "5"):
		l.found.No++
	default:
		taken.maybe++
		l.found.Maybe++
	}
}

// settle closes the books of a round. All servers are closed.
func (l *Ledger) settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, letter := range l.letters {
		l.settleLocked(letter)
	}
	clear(l.letters)
}

func (l *Ledger) settleLocked(m *letter) {
	l.found.Messages++
	l.found.Recipients += len(m.env.To)
	if len(m.report) != len(m.env.To) { // invariant 1
		l.violationLocked("letter %d has %d outcomes for %d recipients", m.id, len(m.report), len(m.env.To))
		return
	}
	delivered := true
	for i, o := range m.report {
		if o.Address != m.env.To[i].Address {
			l.violationLocked("letter %d: outcome %d is for %s, not %s", m.id, i, o.Address, m.env.To[i].Address)
		}
		delivered = delivered && o.Status == smtpclient.Delivered
		l.count(o.Status)
		h := fnv.New64a()
		fmt.Fprint(h, o.Address, o.Status, o.Stage, o.Enhanced, m.taken[i].yes, m.taken[i].maybe)
		l.found.Digest ^= h.Sum64()
		if fault := contradiction(o.Status, m.taken[i]); fault != "" {
			l.violationLocked("letter %d, %s is %v: %s %v; %v", m.id, o.Address, o.Status, fault, m.taken[i].said, o.Err())
		}
		if o.Status == smtpclient.Unknown && m.taken[i].yes+m.taken[i].maybe > 0 {
			l.found.UnknownTaken++
		}
	}
	if delivered != (m.err == nil) {
		l.violationLocked("letter %d: the error %v does not fit the report", m.id, m.err)
	}
}

func (l *Ledger) count(s smtpclient.Status) {
	switch s {
	case smtpclient.Delivered:
		l.found.Delivered++
	case smtpclient.Deferred:
		l.found.Deferred++
	case smtpclient.Failed:
		l.found.Failed++
	case smtpclient.Unknown:
		l.found.Unknown++
	}
}

// contradiction holds a verdict against what servers have; "": it fits.
func contradiction(s smtpclient.Status, t took) string {
	switch {
	case t.yes+t.maybe > 1: // invariant 4
		return "it was sent more than once"
	case s == smtpclient.Delivered && t.yes != 1: // invariant 2
		return "no server has accepted it"
	case (s == smtpclient.Deferred || s == smtpclient.Failed) && t.yes+t.maybe > 0: // invariant 3
		return "a server has it"
	}
	return ""
}

// Figures gives the sums so far.
func (l *Ledger) Figures() Figures {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.found
	f.Examples = slices.Clone(f.Examples)
	return f
}
