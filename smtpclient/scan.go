package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/postrider/postrider/internal/content"
)

// Scan reads c once and gives a Content that remembers what was found: all
// deliveries of it share this one scan, and its fields show the facts. What is
// delivered of it is what was scanned, or nothing: if c gives other bytes later,
// its deliveries are Deferred (4.3.0), and a new Scan is due.
//
// The error is that of ctx or of reading c. Bytes, File, ReaderAt and what Scan
// returns are not read again if that was done before.
func Scan(ctx context.Context, c Content) (_ *Scanned, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	if c == nil {
		return nil, errNoContent
	}
	m, err := scan(ctx, c)
	if err != nil {
		return nil, err
	}
	f := &m.facts
	return &Scanned{
		Content: c, EightBit: f.EightBit, HeaderUTF8: f.HeaderUTF8, NUL: f.NUL, StrayCRLF: f.StrayCRLF,
		LeadingDots: f.LeadingDots, LongestLine: f.LongestLine, WireSize: f.WireSize, found: m,
	}, nil
}

// Scanned is a Content with what its scan found. The fields are for reading:
// deliveries go by the scan itself. It may be used by many calls at once.
type Scanned struct {
	Content
	EightBit    bool  // a byte above 127: 8BITMIME is needed, or conversion
	HeaderUTF8  bool  // one in the header, which is UTF-8: SMTPUTF8 is needed
	NUL         bool  // a NUL byte, which only BodyBinary can carry
	StrayCRLF   bool  // a CR or LF alone; see ContentRules.StrayCRLF
	LeadingDots bool  // a line that begins with a dot
	LongestLine int64 // in bytes, without its end; RFC 5321, Section 4.5.3.1.6 has at most 998
	WireSize    int64 // in bytes, with every line end as CRLF and before dots are doubled: what SIZE says

	found *message
}

func (s Scanned) scanned(ctx context.Context) (*message, error) {
	if s.found == nil {
		return nil, errors.New("a Scanned must come from smtpclient.Scan")
	}
	return s.found, nil
}

// message is a Content and what its scan found.
type message struct {
	source Content
	memory []byte        // its bytes, if they are in memory
	facts  content.Facts // of head and source together
	size   int64         // of source alone, as it is read
	sum    uint64        // likewise
	marks  content.Marks // likewise; nil where it is not read again
	head   []byte        // header lines that go before it, each with CRLF

	info    fs.FileInfo // of the file that was scanned; nil: there is none
	settled bool        // a change of the file since then shows in info
	shared  *sharedScan // where the scan is kept; nil: nowhere

	notes []string       // what was done to bring it into this form
	unfit *content.Unfit // why there is no such form; then nothing else is set
}

// under is m behind further header lines, which end in CRLF.
func (m *message) under(head []byte) *message {
	if len(head) == 0 {
		return m
	}
	var s content.Scanner
	s.Write(head)
	whole := *m
	whole.head = append(head[:len(head):len(head)], m.head...)
	whole.facts = content.Join(s.Facts(), m.facts)
	return &whole
}

// changed is what a second reading comes to that gave other bytes: it counts as
// an error, and the next delivery scans again.
func (m *message) changed() error {
	if m.shared != nil {
		m.shared.forget(m.sum)
	}
	return errChanged
}

var errChanged = errors.New("content has changed since it was scanned; a Content must give the same bytes each time")

// remembering is a Content that keeps what its scan found.
type remembering interface {
	scanned(ctx context.Context) (*message, error)
}

// scan reads c, if it does not remember an earlier scan.
func scan(ctx context.Context, c Content) (*message, error) {
	if r, ok := c.(remembering); ok {
		return r.scanned(ctx)
	}
	return scanAll(ctx, c)
}

// scanAll reads c once.
func scanAll(ctx context.Context, c Content) (*message, error) {
	var s content.Scanner
	err := readAll(ctx, c, func(p []byte) error { s.Write(p); return nil })
	if err != nil {
		return nil, err
	}
	facts := s.Facts()
	if size := c.Size(); size >= 0 && size != facts.Size {
		return nil, fmt.Errorf("content says it has %d bytes but gave %d", size, facts.Size)
	}
	m := newMessage(c, facts)
	m.marks = s.Marks()
	return m, nil
}

func newMessage(c Content, facts content.Facts) *message {
	return &message{source: c, facts: facts, size: facts.Size, sum: facts.Sum}
}

// sharedScan is a scan that all who use a Content have in common. Of those who
// come while it is under way, one reads and the others wait; if he fails or gives
// up, the next one takes his place.
type sharedScan struct {
	mu      sync.Mutex
	found   *message
	running chan struct{} // closed when the scan under way has ended; nil: none is
}

// get gives what was found, if good says that it still holds, else what read
// finds. A nil good always holds.
func (s *sharedScan) get(ctx context.Context, good func(*message) bool, read func() (*message, error)) (*message, error) {
	for {
		s.mu.Lock()
		found, running := s.found, s.running
		if found == nil && running == nil {
			s.running = make(chan struct{})
			s.mu.Unlock()
			return s.fly(read)
		}
		s.mu.Unlock()
		switch {
		case found != nil && (good == nil || good(found)):
			return found, nil
		case found != nil:
			s.forget(found.sum)
		default:
			select {
			case <-running:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
	}
}

// fly reads, and lets those who wait go on, also where read panics.
func (s *sharedScan) fly(read func() (*message, error)) (found *message, err error) {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if found != nil && found.shared == nil {
			found.shared = s
		}
		s.found = found
		close(s.running)
		s.running = nil
	}()
	return read()
}

// forget drops a scan that no longer holds, known by its sum.
func (s *sharedScan) forget(sum uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.found != nil && s.found.sum == sum {
		s.found = nil
	}
}
