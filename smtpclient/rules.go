package smtpclient

import (
	"errors"
	"fmt"

	"github.com/postrider/postrider/internal/content"
)

// ContentRules say what is done with content that cannot go as it is. They hold
// for all but BodyBinary, which is sent byte by byte. A NUL byte is always
// refused there (5.6.0).
type ContentRules struct {
	// StrayCRLF is a CR or LF alone. Repair makes a bare LF a line end and a bare
	// CR a space, so that nothing in the content can be read as the end of the
	// data (RFC 5321, Section 2.3.8). Refuse fails the message (5.6.0). Keep is a
	// fault of the configuration.
	StrayCRLF Treatment
	// EightBit is 8-bit content for a server without 8BITMIME (RFC 6152, Section
	// 3). Repair converts it to 7-bit, part by part; what cannot be converted, as
	// signed mail, whose signature would break, does not go to this server, and
	// fails where no other host takes it (5.6.3). Refuse does so with all of it.
	// Keep sends it as it is, signed or not, with a note: a server may strip the
	// eighth bit, or take it for another character set.
	EightBit Treatment
	// LongLines are lines of more than 998 bytes (RFC 5321, Section
	// 4.5.3.1.6). Repair folds them as Postfix does, but never within a character;
	// signed mail goes as it is, with a note. Refuse fails the message (5.6.0).
	// Keep sends it as it is, with a note.
	LongLines Treatment
}

// Treatment is what is done with content.
type Treatment uint8

// The treatments.
const (
	Repair Treatment = iota // make it fit to be sent
	Refuse                  // do not send it
	Keep                    // send it as it is
)

// fault is what is wrong with the configuration, or nil.
func (r ContentRules) fault() error {
	switch {
	case r.StrayCRLF == Keep:
		return errors.New("Dialer.Rules.StrayCRLF: Keep is not possible: what follows could be read as another message")
	case max(r.StrayCRLF, r.EightBit, r.LongLines) > Keep:
		return fmt.Errorf("Dialer.Rules: %w", errUnknownValue)
	}
	return nil
}

// rules are those of a Dialer, which may be nil.
func (d *Dialer) rules() ContentRules {
	if d == nil {
		return ContentRules{}
	}
	return d.Rules
}

// refuse is why content cannot go to any server, or nil.
func (r ContentRules) refuse(body Body, f *content.Facts) error {
	switch {
	case body == BodyBinary:
		return nil
	case f.NUL:
		return errors.New("it holds a NUL byte, which only BodyBinary can carry")
	case f.EightBit && body == Body7Bit:
		return errors.New("it is 8-bit, but Envelope.Body says Body7Bit")
	case f.StrayCRLF && r.StrayCRLF == Refuse:
		return errors.New("it holds a CR or LF alone, which Dialer.Rules.StrayCRLF refuses")
	case f.LongestLine > maxTextLine && r.LongLines == Refuse:
		return fmt.Errorf("it has a line of %d bytes; Dialer.Rules.LongLines refuses more than %d", f.LongestLine, maxTextLine)
	}
	return nil
}

// fit chooses the form in which the server gets the message, and how it goes. A
// misfit is why it cannot have it; an error is one of reading the content.
func (t *transaction) fit() (*misfit, error) {
	ext := &t.s.ext
	t.message = t.message.under(t.stamps())
	switch {
	case t.env.Body == BodyBinary && (!ext.has("BINARYMIME") || !ext.chunking || t.s.quirks.Chunking == ChunkingOff):
		return &misfit{"5.6.3", errors.New("the message is binary, but the server does not offer BINARYMIME and CHUNKING"), true}, nil
	case t.letterNeedsUTF8() && !ext.smtpUTF8:
		return &misfit{"5.6.7", errors.New("the message needs SMTPUTF8, which the server does not offer"), true}, nil
	}
	if t.env.Body != BodyBinary {
		if m, err := t.convert(); m != nil || err != nil {
			return m, err
		}
	}
	if ext.size > 0 && t.size() > ext.size {
		// RFC 1870, Section 4: to try is to be refused.
		return &misfit{enhanced: "5.3.4", cause: fmt.Errorf("the message has %d bytes, but the server takes %d at most", t.size(), ext.size)}, nil
	}
	t.chooseWay()
	return nil, nil
}

// convert brings the message into the form that the server can take.
func (t *transaction) convert() (*misfit, error) {
	l, rules, ctx := t.letter, t.s.rules, t.s.call.ctx
	m, f := l.message, form(0)
	var err error
	if m.facts.EightBit && !t.s.ext.eightBitMIME {
		switch rules.EightBit {
		case Keep:
			t.note("8-bit content was sent as it is: the server does not offer 8BITMIME")
		case Refuse:
			return &misfit{"5.6.3", errors.New("the message is 8-bit, but the server does not offer 8BITMIME"), true}, nil
		default:
			f = sevenBit
			if m, err = l.in(ctx, f); err != nil {
				return nil, err
			}
		}
	}
	if m.unfit != nil {
		return &misfit{m.unfit.Enhanced, fmt.Errorf("the server does not offer 8BITMIME, and the message cannot be converted: %w", m.unfit), true}, nil
	}
	switch n := m.facts.LongestLine; {
	case n > maxTextLine && rules.LongLines == Repair:
		if m, err = l.in(ctx, f|folded); err != nil {
			return nil, err
		}
	case n > maxTextLine:
		t.note(longLineNote(n))
	}
	for _, n := range m.notes {
		t.note(n)
	}
	t.message = m.under(t.stamps())
	return nil, nil
}

func (t *transaction) note(text string) { t.s.at.Notes = append(t.s.at.Notes, text) }

// largeFile is from what size on a file goes straight by ChunkingAuto: below, what
// is saved is less than a packet's time.
const largeFile = 1 << 20

// chooseWay decides between DATA and BDAT.
func (t *transaction) chooseWay() {
	s := t.s
	auto, straight := s.quirks.Chunking == ChunkingAuto, s.ext.chunking && t.canGoStraight()
	t.chunked = s.ext.chunking && (t.env.Body == BodyBinary || !auto && s.quirks.Chunking != ChunkingOff ||
		auto && straight && t.message.size >= largeFile)
	t.straight = t.chunked && straight && !t.fitsGroup()
}
