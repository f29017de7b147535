package smtpclient

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/cache"
)

// hints are what sessions with an address have found that the server offers, or
// seems to, and does not do. Each makes a later session do less: no BDAT, no
// PIPELINING, fewer transactions on a connection. None of them is about TLS, AUTH or
// what a message needs, so that whoever can make a server seem to fail, or write to
// the cache, only makes delivery slower.
type hints struct {
	noBDAT  bool
	strikes int // groups of commands that failed in a row, at most struckOut
	mails   int // transactions on a connection; 0: no bound was heard
}

// memo is what is known of the server of a session, and where it is kept.
type memo struct {
	hints
	key    string
	memory cache.Cache
}

const (
	// hintsFor is how long a hint holds: servers are mended.
	hintsFor = 24 * time.Hour
	// struckOut is after how many failures commands go one by one. One may be the
	// network's.
	struckOut = 2
	// mostMails bounds what is believed of an entry.
	mostMails = 1 << 20
)

// hintsKey is where the hints for a server are kept; "" if they are not.
func (s *Session) hintsKey() string {
	t := s.target
	if t.memory == nil || t.memory == cache.None {
		return ""
	}
	key := strings.ToLower(fmt.Sprintf("hints1/%v/%s", t.Protocol, t.Addr))
	if len(key) > 250 || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return key
}

// recallHints looks up what is known of the server, before the first command.
func (s *Session) recallHints() {
	key := s.hintsKey()
	if key == "" {
		return
	}
	s.memo = &memo{key: key, memory: s.target.memory}
	value, ok, err := s.memo.memory.Get(s.call.ctx, key)
	if err != nil || !ok {
		return
	}
	if s.memo.hints = parseHints(key, value); s.memo.noBDAT {
		quirks := *s.quirks
		quirks.Chunking = ChunkingOff // binary content has no other way
		s.quirks = &quirks
	}
}

// parseHints reads an entry. One that is not of this key, or of another form, counts
// as missing.
func parseHints(key string, value []byte) (h hints) {
	head, rest, _ := strings.Cut(string(value[:min(len(value), 512)]), "\n")
	n, err := fmt.Sscanf(rest, "%t %d %d", &h.noBDAT, &h.strikes, &h.mails)
	if head != key || err != nil || n != 3 || h.strikes < 0 || h.strikes > struckOut || h.mails < 0 || h.mails > mostMails {
		return hints{}
	}
	return h
}

// learn changes what is known of the server, and tells whether it is kept.
func (s *Session) learn(change func(h *hints)) bool {
	m := s.memo
	if m == nil {
		return false
	}
	before := m.hints
	if change(&m.hints); m.hints == before {
		return true
	}
	value := fmt.Sprintf("%s\n%t %d %d", m.key, m.noBDAT, m.strikes, m.mails)
	return m.memory.Set(s.call.ctx, m.key, []byte(value), hintsFor) == nil
}

// heed takes away from what the server offers. It is called wherever that is read.
func (s *Session) heed() {
	if s.memo == nil {
		return
	}
	if s.lockstep() {
		s.ext.pipelining = false
	}
	if most := s.memo.mails; most > 0 && (s.ext.mailMax == 0 || most < s.ext.mailMax) {
		s.ext.mailMax = most
	}
}

// lockstep tells that each command has to wait for the reply to the one before.
func (s *Session) lockstep() bool { return s.memo != nil && s.memo.strikes >= struckOut }

// groupEnded learns from a group of pipelined commands: err is what ended the
// session, nil if all replies came.
func (t *transaction) groupEnded(err *Error) {
	s := t.s
	switch {
	case s.memo == nil || len(t.owed) < 2 || s.resumed || s.isCut(): // a session that was kept may have been closed meanwhile
	case err == nil && s.memo.strikes > 0:
		s.learn(func(h *hints) { h.strikes = 0 })
	case err != nil && outOfStep(err):
		s.learn(func(h *hints) { h.strikes = min(h.strikes+1, struckOut) })
	}
}

// outOfStep tells that the server fell silent, hung up, or answered what was not
// asked. What it says with a 421 it has understood.
func outOfStep(err *Error) bool {
	return err.Reply.Code != 421 && (err.Enhanced == "4.4.2" || err.Enhanced == "4.5.0")
}

// wordsOfBound are the words of servers whose bound on transactions is reached.
var wordsOfBound = []string{"too many messages", "too many mails", "too many transactions", "messages per connection", "messages per session",
	"message per connection", "message count per session", "messages in this session", "messages this session", "messages in one session"}

// mailRefused learns how many transactions the server takes on a connection, where
// it says that these were too many. They went well before, so that this one comes
// through on a new connection.
func (s *Session) mailRefused(reply Reply) {
	if s.at.Reused == 0 || reply.Code < 400 || reply.Code > 499 {
		return
	}
	text := strings.ToLower(strings.Join(reply.Lines, " "))
	if slices.ContainsFunc(wordsOfBound, func(words string) bool { return strings.Contains(text, words) }) {
		s.learn(func(h *hints) { h.mails = s.at.Reused })
		s.heed() // this connection is at its end
	}
}

// judged gives the verdict that a reply to content, or to a chunk of it, is.
func (t *transaction) judged(stage Stage, reply Reply) (Status, *Attempt) {
	if !negative(reply) {
		return Delivered, t.decided(stage, reply)
	}
	status := t.withoutBDAT(reply, verdict(reply))
	a := t.decided(stage, reply)
	if status != verdict(reply) {
		a.Enhanced = enhancedFor(status, reply)
	}
	return status, a
}

// withoutBDAT judges a refusal of a chunk. A server that does not know the command,
// though it had offered it, has said nothing about the message, and may take its
// content for commands: the session ends, and the message can come again with DATA,
// if that can be remembered. Binary content has to go by BDAT.
func (t *transaction) withoutBDAT(reply Reply, status Status) Status {
	s := t.s
	if !t.chunked || reply.Code != 500 && reply.Code != 502 || t.env.Body == BodyBinary || s.kind.protocol != SMTP {
		return status
	}
	kept := s.learn(func(h *hints) { h.noBDAT = true })
	s.end(s.refused(StageDataDone, reply))
	if !kept {
		return status
	}
	t.note("the server offered CHUNKING and does not know BDAT: DATA is used from now on")
	return Deferred
}
