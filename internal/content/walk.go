package content

import (
	"bytes"
	"fmt"
	"strings"
)

// Bounds of what is taken apart. Postfix has the first two as mime_nesting_limit
// and mime_boundary_length_limit; it cuts what is longer than its header_size_limit
// of 102400 bytes, and nothing is cut here.
const (
	maxNesting  = 100
	maxBoundary = 2048
	maxField    = 1 << 20 // of one header field with all its lines
)

// kind says how the body of an entity is made.
type kind uint8

const (
	simple    kind = iota // of anything else
	ofParts               // of parts between boundaries
	ofMessage             // of a message: header and body
	sealed                // composite, but not to be looked into
)

// entity is a message or a part of one: a header, and a body with what the header
// says of it.
type entity struct {
	index    int // in the order of their headers
	class    HeaderClass
	typ      string // "text/plain", also where nothing is said
	boundary string
	encoding string // Content-Transfer-Encoding; "" where there is none
	kind     kind
	depth    int
	digest   bool // it is a message unless it says otherwise
	signed   bool // a signature covers it

	hasType, hasEncoding, hasVersion bool
}

// identity tells that the body is not encoded (RFC 2045, Section 6.2).
func (e *entity) identity() bool {
	switch e.encoding {
	case "", "7bit", "8bit", "binary":
		return true
	}
	return false
}

// isMessage tells that the header is one of a message, not of a part.
func (e *entity) isMessage() bool { return e.class != MIMEHeader }

// HeaderClass says where a header stands.
type HeaderClass uint8

// PrimaryHeader is that of the message itself, NestedHeader that of a message in
// a part, and MIMEHeader that of a part.
const (
	PrimaryHeader HeaderClass = iota
	MIMEHeader
	NestedHeader
)

// enclosure is a multipart that is open.
type enclosure struct {
	boundary string
	digest   bool
	signed   bool
	depth    int
	found    bool // a part has come
	eightBit bool // a byte above 127 before the first part
}

// visitor is told what a walker finds. Slices are valid during the call.
type visitor interface {
	// field is one header field with its line ends.
	field(e *entity, name string, field []byte) error
	// headEnd has the empty line behind a header, or nil where there is none.
	headEnd(e *entity, empty []byte) error
	// body is a line, or a piece of one, of a body that is not taken apart.
	body(e *entity, text []byte, start bool) error
	// bodyEnd is the end of that body; its last line end belongs to the
	// delimiter, where one follows (RFC 2046, Section 5.1.1).
	bodyEnd(e *entity, delimiter bool) error
	// delimiter is a line between parts.
	delimiter(text []byte) error
	// outside is text before the first delimiter of m, or behind a last one if m
	// is nil.
	outside(m *enclosure, text []byte) error
	// closed is the end of a multipart.
	closed(m *enclosure) error
}

// walker follows the structure of a message (RFC 2045, RFC 2046), line by line.
type walker struct {
	v       visitor
	globals bool // look into message/global as well
	stack   []enclosure
	cur     entity
	count   int
	state   walkState
	raw     []byte // the header field in work
}

type walkState uint8

const (
	inNothing walkState = iota
	inHead
	inBody
	outsideParts
)

// begin starts with the next header.
func (w *walker) begin(e entity) error {
	e.index = w.count
	w.count++
	if e.depth > maxNesting {
		return unfit("5.6.0", "its parts are nested more than %d deep", maxNesting)
	}
	w.cur, w.state, w.raw = e, inHead, w.raw[:0]
	return nil
}

// line takes the next line or piece of one.
func (w *walker) line(text []byte, start, whole bool) error {
	if w.state == inNothing {
		if err := w.begin(entity{class: PrimaryHeader}); err != nil {
			return err
		}
	}
	if whole && len(w.stack) > 0 {
		if i, last := w.delimits(text); i >= 0 {
			return w.atDelimiter(i, last, text)
		}
	}
	switch w.state {
	case inHead:
		return w.head(text, start, whole)
	case inBody:
		return w.v.body(&w.cur, text, start)
	}
	return w.v.outside(w.preamble(), text)
}

// preamble is the multipart whose first delimiter has not come, or nil behind a
// last one.
func (w *walker) preamble() *enclosure {
	if n := len(w.stack); n > 0 && !w.stack[n-1].found {
		return &w.stack[n-1]
	}
	return nil
}

// delimits tells which of the open multiparts a line is a delimiter of, and
// whether it is the last one. Where two have one boundary the outer one has it.
// The boundary has to fill the line: one multipart's may begin with another's.
func (w *walker) delimits(text []byte) (i int, last bool) {
	if !bytes.HasPrefix(text, []byte("--")) {
		return -1, false
	}
	text = bytes.TrimRight(text[2:], " \t\r\n")
	for i := range w.stack {
		b := w.stack[i].boundary
		if b == "" || !bytes.HasPrefix(text, []byte(b)) {
			continue
		}
		switch string(text[len(b):]) {
		case "":
			return i, false
		case "--":
			return i, true
		}
	}
	return -1, false
}

func (w *walker) atDelimiter(i int, last bool, text []byte) error {
	if err := w.leave(true); err != nil {
		return err
	}
	if err := w.closeTo(i + 1); err != nil {
		return err
	}
	m := &w.stack[i]
	m.found = m.found || !last
	if err := w.v.delimiter(text); err != nil {
		return err
	}
	if last {
		w.state = outsideParts
		return w.closeTo(i)
	}
	return w.begin(entity{class: MIMEHeader, digest: m.digest, signed: m.signed, depth: m.depth})
}

// leave ends the entity in work.
func (w *walker) leave(delimiter bool) error {
	if w.state == inHead {
		if err := w.endHead(nil); err != nil {
			return err
		}
	}
	if w.state == inHead { // of a message without a line
		if err := w.endHead(nil); err != nil {
			return err
		}
	}
	if w.state == inBody {
		w.state = outsideParts
		return w.v.bodyEnd(&w.cur, delimiter)
	}
	return nil
}

// closeTo leaves n multiparts open.
func (w *walker) closeTo(n int) error {
	for len(w.stack) > n {
		m := w.stack[len(w.stack)-1]
		w.stack = w.stack[:len(w.stack)-1]
		if err := w.v.closed(&m); err != nil {
			return err
		}
	}
	return nil
}

// end follows the last line.
func (w *walker) end() error {
	if w.state == inNothing {
		return nil
	}
	if err := w.leave(false); err != nil {
		return err
	}
	return w.closeTo(0)
}

// head takes a line of a header.
func (w *walker) head(text []byte, start, whole bool) error {
	switch {
	case !start || (text[0] == ' ' || text[0] == '\t') && len(bytes.TrimSpace(w.raw)) > 0:
		if len(w.raw)+len(text) > maxField {
			return unfit("5.6.0", "a header field has more than %d bytes", maxField)
		}
		w.raw = append(w.raw, text...)
		return nil
	case string(text) == "\r\n" || string(text) == "\n":
		return w.endHead(text)
	case fieldName(text) == "" && !w.envelopeLine(text):
		// No header line: the body begins without an empty line.
		if err := w.endHead(nil); err != nil {
			return err
		}
		return w.line(text, start, whole)
	}
	err := w.endField()
	w.raw = append(w.raw[:0], text...)
	return err
}

// envelopeLine tells that text is the line before a header in a mailbox file,
// which some programs leave there.
func (w *walker) envelopeLine(text []byte) bool {
	return w.cur.class == PrimaryHeader && len(w.raw) == 0 && !w.cur.hasType && bytes.HasPrefix(text, []byte("From "))
}

// endField looks at the field in work and passes it on.
func (w *walker) endField() error {
	if len(w.raw) == 0 {
		return nil
	}
	e, name := &w.cur, fieldName(w.raw)
	switch name {
	case "content-type":
		if !e.hasType {
			e.hasType = true
			e.typ, e.boundary = mediaType(w.raw)
		}
	case "content-transfer-encoding":
		if !e.hasEncoding {
			e.hasEncoding = true
			e.encoding = encodingName(w.raw)
		}
	case "mime-version":
		e.hasVersion = true
	case "dkim-signature", "arc-message-signature":
		// Of a message in a part nobody will check it on the way.
		if e.class == PrimaryHeader {
			e.signed = true
		}
	}
	err := w.v.field(e, name, w.raw)
	w.raw = w.raw[:0]
	return err
}

// endHead knows what follows a header.
func (w *walker) endHead(empty []byte) error {
	if err := w.endField(); err != nil {
		return err
	}
	e := &w.cur
	w.classify(e)
	if len(e.boundary) > maxBoundary {
		return unfit("5.6.0", "a boundary has more than %d bytes", maxBoundary)
	}
	if err := w.v.headEnd(e, empty); err != nil {
		return err
	}
	switch e.kind {
	case ofParts:
		w.stack = append(w.stack, enclosure{boundary: e.boundary, digest: e.typ == "multipart/digest",
			signed: e.signed || e.typ == "multipart/signed", depth: e.depth + 1})
		w.state = outsideParts
		return nil
	case ofMessage:
		return w.begin(entity{class: NestedHeader, signed: e.signed, depth: e.depth + 1})
	}
	w.state = inBody
	return nil
}

// classify puts the defaults in, and says how the body is made.
func (w *walker) classify(e *entity) {
	if e.typ == "" {
		e.typ = "text/plain"
		if e.digest && !e.hasType {
			e.typ = "message/rfc822" // RFC 2046, Section 5.1.5
		}
	}
	major, minor, _ := strings.Cut(e.typ, "/")
	switch {
	case major == "multipart":
		e.kind = ofParts
	case major != "message":
		return
	case minor == "rfc822", minor == "news", minor == "global" && w.globals:
		e.kind = ofMessage
	case strings.HasPrefix(minor, "global"):
		// May have an encoding of its own (RFC 6532, Section 3.7).
		return
	default:
		e.kind = sealed
	}
	// RFC 2045, Section 6.4 forbids it to have one, and readers do not agree on
	// what it then is.
	if !e.identity() {
		e.kind = sealed
	}
}

// Unfit says why a message cannot be taken apart or changed.
type Unfit struct {
	Enhanced string // RFC 3463: 5.6.0, 5.6.3, or 5.6.7 where SMTPUTF8 is needed
	Reason   string
}

func (e *Unfit) Error() string { return e.Reason }

func unfit(enhanced, format string, args ...any) error {
	return &Unfit{Enhanced: enhanced, Reason: fmt.Sprintf(format, args...)}
}
