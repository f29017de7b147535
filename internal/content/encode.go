package content

import "bytes"

// Encoder turns the bytes of a message into what follows the reply to DATA: every
// line end becomes CRLF, a CR alone becomes a space, and a line that begins with
// a dot gets another one (RFC 5321, Section 4.5.2). So nothing but End can write
// the end of the data, and no byte of the message can begin a line that a
// receiver with other ideas of line ends would see. The zero Encoder stands at
// the start of a line.
type Encoder struct {
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
		if !e.inLine && src[0] == '.' {
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
		e.inLine = e.inLine || i > 0
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

// End closes the last line and adds the end of the data.
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
	return append(dst, EndOfData...)
}

// EndOfData follows the CRLF of the last line.
const EndOfData = ".\r\n"
