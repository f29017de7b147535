package smtpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/wire"
	"github.com/postrider/postrider/tlspolicy"
)

// Session is a connection that is ready for a transaction:
//
//	new -> ready -> mail -> data -> ready      RFC 5321, Sections 3.1 to 3.3
//	  \______\_______\________\____-> broken   final
//
// It serves one caller at a time; a second one gets an error. After a timeout, a
// cancel, a 421, or a reply that cannot be right the session is broken: its
// connection is closed and every method returns the first error. Refusals do not
// break it. There is no goroutine behind a Session.
type Session struct {
	// Fixed once the session is ready.
	dialer  *Dialer
	target  *Target // nil once it has been idle in a Pool: nothing asks then
	kind    kind    // what is asked of target at any time
	quirks  *Quirks
	rules   ContentRules
	filters *Filters
	name    string    // ours, in EHLO
	raw     net.Conn  // what was dialled
	conn    net.Conn  // raw, or TLS over it
	tls     *tls.Conn // the same; nil: plaintext
	hello   Reply
	ext     extensions
	memo    *memo  // what is known of it besides; nil: nothing is kept
	masked  bool   // the greeting is that of a firewall; see Quirks.PIX
	secret  secret // what AUTH shows
	grant   *grant // of the connection; nil: no Limiter
	born    time.Time
	early   *early // it began before it was greeted; nil: it did not
	berth   *berth // its place in a Pool; nil: none
	resting resting
	single  bool // it serves one delivery only

	// Owned by the call in progress.
	*work
	reader  *wire.Reader
	dirty   bool         // a transaction may be open at the server: RSET comes first
	quit    bool         // QUIT was written
	asked   bool         // STARTTLS was
	ahead   *transaction // of this delivery, where the owner before has written its envelope
	resumed bool         // another delivery had it before, and this one has heard nothing from the server yet
	permit  *permit      // of the delivery that has the session
	nobody  bool         // the last chunk was for nobody, in LMTP
	stale   bool         // it was gone when it was to be used again
	rested  bool         // nothing was said since the last call: the server may have spoken
	err     *Error       // what broke the session

	patience time.Duration // for the reply to a command that takes long; zero: Timeouts.Command

	peek func() (bytes, end bool) // what the socket can say; nil: not asked yet

	transcript Transcript
	leftOut    int // lines that were taken out of the transcript

	busy atomic.Bool

	onEnd   func()         // ctxEnded
	stop    func() bool    // ends waiting for the end of the call's ctx; nil: it has none
	cutting sync.WaitGroup // while that is told to the session

	// Guarded by mu, because ctx may end at any time.
	mu   sync.Mutex
	call call
	due  int64 // the deadline in force, by UnixNano; zero: not known
}

// work is what only a call needs: a session that rests in a Pool has none.
type work struct {
	at        Attempt   // what is known; Stage, Times and Notes grow
	out       []byte    // commands that are not written yet
	scratch   []byte    // for one of them
	challenge string    // of the last 334, in base64
	clock     time.Time // when the last stage ended
	heard     time.Time // when the last reply came that was waited for
	budget    time.Time // for the transaction; zero: none
	debts     []debt    // replies to come before one's own
	mute      bool      // a write failed with others on their way: nothing is written any more

	room struct { // what out and scratch begin with
		out     [256]byte
		scratch [128]byte
	}
}

func newWork() *work {
	w := new(work)
	w.out, w.scratch = w.room.out[:0], w.room.scratch[:0]
	return w
}

// resting is what is known of a session that has no work.
type resting struct {
	tls   tlspolicy.State
	login string
}

// call is one call that uses the session.
type call struct {
	ctx   context.Context
	trace *Trace
	cut   bool // ctx has ended; guarded by Session.mu
}

var errBusy = errors.New("the session is in use by another call; use one Session for each goroutine")

// enter makes ctx govern the session until leave is called. When ctx ends, a
// deadline in the past cuts what is going on.
func (s *Session) enter(ctx context.Context) *Error {
	if !s.busy.CompareAndSwap(false, true) {
		return &Error{Status: Deferred, Attempt: Attempt{Stage: StageInput, Enhanced: "4.3.5", Cause: errBusy}}
	}
	if s.err != nil {
		s.busy.Store(false)
		return s.err
	}
	s.mu.Lock()
	s.call = call{ctx: ctx, trace: traceOf(ctx)}
	s.mu.Unlock()
	s.clock = time.Now()
	s.rested = s.hello.Code != 0
	if ctx.Done() != nil {
		if s.onEnd == nil {
			s.onEnd = s.ctxEnded
		}
		s.cutting.Add(1)
		s.stop = context.AfterFunc(ctx, s.onEnd)
	}
	return nil
}

func (s *Session) ctxEnded() {
	defer s.cutting.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.call.cut = true
	s.cutNow()
}

// leave ends the call that entered.
func (s *Session) leave() {
	if s.stop != nil {
		if s.stop() {
			s.cutting.Done()
		}
		s.cutting.Wait()
		s.stop = nil
	}
	s.budget = time.Time{}
	s.busy.Store(false)
}

// cutNow ends every read and write. A connection without deadlines is closed. The end
// of ctx comes in a goroutine of its own, where a panic would end the program.
func (s *Session) cutNow() {
	defer func() {
		if recover() != nil {
			_ = s.closeRaw()
		}
	}()
	s.due = 0
	if err := s.raw.SetDeadline(time.Unix(1, 0)); err != nil {
		_ = s.closeRaw()
	}
}

// closeRaw closes the connection. One of the caller's that panics must not keep what
// is given back behind it, as a place in a Pool.
func (s *Session) closeRaw() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return s.raw.Close()
}

// deadline gives the stage its time from the end of the last one.
func (s *Session) deadline(stage Stage) {
	s.deadlineAt(after(s.clock, s.limit(stage)))
}

// deadlineToWrite is deadlineAt for n bytes to a server that has answered all that came
// before. A socket takes a few at once, so that a later one in force will do.
func (s *Session) deadlineToWrite(n int, t time.Time) {
	if n > maxGroup || !isSocket(s.raw) || !s.inForce(t) {
		s.deadlineAt(t)
	}
}

// inForce tells that a deadline is in force which is not earlier than t.
func (s *Session) inForce(t time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.call.cut && !t.IsZero() && s.due >= t.UnixNano()
}

func (s *Session) deadlineAt(t time.Time) {
	t = earlier(t, s.budget)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.call.cut {
		s.cutNow()
		return
	}
	due := int64(0)
	if !t.IsZero() {
		due = t.UnixNano()
	}
	if due == s.due && due != 0 {
		return // a command has gone out, and its reply has the same time
	}
	s.due = due
	// What fails here fails again, and is reported, when it is used.
	_ = s.raw.SetDeadline(t)
}

// command adds a command to the group that is written next.
func (s *Session) command(stage Stage, line []byte) *Error {
	out, err := wire.AppendCommand(s.out, line)
	if err != nil {
		// Nothing of the group may go out: what is left would not be what
		// the caller asked for.
		return s.broke(stage, "4.3.0", err)
	}
	s.out = out
	if s.tracesLines() {
		s.line("C: ", string(line))
	}
	return nil
}

// flush writes the group. Input that waits now is a reply that nobody asked for.
func (s *Session) flush(stage Stage) *Error {
	if err := s.awaitsUs(stage); err != nil {
		return err
	}
	s.deadlineToWrite(len(s.out), after(s.clock, s.limit(stage)))
	_, err := s.write(s.out)
	s.out = s.out[:0]
	if err == nil {
		return nil
	}
	s.start(stage)
	if reply, ok := s.lastWords(err); ok && negative(reply) {
		s.done(stage, reply, nil)
		e := s.refused(stage, reply)
		s.end(e)
		return e
	}
	cause := s.explain(stage, err)
	s.done(stage, Reply{}, cause)
	return s.broke(stage, "4.4.2", cause)
}

// awaitsUs finds what the server has said since the last call.
func (s *Session) awaitsUs(stage Stage) *Error {
	if !s.rested && s.reader.Buffered() == 0 {
		return nil
	}
	s.rested = false
	return s.unasked(stage)
}

// unasked ends a session in which the server has spoken out of turn. A 421 says
// why it goes (RFC 5321, Section 3.8); anything else is out of step.
func (s *Session) unasked(stage Stage) *Error {
	reply, found, err := s.look()
	if !found || err == nil && s.forNobody(reply) {
		return nil
	}
	s.start(stage)
	if err == nil && reply.Code == 421 {
		s.done(stage, reply, nil)
		e := s.refused(stage, reply)
		s.end(e)
		return e
	}
	cause, enhanced := errUnasked, "4.5.0"
	if err != nil && !protocolError(err) {
		cause, enhanced = s.explain(stage, err), "4.4.2"
	}
	s.done(stage, Reply{}, cause)
	return s.broke(stage, enhanced, cause)
}

// lastWordsWait is how long a reply is looked for after a write has failed.
const lastWordsWait = 5 * time.Second

// lastWords looks for the refusal that a server sent before it closed the
// connection: after a failed write it can still be read.
func (s *Session) lastWords(writeErr error) (Reply, bool) {
	if s.isCut() || isTimeout(writeErr) {
		return Reply{}, false
	}
	s.deadlineAt(time.Now().Add(lastWordsWait))
	reply, err := s.readReply(s.at.Stage)
	if err != nil {
		return Reply{}, false
	}
	s.replyLines(reply)
	return reply, true
}

// write holds the connection to the contract of io.Writer. One that breaks it may
// have sent everything.
func (s *Session) write(p []byte) (int, error) {
	n, err := s.conn.Write(p)
	if n < 0 || n > len(p) {
		return len(p), fmt.Errorf("connection returned an impossible count %d from Write", n)
	}
	if n < len(p) && err == nil {
		err = io.ErrShortWrite
	}
	return n, err
}

var errUnasked = errors.New("protocol error: the server sent a reply that nobody asked for")

// reply reads the reply to a command. A refusal is no error; a 421 is a refusal
// that also breaks the session (RFC 5321, Section 3.8).
func (s *Session) reply(stage Stage) (Reply, *Error) {
	s.start(stage)
	// What has come already took no time that is worth a look at the clock.
	here := s.reader.Complete()
	if !here {
		s.deadline(stage)
	}
	reply, err := s.readReply(stage)
	if err != nil {
		cause := s.explain(stage, err)
		s.done(stage, Reply{}, cause)
		if _, whole := s.behind(); whole && s.isCut() && isTimeout(err) {
			return Reply{}, s.failure(stage, codeOf(err), cause) // those behind read on
		}
		return Reply{}, s.broke(stage, codeOf(err), cause)
	}
	s.replyLines(reply)
	if !here || s.call.trace.wantsEvents() {
		s.done(stage, reply, nil)
	} else {
		s.call.trace.took(s.call.ctx, Took{Stage: stage, Failed: reply.Code >= 400})
	}
	if !here {
		s.heard = s.clock
	}
	if reply.Code == 421 {
		s.end(s.refused(stage, reply))
	}
	return reply, nil
}

// again takes the next replies, n at most, where they have come already, are the last
// one once more, and nobody is told. It tells how many.
func (s *Session) again(n int) int {
	if n == 0 || s.call.trace != nil || s.transcript != TranscriptOff || s.secret.hide != nil {
		return 0
	}
	return s.reader.Again(n)
}

// ask writes one command and reads its reply.
func (s *Session) ask(stage Stage, line string) (Reply, *Error) {
	if err := s.command(stage, []byte(line)); err != nil {
		return Reply{}, err
	}
	if err := s.flush(stage); err != nil {
		return Reply{}, err
	}
	return s.reply(stage)
}

// lookTime bounds a look inside TLS, where what waits may be a record that is no
// reply.
const lookTime = 10 * time.Millisecond

// look finds a reply that has come already, without waiting for one. An error
// without a reply is the end of the stream.
func (s *Session) look() (reply Reply, found bool, err error) {
	if s.reader.Buffered() == 0 {
		if bytes, end := s.waits(); !bytes && !end {
			return Reply{}, false, nil
		}
		s.deadlineAt(time.Now().Add(lookTime))
		if err := s.reader.Poll(); isTimeout(err) && !s.isCut() {
			return Reply{}, false, nil
		} else if err != nil {
			return Reply{}, true, err
		}
	}
	s.deadlineAt(time.Now().Add(lastWordsWait))
	if reply, err = s.readReply(s.at.Stage); err != nil {
		return Reply{}, true, err
	}
	s.replyLines(reply)
	return reply, true, nil
}

// waits tells what can be read from the connection at once: bytes, or its end. One
// in memory may say so itself.
func (s *Session) waits() (bytes, end bool) {
	if b, ok := s.raw.(interface{ Buffered() int }); ok {
		return b.Buffered() > 0, false
	}
	if s.peek == nil {
		s.peek = newPeek(s.raw)
	}
	return s.peek()
}

// start and done mark a stage for the trace and the clock.
func (s *Session) start(stage Stage) {
	s.at.Stage = stage
	if t := s.call.trace; t != nil && t.Start != nil {
		t.Start(s.call.ctx, Event{Attempt: s.at, Start: s.clock})
	}
}

func (s *Session) done(stage Stage, reply Reply, cause error) {
	now := time.Now()
	took := now.Sub(s.clock)
	s.at.Times[stage] += took
	if t := s.call.trace; t.wantsEvents() {
		e := Event{Attempt: s.at, Start: s.clock, Duration: took}
		e.Reply, e.Cause = reply, cause
		t.tellDone(s.call.ctx, e)
	} else {
		t.took(s.call.ctx, Took{stage, took, cause != nil || reply.Code >= 400})
	}
	s.clock = now
}

// line tells the trace a line of the dialogue.
func (s *Session) line(prefix, text string) {
	if t := s.call.trace; t != nil && t.Line != nil {
		t.Line(s.call.ctx, prefix+text)
	}
	if s.transcript != TranscriptOff {
		s.record(prefix + text)
	}
}

func (s *Session) tracesLines() bool {
	return s.call.trace != nil && s.call.trace.Line != nil || s.transcript != TranscriptOff
}

// replyLines tells the trace a reply as it stood on the wire.
func (s *Session) replyLines(reply Reply) {
	if !s.tracesLines() {
		return
	}
	for i, text := range reply.Lines {
		sep := "-"
		if i == len(reply.Lines)-1 {
			sep = " "
		}
		s.line("S: ", strconv.Itoa(reply.Code)+sep+text)
	}
}

// broke ends the session because of what happened here and not by a reply.
func (s *Session) broke(stage Stage, enhanced string, cause error) *Error {
	now := time.Now()
	s.at.Times[stage] += now.Sub(s.clock)
	s.clock = now
	e := s.failure(stage, enhanced, cause)
	s.end(e)
	return e
}

// failure is the error of what happened here. It does not break the session by
// itself.
func (s *Session) failure(stage Stage, enhanced string, cause error) *Error {
	e := &Error{Status: Deferred, Attempt: s.at}
	e.Stage, e.Enhanced, e.Cause = stage, enhanced, cause
	return e
}

// refused is the error of a reply that says no, or of one that cannot be right.
// It does not break the session by itself.
func (s *Session) refused(stage Stage, reply Reply) *Error {
	e := s.failure(stage, enhancedFor(Deferred, reply), nil)
	e.Reply = reply
	return e
}

// misplaced breaks the session over a reply that does not belong where it came:
// from here on no reply can be matched to its command.
func (s *Session) misplaced(stage Stage, reply Reply) *Error {
	e := s.broke(stage, "4.5.0", fmt.Errorf("protocol error: reply %d does not belong to %v", reply.Code, stage))
	e.Reply = reply
	return e
}

// end closes the connection for good. The first error stays.
func (s *Session) end(e *Error) {
	if s.err == nil {
		s.err = e
	}
	_ = s.closeRaw()
	s.reader.Rest()
	s.grant.release()
}

// explain puts an error of the connection into words.
func (s *Session) explain(stage Stage, err error) error {
	switch {
	case s.isCut():
		return cancelled(s.call.ctx)
	case isTimeout(err) && !s.budget.IsZero() && !time.Now().Before(s.budget):
		return fmt.Errorf("the time for the whole transaction is used up: %w", os.ErrDeadlineExceeded)
	case isTimeout(err) && stage == StageDataBlock:
		return fmt.Errorf("the server takes the content too slowly: %w", os.ErrDeadlineExceeded)
	case isTimeout(err):
		return fmt.Errorf("the server did not answer within %v: %w", s.limit(stage), os.ErrDeadlineExceeded)
	case protocolError(err):
		return fmt.Errorf("protocol error: %w", err)
	case hookFailed(err):
		return err
	case errors.Is(err, io.EOF):
		return fmt.Errorf("connection closed by the server: %w", io.EOF)
	}
	return fmt.Errorf("connection lost: %w", err)
}

func (s *Session) isCut() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.call.cut
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// cancelled is the error of a call whose ctx has ended: how, and why if the
// caller gave a reason.
func cancelled(ctx context.Context) error {
	cause := context.Cause(ctx)
	if cause == errCallTime {
		return cause
	}
	if cause != ctx.Err() {
		return fmt.Errorf("given up by the caller (%w): %w", ctx.Err(), cause)
	}
	return fmt.Errorf("given up by the caller: %w", ctx.Err())
}

func protocolError(err error) bool {
	var syntax *wire.SyntaxError
	return errors.As(err, &syntax) || errors.Is(err, wire.ErrTooLong) || errors.Is(err, wire.ErrMixedCode)
}

// codeOf is our enhanced code for an error of reading: RFC 3463, Sections 3.5
// and 3.6.
func codeOf(err error) string {
	switch {
	case protocolError(err):
		return "4.5.0"
	case hookFailed(err):
		return "4.3.0"
	}
	return "4.4.2"
}

// Hello is the server's reply to EHLO, HELO or LHLO; after STARTTLS the one
// inside TLS.
func (s *Session) Hello() Reply { return s.hello }

// Extension tells whether the server offered an extension, by its EHLO keyword
// in any case of letters, and with which parameters. What Quirks.Discard
// overlooks was not offered.
func (s *Session) Extension(keyword string) (params string, ok bool) {
	return s.ext.lookup(keyword)
}

// Peer says who is at the other end: host, address, TLS, and the times so far.
func (s *Session) Peer() Attempt { return s.at }

// ConnectionState is that of TLS; nil in plaintext.
func (s *Session) ConnectionState() *tls.ConnectionState {
	if s.tls == nil {
		return nil
	}
	state := s.tls.ConnectionState()
	return &state
}

// Quit sends QUIT, waits for the reply and closes the connection. Whatever the
// reply is, what was delivered stays delivered.
func (s *Session) Quit(ctx context.Context) (err error) {
	defer s.contain(&err)
	if failure := s.enter(ctx); failure != nil {
		return failure
	}
	defer s.leave()
	if _, failure := s.ask(StageQuit, "QUIT"); failure != nil {
		return failure
	}
	s.hangUp()
	return nil
}

// hangUp closes a connection that is in order.
func (s *Session) hangUp() {
	s.deadline(StageQuit)
	s.farewell()
	s.broke(StageQuit, "4.3.5", net.ErrClosed)
}

// farewell closes the connection; inside TLS it says so to the server. crypto/tls
// gives that write five seconds of its own, whatever deadline there was: ctx cuts
// it by closing what is below.
func (s *Session) farewell() {
	if s.tls == nil {
		_ = s.closeRaw()
		return
	}
	closed := make(chan struct{})
	stop := context.AfterFunc(s.call.ctx, func() {
		defer close(closed)
		_ = s.closeRaw()
	})
	defer func() {
		if !stop() {
			<-closed
		}
	}()
	s.conn.Close()
}

// contain turns a panic in a hook of the caller into an error. What the session
// was doing is not known then, so it is broken.
func (s *Session) contain(err *error) {
	if p := recover(); p != nil {
		*err = s.broke(s.at.Stage, "4.3.0", panicked(p))
	}
}

// Close ends the session without QUIT, at any time and from any goroutine. A call
// in progress then fails as if the server had closed the connection.
func (s *Session) Close() error {
	s.grant.release()
	return s.closeRaw()
}
