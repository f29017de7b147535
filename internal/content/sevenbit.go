package content

import (
	"io"
	"strings"
	"unicode/utf8"
)

// SevenBit says how a message is made to have no byte above 127, for a server
// without 8BITMIME (RFC 6152, Section 3). The bodies of parts that need it are
// encoded, as text in quoted-printable and as anything else in base64; what a
// reader decodes are the same parts with the same bytes. All else stays as it is,
// but for Content-Transfer-Encoding, and what an encoded body needs besides:
// MIME-Version, and Content-Type where there is none.
//
// What it takes apart it follows as in RFC 2046; what readers could take apart
// in different ways is refused where it holds a byte above 127. Line ends are
// repaired first, as for sending.
type SevenBit struct {
	// BreakSignatures converts also what is signed. Else such a message is
	// unfit, if a signed part of it has to change.
	BreakSignatures bool
}

// maxParts bounds what a Plan remembers.
const maxParts = 10000

// Plan is what has to change in one message. It serves any number of readers.
type Plan struct {
	// Notes say what is lost, in words: text before the first or behind the last
	// part of a multipart, which no reader shows, cannot be encoded.
	Notes []string
	// Changed tells that anything has to.
	Changed bool

	how     SevenBit
	actions []action // by entity
}

// action is what is done with the body of an entity.
type action uint8

const (
	keep action = iota
	quotedPrintable
	base64Encoding
)

// Plan reads a message and finds what has to change. An *Unfit says that it
// cannot become 7-bit, any other error is the reader's.
func (s SevenBit) Plan(r io.Reader) (*Plan, error) {
	p := &planner{plan: &Plan{how: s}}
	p.v = p
	if err := transform(r, p, repairEnds).run(); err != nil {
		return nil, err
	}
	return p.plan, nil
}

// Convert gives the message that was planned for, changed. Memory does not depend
// on its size. r has to give the same bytes again: other ones make a message
// that is not what was meant.
func (p *Plan) Convert(r io.Reader) io.Reader {
	c := &converter{plan: p}
	c.v = c
	return transform(r, c, repairEnds)
}

// planner finds the actions.
type planner struct {
	walker
	plan    *Plan
	seen    tally // of the body in work
	covered bool  // a signature covers the whole message
}

// tally is what decides about a body.
type tally struct {
	bytes, escapes int64
	line, longest  int64
	eightBit, nul  bool
}

func (t *tally) add(text []byte, start bool) {
	if start {
		t.line = 0
	}
	t.bytes += int64(len(text))
	t.line += int64(len(text))
	t.longest = max(t.longest, t.line)
	for _, c := range text {
		if c > '~' || c == '=' || c < ' ' && c != '\n' && c != '\r' && c != '\t' {
			t.escapes++
			t.eightBit = t.eightBit || c >= 0x80
			t.nul = t.nul || c == 0
		}
	}
}

// tooLong tells that a line cannot go to a server (RFC 5321, Section 4.5.3.1.6).
// Where a message is converted anyway, encoding is better than folding.
func (t *tally) tooLong() bool { return t.longest > MaxLine+2 }

func (p *planner) take() []byte { return nil }

var errSigned = unfit("5.6.3", "it is signed, and a change would break the signature")

func (p *planner) field(e *entity, name string, field []byte) error {
	switch {
	case !eightBit(field):
		return nil
	case utf8.Valid(field):
		return unfit("5.6.7", "its header has UTF-8, which needs SMTPUTF8")
	}
	return unfit("5.6.3", "its header has bytes above 127 that are no UTF-8")
}

func (p *planner) headEnd(e *entity, _ []byte) error {
	if e.index == 0 {
		p.covered = e.signed
	}
	if len(p.plan.actions) == maxParts {
		return unfit("5.6.0", "it has more than %d parts", maxParts)
	}
	p.plan.actions = append(p.plan.actions, keep)
	p.seen = tally{}
	return nil
}

func (p *planner) body(e *entity, text []byte, start bool) error {
	p.seen.add(text, start)
	return nil
}

func (p *planner) bodyEnd(e *entity, _ bool) error {
	t := &p.seen
	signed := e.signed && !p.plan.how.BreakSignatures
	encoded := e.encoding == "quoted-printable" || e.encoding == "base64"
	switch {
	case !t.eightBit && (signed || e.kind == sealed || !encoded && !e.identity()):
		return nil
	case !t.eightBit && !t.tooLong() && !(t.nul && e.identity()):
		return nil
	case signed:
		return errSigned
	case e.kind == sealed:
		return unfit("5.6.3", "%s may not be encoded, but has bytes above 127", e.typ)
	case e.identity():
		p.plan.actions[e.index] = choose(e, t)
	case !encoded:
		return unfit("5.6.3", "a part has the unknown Content-Transfer-Encoding %q, and bytes above 127", e.encoding)
	}
	p.plan.Changed = true
	return nil
}

// choose takes quoted-printable for what is text, as long as most of it stays
// readable.
func choose(e *entity, t *tally) action {
	text := strings.HasPrefix(e.typ, "text/") || strings.HasPrefix(e.typ, "message/")
	if !text || e.encoding == "binary" || t.escapes*2 > t.bytes {
		return base64Encoding
	}
	return quotedPrintable
}

func (p *planner) delimiter(text []byte) error {
	if eightBit(text) {
		return unfit("5.6.3", "a boundary has bytes above 127")
	}
	return nil
}

const noteOutside = "bytes above 127 outside of the parts of a multipart became question marks"

func (p *planner) outside(m *enclosure, text []byte) error {
	if !eightBit(text) {
		return nil
	}
	if m != nil {
		m.eightBit = true
	}
	if p.signedOutside(m) && !p.plan.how.BreakSignatures {
		return errSigned
	}
	p.plan.Changed = true
	if len(p.plan.Notes) == 0 {
		p.plan.Notes = []string{noteOutside}
	}
	return nil
}

// signedOutside tells whether a signature covers what is outside of parts. Behind
// a last delimiter it is that of what the multipart is in.
func (p *planner) signedOutside(m *enclosure) bool {
	if m != nil {
		return m.signed
	}
	n := len(p.stack)
	return p.covered || n > 0 && p.stack[n-1].signed
}

// closed holds a multipart whose delimiter never came: all of it is then outside
// of parts, and readers show it.
func (p *planner) closed(m *enclosure) error {
	if m.eightBit && !m.found {
		return unfit("5.6.3", "a multipart has bytes above 127 but no part: its boundary does not occur")
	}
	return nil
}
