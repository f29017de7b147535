package content

import "bytes"

// Encoder turns the bytes of a message into what goes over the wire: every line
// end becomes CRLF, a CR alone becomes a space, and a line that begins with a dot
// gets another one (RFC 5321, Section 4.5.2). So nothing of the message can be
// read as the end of the data, or begin a line that a receiver with other ideas
// of line ends would see. The zero Encoder stands at the start of a line.
type Encoder struct {
	// Chunked is for BDAT, where the length ends the data: dots stay as they
	// are.
	Chunked bool

	inLine bool
	cr     bool // a CR is held back until what follows it is known
}

// Append adds the next bytes of the message to dst.
func (e *Encoder) Append(dst, src []byte) []byte {
	for len(src) > 0 {
		if e.cr {
			e.cr = false
			if src[0] == '\n' {
				dst = append(dst, '\r', '\n')
				e.inLine = false
				src = src[1:]
				continue
			}
			dst = append(dst, ' ')
			e.inLine = true
		}
		if !e.inLine && src[0] == '.' && !e.Chunked {
			dst = append(dst, '.')
		}
		dst, src = e.line(dst, src)
	}
	return dst
}

// line copies up to and with the next line end, or up to a CR that may be one.
func (e *Encoder) line(dst, src []byte) ([]byte, []byte) {
	text, rest, ended := bytes.Cut(src, []byte{'\n'})
	if i := bytes.IndexByte(text, '\r'); i >= 0 && !(ended && i == len(text)-1) {
		e.cr = true
		return append(dst, text[:i]...), src[i+1:]
	}
	if !ended {
		e.inLine = true
		return append(dst, text...), nil
	}
	text = bytes.TrimSuffix(text, []byte{'\r'})
	e.inLine = false
	dst = append(dst, text...)
	return append(dst, '\r', '\n'), rest
}

// End closes the last line.
func (e *Encoder) End(dst []byte) []byte {
	if e.cr {
		e.cr = false
		e.inLine = true
		dst = append(dst, ' ')
	}
	if e.inLine {
		e.inLine = false
		dst = append(dst, '\r', '\n')
	}
	return dst
}

// EndOfData follows the CRLF of the last line.
const EndOfData = ".\r\n"
