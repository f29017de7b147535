package content

import "bytes"

// converter carries out a Plan.
type converter struct {
	walker
	plan    *Plan
	out     []byte
	wrote   bool // Content-Transfer-Encoding of the entity in work
	quote   quoter
	base    base64Writer
	lastEnd []byte // of the last line, which may belong to a delimiter
	mend    bool   // the line in work has to be mended
}

func (c *converter) take() []byte {
	out := c.out
	c.out = c.out[:0]
	return out
}

// action is what is to be done with the body of e.
func (c *converter) action(e *entity) action {
	if e.index < len(c.plan.actions) {
		return c.plan.actions[e.index]
	}
	return keep
}

var encodingNames = [...]string{quotedPrintable: "quoted-printable", base64Encoding: "base64"}

func (c *converter) field(e *entity, name string, field []byte) error {
	if name != "content-transfer-encoding" || c.untouched(e) {
		c.out = append(c.out, field...)
		return nil
	}
	switch a := c.action(e); {
	case a != keep && c.wrote:
		// Only the first of several counts.
	case a != keep:
		c.encoding(encodingNames[a])
	case e.encoding == "8bit" || e.encoding == "binary":
		if !c.wrote {
			c.encoding("7bit")
		}
	default:
		c.out = append(c.out, field...)
	}
	return nil
}

// untouched tells that not even a label may change.
func (c *converter) untouched(e *entity) bool {
	return !c.plan.Changed || e.signed && !c.plan.how.BreakSignatures
}

func (c *converter) encoding(name string) {
	c.wrote = true
	c.out = append(c.out, "Content-Transfer-Encoding: "+name+"\r\n"...)
}

func (c *converter) headEnd(e *entity, empty []byte) error {
	a := c.action(e)
	added := len(c.out)
	if e.isMessage() && !e.hasVersion && (a != keep || e.index == 0 && e.hasType && !c.untouched(e)) {
		c.out = append(c.out, "MIME-Version: 1.0\r\n"...)
	}
	if a != keep && !e.hasType && e.typ == "text/plain" {
		// RFC 1428, Section 3: the character set is anybody's guess.
		c.out = append(c.out, "Content-Type: text/plain; charset=unknown-8bit\r\n"...)
	}
	if a != keep && !c.wrote {
		c.encoding(encodingNames[a])
	}
	if empty == nil && (a != keep || len(c.out) > added) {
		empty = []byte("\r\n")
	}
	c.out = append(c.out, empty...)
	c.wrote, c.mend = false, false
	c.quote, c.base, c.lastEnd = quoter{}, base64Writer{}, c.lastEnd[:0]
	return nil
}

func (c *converter) body(e *entity, text []byte, start bool) error {
	line := cutEnd(text)
	switch c.action(e) {
	case quotedPrintable:
		c.heldEnd(quotedPrintable)
		c.out = c.quote.text(c.out, line)
	case base64Encoding:
		c.heldEnd(base64Encoding)
		c.out = c.base.text(c.out, line)
	default:
		c.kept(e, text, start)
		return nil
	}
	c.lastEnd = append(c.lastEnd[:0], text[len(line):]...)
	return nil
}

// cutEnd takes the line end off.
func cutEnd(text []byte) []byte {
	if line, ok := bytes.CutSuffix(text, []byte("\n")); ok {
		return bytes.TrimSuffix(line, []byte("\r"))
	}
	return text
}

// heldEnd writes the line end of the line before, now that it is known to be part
// of the body.
func (c *converter) heldEnd(a action) {
	switch {
	case len(c.lastEnd) == 0:
	case a == quotedPrintable:
		c.out = c.quote.endLine(c.out)
	default:
		c.out = c.base.text(c.out, c.lastEnd)
	}
	c.lastEnd = c.lastEnd[:0]
}

// kept writes a body that stays in its encoding, mended where a line of it could
// not go as it is.
func (c *converter) kept(e *entity, text []byte, start bool) {
	if start {
		c.mend = !c.untouched(e) && (eightBit(text) || len(text) > MaxLine+2)
	}
	switch {
	case c.mend && e.encoding == "quoted-printable":
		c.out = c.quote.requote(c.out, text)
	case c.mend && e.encoding == "base64":
		c.out = c.quote.rebase(c.out, text)
	default:
		c.out = append(c.out, text...)
	}
}

func (c *converter) bodyEnd(e *entity, delimiter bool) error {
	a := c.action(e)
	if a == keep {
		c.out = c.quote.endRequote(c.out)
		return nil
	}
	ended := len(c.lastEnd) > 0
	if !delimiter {
		c.heldEnd(a)
	}
	c.out = c.quote.endText(c.out)
	c.out = c.base.end(c.out)
	// The line end that belongs to the delimiter. Behind base64 there is one
	// already.
	if delimiter && ended && a == quotedPrintable {
		c.out = append(c.out, '\r', '\n')
	}
	return nil
}

func (c *converter) delimiter(text []byte) error {
	c.out = append(c.out, text...)
	return nil
}

func (c *converter) outside(_ *enclosure, text []byte) error {
	for _, b := range text {
		if b >= 0x80 {
			b = '?'
		}
		c.out = append(c.out, b)
	}
	return nil
}

func (c *converter) closed(*enclosure) error { return nil }
