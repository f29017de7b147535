package smtptest

import (
	"bytes"
	"net"
	"strings"
	"time"
)

// Enhanced says which usual replies have an enhanced status code (RFC 3463).
type Enhanced uint8

// The ways of enhanced codes.
const (
	EnhancedAsOffered  Enhanced = iota // all that should, where ENHANCEDSTATUSCODES was offered
	EnhancedAlways                     // also where it was not offered
	EnhancedNever                      // none
	EnhancedMixed                      // every second reply
	EnhancedWrongClass                 // those of another class than the reply: 5 with 2, 2 with 4, 4 with 5
)

// text is a reply. RFC 2034, Section 4 has the enhanced code in it only where
// that was offered.
func (s *session) text(code, enhanced, text string) string {
	if enhanced == "" {
		return code + " " + text
	}
	return s.coded(code + " " + enhanced + " " + text)
}

// coded is a reply with its enhanced codes as the Profile has them.
func (s *session) coded(reply string) string {
	with := s.offered.has("ENHANCEDSTATUSCODES")
	switch s.profile.Enhanced {
	case EnhancedAlways, EnhancedWrongClass:
		with = true
	case EnhancedNever:
		with = false
	case EnhancedMixed:
		s.mixed = !s.mixed
		with = s.mixed
	}
	lines := strings.Split(reply, "\n")
	for i, line := range lines {
		code, enhanced, rest := splitReply(line)
		switch {
		case enhanced == "":
		case !with:
			lines[i] = code + rest
		case s.profile.Enhanced == EnhancedWrongClass:
			lines[i] = code + wrongClass[enhanced[0]] + enhanced[1:] + " " + rest
		}
	}
	return strings.Join(lines, "\n")
}

var wrongClass = map[byte]string{'2': "5", '4': "2", '5': "4"}

// splitReply cuts a line into its code with what follows it, the enhanced code if
// there is one, and the rest.
func splitReply(line string) (code, enhanced, rest string) {
	if len(line) < 5 {
		return line, "", ""
	}
	word, text, _ := strings.Cut(line[4:], " ")
	if strings.Count(word, ".") != 2 || !strings.Contains("245", word[:1]) || strings.Trim(word, "0123456789.") != "" {
		return line[:4], "", line[4:]
	}
	return line[:4], word, text
}

// careted puts a line with a caret before a reply to a command that was not
// understood, and the command behind, as ZMailer does.
func (s *session) careted(c Command, reply string) string {
	if !s.profile.Caret || !(strings.HasPrefix(reply, "500") || strings.HasPrefix(reply, "501") || strings.HasPrefix(reply, "555")) {
		return reply
	}
	code, enhanced, rest := splitReply(reply[strings.LastIndex(reply, "\n")+1:])
	if enhanced != "" {
		enhanced += " "
	}
	head := code[:3] + "-" + enhanced
	return head + strings.Repeat(" ", min(200, len(c.Verb)+1)) + "^\n" + head + rest + "\n" + code + enhanced + "command was: " + c.line()
}

// shaped is a reply as a Fault has it.
func (f Fault) shaped(reply []byte) []byte {
	text := bytes.TrimSuffix(reply, crlf)
	code := []byte("250")
	if len(text) >= 3 {
		code = text[:3]
	}
	line := func(sep, rest string) []byte { return []byte(string(code) + sep + rest + "\r\n") }
	switch f {
	case Twice:
		return bytes.Repeat(reply, 2)
	case Unterminated:
		return bytes.ReplaceAll(reply, append(bytes.Clone(code), ' '), append(bytes.Clone(code), '-'))
	case EmptyLine:
		return append([]byte("\r\n"), reply...)
	case BareLF:
		return bytes.ReplaceAll(reply, crlf, []byte("\n"))
	case Lines:
		return append(line("-", "one"), append(line("-", ""), reply...)...)
	case MixedCodes:
		return append([]byte(otherClass(code)+"-another code\r\n"), reply...)
	case Huge:
		return append(bytes.Repeat(line("-", strings.Repeat("x", 1000)), 1100), reply...)
	case EightBit:
		return append(bytes.Clone(text), " gr\xc3\xbc\xdf \xff\r\n"...)
	case NUL:
		return append(bytes.Clone(text), " \x00\r\n"...)
	}
	return reply
}

// otherClass is a code that says the opposite.
func otherClass(code []byte) string {
	if code[0] == '2' {
		return "550"
	}
	return "250"
}

// trickle writes a reply line by line.
func (s *session) trickle(d decision) error {
	interval := d.Delay
	if interval <= 0 {
		interval = time.Second
	}
	for line := range bytes.Lines(d.wire()) {
		if !s.pause(interval) {
			return net.ErrClosed
		}
		if err := s.write(line); err != nil {
			return err
		}
	}
	return nil
}
