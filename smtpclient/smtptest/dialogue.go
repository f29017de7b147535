package smtptest

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Dialogue plays conversations byte for byte from a text. ParseDialogue makes
// it. The text has sections with a marker line before each, as in txtar:
//
//	# The second recipient is refused; the message still goes.
//	# RFC 2920, Section 3.1.
//	-- session --
//	S: 220 mx.example ESMTP
//	C: EHLO client.example
//	S: 250-mx.example
//	S: 250 PIPELINING
//	C: MAIL FROM:<a@client.example>
//	C: RCPT TO:<b@mx.example>
//	S: 250 ok
//	S: 550 5.1.1 no such user
//	C: RSET
//	!reset
//	-- report --
//	whatever the test makes of it
//
// Each section named "session" is a connection, in their order. What stands
// before the first marker is one too if it holds more than comments. Other
// sections are for the test: see Section.
//
// A line of a session is empty, a comment after "#", or a step:
//
//	C: text       the client sends exactly this and CRLF
//	C> text       the client sends these bytes, written as in a Go string
//	C* text       the client sends a line that begins so
//	S: text       the server sends this and CRLF
//	S> text       the server sends these bytes, written as in a Go string
//	!wait 30s     time passes
//	!starttls     TLS begins, with a certificate for any name
//	!early        the next step of the server comes although the client has not stopped
//	!close        the server closes the connection; the session ends here
//	!reset        the server resets it; the session ends here
//	!stall        the server is silent until the client closes; the session ends here
//	!eof          the client closes now, sending nothing more; the session ends here
//
// S lines that follow each other are written at once. A session that ends with
// none of the last four has the server close its direction and wait until the
// client closes.
//
// The client has to wait for the server: what it sends after a step of the
// server, it must have written after it has read all that the server wrote
// before. The Dialogue knows this of each byte, inside of synctest bubbles and
// outside, without taking time. Nothing has to wait for a step behind !early.
//
// After a mismatch the connection is closed, so that the client does not hang.
type Dialogue struct {
	// Wire is that of the connections; it must not change after the first.
	// A Window of zero is 64 KiB here, so that a client that does not wait is
	// found out and not held.
	Wire Wire

	sections []section
	sessions [][]step
	ca       authority

	mu      sync.Mutex // guards all below
	closed  bool
	done    chan struct{} // closed by Close
	players []*player
	err     error // the first mismatch

	running sync.WaitGroup // the players
}

type section struct {
	name, text string
	line       int // of its first line
}

// step is a line of a session, or several S lines.
type step struct {
	line int
	text string // the line, for messages
	verb string // "C:", "C*", "S:" or "!close"; "C>" and "S>" became "C:" and "S:"
	data []byte // of C and S
	wait time.Duration
}

// ParseDialogue reads a text in the format of Dialogue. Line ends may be CRLF.
// An error names the line.
func ParseDialogue(text []byte) (*Dialogue, error) {
	d := &Dialogue{sections: splitSections(strings.ReplaceAll(string(text), "\r\n", "\n"))}
	for i, sec := range d.sections {
		if i > 0 && sec.name != "session" {
			continue
		}
		steps, err := parseSession(sec)
		if err != nil {
			return nil, err
		}
		if i > 0 || len(steps) > 0 {
			d.sessions = append(d.sessions, steps)
		}
	}
	if len(d.sessions) == 0 {
		return nil, errors.New("dialogue: no session in it")
	}
	return d, nil
}

// splitSections cuts a text at its markers. The first section is what stands
// before them, and has no name.
func splitSections(text string) []section {
	sections := []section{{line: 1}}
	line := 0
	for part := range strings.Lines(text) {
		line++
		marker := strings.TrimRight(part, "\n")
		if strings.HasPrefix(marker, "-- ") && strings.HasSuffix(marker, " --") && len(marker) > len("-- --") {
			name := strings.TrimSpace(marker[len("-- ") : len(marker)-len(" --")])
			sections = append(sections, section{name: name, line: line + 1})
			continue
		}
		sections[len(sections)-1].text += part
	}
	return sections
}

func parseSession(sec section) ([]step, error) {
	var steps []step
	line := sec.line - 1
	for text := range strings.Lines(sec.text) {
		line++
		text = strings.TrimRight(text, "\n")
		if text == "" || text[0] == '#' {
			continue
		}
		st, err := parseStep(text)
		if err != nil {
			return nil, fmt.Errorf("dialogue: line %d: %w: %q", line, err, text)
		}
		st.line = line
		last := len(steps) - 1
		switch {
		case last >= 0 && steps[last].ends():
			return nil, fmt.Errorf("dialogue: line %d: nothing can follow %s: %q", line, steps[last].text, text)
		case last >= 0 && st.verb == "S:" && steps[last].verb == "S:":
			steps[last].data = append(steps[last].data, st.data...)
		default:
			steps = append(steps, st)
		}
	}
	return steps, nil
}

// ends reports whether the session ends with this step.
func (st step) ends() bool {
	return st.verb == "!close" || st.verb == "!reset" || st.verb == "!stall" || st.verb == "!eof"
}

func parseStep(text string) (step, error) {
	verb, rest, found := strings.Cut(text, " ")
	st := step{text: text, verb: verb}
	var err error
	switch verb {
	case "C:", "S:":
		st.data = []byte(rest + "\r\n")
	case "C>", "S>":
		st.verb = verb[:1] + ":"
		rest, err = strconv.Unquote(`"` + rest + `"`)
		st.data = []byte(rest)
	case "C*":
		st.data = []byte(rest)
	case "!wait":
		st.wait, err = time.ParseDuration(rest)
		if err == nil && st.wait <= 0 {
			err = errors.New("no time to wait")
		}
	case "!starttls", "!early", "!close", "!reset", "!stall", "!eof":
		if found {
			err = errors.New("nothing may follow it")
		}
	default:
		err = errors.New("no step")
	}
	return st, err
}

// Section is the text of the first section of that name, "" if there is none.
func (d *Dialogue) Section(name string) string {
	for _, sec := range d.sections[1:] {
		if sec.name == name {
			return sec.text
		}
	}
	return ""
}

// Roots holds the authority that has signed the certificates of !starttls.
func (d *Dialogue) Roots() *x509.CertPool { return d.ca.roots() }

// DialContext opens the connection for the next session, at any address. It
// fails when there is none left, which Close reports too.
func (d *Dialogue) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	remote := address(network, addr)
	if err := sleep(ctx, 2*d.Wire.Delay); err != nil {
		return nil, dialError(network, remote, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || len(d.players) == len(d.sessions) {
		d.failLocked(fmt.Errorf("dialogue: connection %d was opened, there are %d sessions", len(d.players)+1, len(d.sessions)))
		return nil, dialError(network, remote, os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	if d.done == nil {
		d.done = make(chan struct{})
	}
	wire := d.Wire
	if wire.Window == 0 {
		wire.Window = 64 << 10
	}
	client, server := pipe(wire, address("tcp", "192.0.2.1:49152"), remote)
	p := newPlayer(d, server)
	steps := d.sessions[len(d.players)]
	d.players = append(d.players, p)
	d.running.Go(func() { p.play(steps) })
	return client, nil
}

func (d *Dialogue) failLocked(err error) {
	if d.err == nil {
		d.err = err
	}
}

// Close ends all connections and reports the first mismatch: a step that came
// out differently, with what was wanted and what came; input that no step
// consumed; a session that never came or did not end. Each call returns the
// same.
func (d *Dialogue) Close() error {
	d.mu.Lock()
	if !d.closed {
		d.closed = true
		if d.done != nil {
			close(d.done)
		}
		for _, p := range d.players {
			p.raw.interrupt()
		}
	}
	d.mu.Unlock()
	d.running.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.players {
		if err := p.tooLate(); err != nil {
			d.failLocked(fmt.Errorf("dialogue: %w", err))
		}
	}
	if n := len(d.players); n < len(d.sessions) {
		d.failLocked(fmt.Errorf("dialogue: session %d of %d never came", n+1, len(d.sessions)))
	}
	return d.err
}
