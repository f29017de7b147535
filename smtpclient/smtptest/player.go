package smtptest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// player plays one session of a Dialogue.
type player struct {
	dialogue *Dialogue
	raw      *Conn
	conn     net.Conn // raw, or TLS over it
	in       *bufio.Reader
	sent     step // the server's last, for which the client had to wait
	hasty    bool // !early came
}

func newPlayer(d *Dialogue, raw *Conn) *player {
	p := &player{dialogue: d, raw: raw, conn: raw}
	p.in = bufio.NewReader(playerInput{p})
	return p
}

func (p *player) play(steps []step) {
	err := p.perform(steps)
	if err != nil {
		p.dialogue.mu.Lock()
		p.dialogue.failLocked(fmt.Errorf("dialogue: %w", err))
		p.dialogue.mu.Unlock()
	}
	p.raw.Close()
}

func (p *player) perform(steps []step) error {
	for _, st := range steps {
		if err := p.step(st); err != nil {
			return err
		}
	}
	if n := len(steps); n > 0 && steps[n-1].ends() {
		return nil
	}
	return p.finish()
}

func (p *player) step(st step) error {
	switch st.verb {
	case "C:":
		return p.expect(st)
	case "C*":
		return p.expectPrefix(st)
	case "S:":
		return p.send(st)
	case "!wait":
		return p.wait(st)
	case "!early":
		p.hasty = true
	case "!starttls":
		return p.startTLS(st)
	case "!close":
		return p.end(st, p.conn.Close)
	case "!reset":
		return p.end(st, p.raw.Reset)
	case "!stall":
		p.raw.awaitEnd()
		return p.wantEnd(st)
	case "!eof":
		if err := p.wantEnd(st); err != nil {
			return err
		}
		if !p.ended() {
			return mismatch(st, "the client did not close")
		}
	}
	return nil
}

// mismatch is what Close reports.
func mismatch(st step, format string, args ...any) error {
	return fmt.Errorf("line %d: %w", st.line, fmt.Errorf(format, args...))
}

// playerInput is what player.in reads from.
type playerInput struct{ p *player }

// impatient is the error of a read that got what should have come later.
type impatient struct{ got []byte }

func (e *impatient) Error() string { return fmt.Sprintf("sent %q", e.got) }

func (r playerInput) Read(b []byte) (int, error) {
	n, err := r.p.conn.Read(b)
	if r.p.raw.early() {
		return 0, &impatient{bytes.Clone(head(b[:n]))}
	}
	return n, err
}

// readError says what came instead of what st wants.
func (p *player) readError(st step, got []byte, err error) error {
	var early *impatient
	switch {
	case errors.As(err, &early):
		return mismatch(p.sent, "client did not wait before %q: sent %q", p.sent.text, early.got)
	case errors.Is(err, errInterrupted):
		return mismatch(st, "want %q, got %q and nothing more", st.text, got)
	}
	return mismatch(st, "want %q, got %q and then %v", st.text, got, err)
}

// expect reads byte by byte, so that it needs no more than the client sends to
// see that it is not what is wanted.
func (p *player) expect(st step) error {
	var got []byte
	for _, want := range st.data {
		b, err := p.in.ReadByte()
		if err != nil {
			return p.readError(st, got, err)
		}
		got = append(got, b)
		if b != want {
			return mismatch(st, "want %q, got %q", st.text, append(got, p.rest()...))
		}
	}
	return nil
}

// rest is what is here of the line that was begun.
func (p *player) rest() []byte {
	b, _ := p.in.Peek(p.in.Buffered())
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		b = b[:i+1]
	}
	return b
}

func (p *player) expectPrefix(st step) error {
	line, err := p.in.ReadBytes('\n')
	if err != nil {
		return p.readError(st, line, err)
	}
	if !bytes.HasPrefix(line, st.data) || !bytes.HasSuffix(line, crlf) {
		return mismatch(st, "want %q, got %q", st.text, line)
	}
	return nil
}

// send writes when the client has stopped. What of its input is not here yet is
// marked, and found when it is read.
func (p *player) send(st step) error {
	hasty := p.hasty
	if err := p.quiet(st); err != nil {
		return err
	}
	if _, err := p.conn.Write(st.data); err != nil {
		return mismatch(st, "writing %q: %w", st.text, err)
	}
	if !hasty {
		p.sent = st
		p.raw.mark()
	}
	return nil
}

// quiet fails if there is input, unless st is to come early.
func (p *player) quiet(st step) error {
	hasty := p.hasty
	p.hasty = false
	if hasty || p.in.Buffered() == 0 && p.raw.Buffered() == 0 {
		return nil
	}
	_, err := p.in.Peek(1) // gets what raw has
	if err == io.EOF {
		return nil // what was here is the end of TLS
	}
	if err != nil {
		return p.readError(st, nil, err)
	}
	got, _ := p.in.Peek(p.in.Buffered())
	return mismatch(st, "client did not wait before %q: sent %q", st.text, head(got))
}

func (p *player) wait(st step) error {
	timer := time.NewTimer(st.wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-p.dialogue.done:
		return mismatch(st, "the test ended during %q", st.text)
	}
}

func (p *player) startTLS(st step) error {
	conn := serverTLS(p.raw, nil, p.dialogue.ca.tlsConfig(nil, Certificate{}, "mx.example.net"))
	if err := conn.Handshake(); err != nil {
		return mismatch(st, "TLS handshake: %w", err)
	}
	p.conn = conn
	p.in = bufio.NewReaderSize(playerInput{p}, tlsBuffer)
	return nil
}

// end ends the session with a call.
func (p *player) end(st step, call func() error) error {
	if err := p.quiet(st); err != nil {
		return err
	}
	if err := call(); err != nil {
		return mismatch(st, "%s: %w", st.text, err)
	}
	return nil
}

// finish closes the server's direction and waits for the end of the client's.
func (p *player) finish() error {
	if conn, ok := p.conn.(*tls.Conn); ok {
		conn.CloseWrite()
	}
	p.raw.CloseWrite()
	return p.wantEnd(step{line: p.sent.line, text: "the end"})
}

// wantEnd wants nothing more from the client. That the test is over is as good
// as an end.
func (p *player) wantEnd(st step) error {
	_, err := p.in.Peek(1)
	switch {
	case err == nil:
		return mismatch(st, "want %q, got %q", st.text, p.rest())
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, errInterrupted):
		return nil
	}
	return p.readError(st, nil, err)
}

// ended reports whether the client has closed.
func (p *player) ended() bool {
	_, err := p.in.Peek(1)
	return err != nil && !errors.Is(err, errInterrupted)
}
