package content

import (
	"bytes"
	"fmt"
	"io"
)

const (
	// readSize is how much a transformer reads at a time.
	readSize = 16 << 10
	// maxPiece is how much of a line is looked at as a whole. A longer line goes
	// through in pieces, so that memory stays the same whatever comes.
	maxPiece = 32 << 10
)

// step is what a transformer does with a message, line by line.
type step interface {
	// line takes one line with its end. A line of more than maxPiece bytes comes
	// in pieces: start tells the first, whole that there is only one.
	line(text []byte, start, whole bool) error
	// end follows the last line.
	end() error
	// take gives what has become of the lines so far. It is valid until the
	// next call of line.
	take() []byte
}

// transformer is a message on its way through a step. It holds at most a line and
// what was made of one reading.
type transformer struct {
	src    io.Reader
	step   step
	repair *Encoder // nil: line ends as they are, for binary content
	in     []byte   // as read
	lines  []byte   // repaired, from the begin of a line that is not complete yet
	sought int      // how much of it has no line end
	inLine bool     // the first pieces of that line are gone
	out    []byte
	err    error
}

// transform reads from src. Unless binary, line ends are repaired first, as the
// Encoder does when it sends: a step sees what a server would.
func transform(src io.Reader, s step, ends lineEnds) *transformer {
	t := &transformer{src: src, step: s, in: make([]byte, readSize)}
	if ends == repairEnds {
		t.repair = &Encoder{Chunked: true}
	}
	return t
}

// lineEnds says what a transformer does with CR and LF that stand alone.
type lineEnds uint8

const (
	repairEnds lineEnds = iota // LF becomes CRLF, CR a space, as on the wire
	keepEnds
)

// Read gives the next bytes of what the step makes of the source.
func (t *transformer) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(t.out) == 0 {
		if t.err != nil {
			return 0, t.err
		}
		t.err = t.fill()
		t.out = t.step.take()
	}
	n := copy(p, t.out)
	t.out = t.out[n:]
	return n, nil
}

// run reads all of the source and throws away what the step makes of it.
func (t *transformer) run() error {
	for {
		if err := t.fill(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		t.step.take()
	}
}

// fill reads once and gives the step all lines that are complete. After the last
// one it returns io.EOF.
func (t *transformer) fill() error {
	n, err := readSome(t.src, t.in)
	if t.repair != nil {
		t.lines = t.repair.Append(t.lines, t.in[:n])
	} else {
		t.lines = append(t.lines, t.in[:n]...)
	}
	if err == io.EOF && t.repair != nil {
		t.lines = t.repair.End(t.lines)
	}
	if e := t.feed(err == io.EOF); e != nil {
		return e
	}
	if err == io.EOF {
		if e := t.step.end(); e != nil {
			return e
		}
	}
	return err
}

// feed gives the step the lines, and keeps what is none yet.
func (t *transformer) feed(last bool) error {
	rest := t.lines
	for len(rest) > 0 {
		n := bytes.IndexByte(rest[t.sought:], '\n') + 1
		ended := n > 0
		if ended {
			n += t.sought
		} else {
			if len(rest) < maxPiece && !last {
				t.sought = len(rest)
				break
			}
			n = len(rest)
			if rest[n-1] == '\r' && !last { // perhaps half of a line end
				n--
			}
		}
		t.sought = 0
		if err := t.step.line(rest[:n], !t.inLine, !t.inLine && (ended || last)); err != nil {
			return err
		}
		t.inLine = !ended
		rest = rest[n:]
	}
	if len(rest) < len(t.lines) {
		t.lines = append(t.lines[:0], rest...)
	}
	return nil
}

// readSome reads at least a byte or fails. It holds r to the contract of
// io.Reader.
func readSome(r io.Reader, buf []byte) (int, error) {
	for range 100 {
		n, err := r.Read(buf)
		if n < 0 || n > len(buf) {
			return 0, fmt.Errorf("reader returned an impossible count %d", n)
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}
