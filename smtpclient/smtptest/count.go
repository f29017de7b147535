package smtptest

// counter counts in a content what a test may ask about. The content may come in
// pieces that are cut anywhere.
type counter struct {
	bareCR, bareLF int
	longest        int // octets of the longest line, without its CRLF
	eightBit, nul  bool

	line int  // octets of the line that is being read
	cr   bool // the last of them is a CR
}

// add counts in the next piece. CRLF alone ends a line: RFC 5321, Section 2.3.8.
func (n *counter) add(p []byte) {
	for _, b := range p {
		if b == '\n' && n.cr {
			n.longest = max(n.longest, n.line-1)
			n.line, n.cr = 0, false
			continue
		}
		if n.cr {
			n.bareCR++
		}
		n.cr = b == '\r'
		n.line++
		switch {
		case b > 0x7f:
			n.eightBit = true
		case b == '\n':
			n.bareLF++
		case b == 0:
			n.nul = true
		}
	}
}

// end counts what was left open.
func (n *counter) end() {
	if n.cr {
		n.bareCR++
	}
	n.longest = max(n.longest, n.line)
	n.line, n.cr = 0, false
}
