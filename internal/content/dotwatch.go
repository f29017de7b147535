package content

import "bytes"

// DotWatch looks at a message that was clean when it was scanned, while it goes out
// without an Encoder. It may have changed, and then nobody may read an end of the data
// in it before that shows. The zero DotWatch stands at the start of a line.
type DotWatch struct {
	inLine bool // the last byte was neither CR nor LF
}

// Passes is told of bytes that are known to be those of the scan.
func (d *DotWatch) Passes(p []byte) {
	if n := len(p); n > 0 {
		d.inLine = p[n-1] != '\n' && p[n-1] != '\r'
	}
}

// Sees tells whether a dot stands behind a CR or LF, or at the start.
func (d *DotWatch) Sees(p []byte) bool {
	for rest := p; ; {
		i := bytes.IndexByte(rest, '.')
		if i < 0 {
			break
		}
		if i == 0 && !d.inLine || i > 0 && (rest[i-1] == '\n' || rest[i-1] == '\r') {
			return true
		}
		d.inLine = true
		rest = rest[i+1:]
	}
	d.Passes(p)
	return false
}
