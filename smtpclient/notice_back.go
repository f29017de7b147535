package smtpclient

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime/quotedprintable"
	"strings"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/ascii"
	"github.com/postrider/postrider/tlspolicy"
)

// returned is the part that gives back the message, or its header.
type returned struct {
	header   string // of the part
	part     []byte
	whole    Content // in place of part
	eightBit bool
}

// maxHeader bounds the header that is given back.
const maxHeader = 64 << 10

// giveBack decides what is given back of the message (RFC 3461, Section 6.2), and
// reads its header.
func (n Notice) giveBack(ctx context.Context, env *Envelope, told []tidings, original Content) (*returned, error) {
	if original == nil {
		return nil, nil
	}
	header, err := readHeader(ctx, original)
	if err != nil {
		return nil, err
	}
	if isTLSReport(header) {
		return nil, ErrNoNotice
	}
	most := n.MaxReturn
	if most == 0 {
		most = 50_000
	}
	full := env.Return != ReturnHeaders && env.TLS != tlspolicy.EveryHop && events(told)&NotifyFailure != 0
	if full && original.Size() <= most && env.Body != BodyBinary { // -1 is not known yet
		m, err := scan(ctx, original)
		if err != nil {
			return nil, err
		}
		f := &m.facts
		if f.Size <= most && !f.NUL && !f.HeaderUTF8 && f.LongestLine <= maxTextLine {
			return wholeMessage(original, f.EightBit), nil
		}
	}
	return headerOnly(header), nil
}

// wholeMessage gives back a message. Where it is 8-bit, so is the notice around it:
// both have to say so (RFC 2045, Section 6.4), and a server without 8BITMIME gets
// both converted.
func wholeMessage(original Content, eightBit bool) *returned {
	r := &returned{header: "Content-Type: message/rfc822\r\n", whole: original, eightBit: eightBit}
	if eightBit {
		r.header += eightBitField
	}
	return r
}

const eightBitField = "Content-Transfer-Encoding: 8bit\r\n"

// headerOnly gives back a header. What is not ASCII, or has lines that are too
// long, is encoded, so that the notice needs neither 8BITMIME nor SMTPUTF8; the
// type for a header in UTF-8 may have such an encoding (RFC 6533, Sections 4.4 and
// 6.3), and the one for other headers where they are broken (RFC 6522, Section 4).
func headerOnly(header []byte) *returned {
	kind, encode := "text/rfc822-headers", false
	for line := range bytes.SplitSeq(header, []byte("\n")) {
		encode = encode || len(line) > maxTextLine || bytes.ContainsAny(line, "\r\x00")
	}
	if !ascii.Is(string(header)) {
		encode = true
		if utf8.Valid(header) {
			kind = "message/global-headers"
		}
	}
	if !encode {
		return &returned{header: "Content-Type: " + kind + "\r\n", part: header}
	}
	var b bytes.Buffer
	w := quotedprintable.NewWriter(&b)
	w.Write(header) // a bytes.Buffer takes everything
	w.Close()
	return &returned{header: "Content-Type: " + kind + "\r\nContent-Transfer-Encoding: quoted-printable\r\n", part: b.Bytes()}
}

// errHeaderRead ends the reading of a message behind its header.
var errHeaderRead = errors.New("the header was read")

// readHeader gives the header of a message with LF as line ends, up to maxHeader
// in whole lines.
func readHeader(ctx context.Context, c Content) ([]byte, error) {
	var read []byte
	err := readAll(ctx, c, func(p []byte) error {
		read = append(read, p...)
		if len(read) > maxHeader || headerEnd(read) >= 0 {
			return errHeaderRead
		}
		return nil
	})
	if err != nil && !errors.Is(err, errHeaderRead) {
		return nil, err
	}
	if end := headerEnd(read); end >= 0 && end <= maxHeader {
		read = read[:end]
	} else {
		read = read[:min(len(read), maxHeader)]
		read = read[:bytes.LastIndexByte(read, '\n')+1]
	}
	return bytes.ReplaceAll(read, []byte("\r\n"), []byte("\n")), nil
}

// headerEnd is where the header ends, with its last line end; -1 if that is not
// there.
func headerEnd(b []byte) int {
	for i := 0; ; {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return -1
		}
		if line := b[i : i+n]; len(line) == 0 || len(line) == 1 && line[0] == '\r' {
			return i
		}
		i += n + 1
	}
}

// isTLSReport recognizes a report of RFC 8460 by the fields that it must have.
func isTLSReport(header []byte) bool {
	for line := range bytes.SplitSeq(header, []byte("\n")) {
		name, _, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("TLS-Report-Domain")) || bytes.EqualFold(name, []byte("TLS-Report-Submitter")) {
			return true
		}
	}
	return false
}

// enclosed is a notice around a whole message.
type enclosed struct {
	head  []byte
	whole Content
	tail  string
}

// Open implements Content.
func (e *enclosed) Open() (io.ReadCloser, error) {
	r, err := e.whole.Open()
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, errors.New("content gave a nil reader")
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(e.head), r, strings.NewReader(e.tail)), r}, nil
}

// Size implements Content.
func (e *enclosed) Size() int64 {
	n := e.whole.Size()
	if n < 0 {
		return -1
	}
	return int64(len(e.head)) + n + int64(len(e.tail))
}
