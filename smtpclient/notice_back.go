package smtpclient

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime/quotedprintable"
	"strings"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/content"
	"github.com/postrider/postrider/tlspolicy"
)

// returned is the part that gives back the message, or its header.
type returned struct {
	header string // of the part
	part   []byte
	whole  Content // in place of part
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
	size := original.Size()
	full := env.Return != ReturnHeaders && env.TLS != tlspolicy.EveryHop && events(told)&NotifyFailure != 0
	if full && size >= 0 && size <= most && env.Body != BodyBinary {
		m, err := scan(ctx, original)
		if err != nil {
			return nil, err
		}
		if !m.facts.NUL && !m.facts.HeaderUTF8 && m.facts.LongestLine <= maxTextLine {
			return &returned{header: wholeHeader(&m.facts), whole: original}, nil
		}
	}
	return headerOnly(header), nil
}

func wholeHeader(facts *content.Facts) string {
	if facts.EightBit {
		return "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n"
	}
	return "Content-Type: message/rfc822\r\n"
}

// headerOnly gives back a header. What is not ASCII, or has lines that are too
// long, is encoded, so that the notice needs neither 8BITMIME nor SMTPUTF8; the
// type for a header in UTF-8 takes any encoding (RFC 6533, Section 6).
func headerOnly(header []byte) *returned {
	kind, encode := "text/rfc822-headers", false
	for line := range bytes.SplitSeq(header, []byte("\n")) {
		encode = encode || len(line) > maxTextLine || bytes.ContainsAny(line, "\r\x00")
		if bytes.ContainsFunc(line, func(c rune) bool { return c >= utf8.RuneSelf }) {
			kind, encode = "message/global-headers", true
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

// isTLSReport recognizes a report of RFC 8460 by the fields of its Section 5.3.
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
