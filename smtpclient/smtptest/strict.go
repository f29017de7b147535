package smtptest

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// The checks here return the reply to a command that is at fault, "" if it is
// not, and record what a client must not do.

// checkLine checks what holds for every command.
func (s *session) checkLine(c Command, line string) string {
	for _, r := range []byte(line) {
		switch {
		case r == '\r':
			s.violate("bare CR in a command: %q", line)
		case r == '\n': // recorded when it was read
		case r < ' ' && r != '\t' || r == 0x7f:
			s.violate("control character in a command: %q", line)
		default:
			continue
		}
		return s.answer(BadCharacter, "bad character")
	}
	limit := s.offered.maxCommand(c.Verb)
	if own := s.profile.Limits.Command; own > 0 {
		limit = own
	}
	if len(line)+len(crlf) > limit {
		s.violate("%d octets in a command, the limit is %d: %q", len(line)+len(crlf), limit, head([]byte(line)))
		return s.answer(LongCommand, "line too long")
	}
	if strings.TrimRight(line, " \t") != line {
		s.violate("blank at the end of a command: %q", line)
		if reply := s.answer(BlankAtEnd, "blank at the end"); reply != "" {
			return reply
		}
	}
	if !isASCII(line) && !s.offered.has("SMTPUTF8") {
		s.violate("not ASCII, but SMTPUTF8 was not offered: %q", line)
		return s.answer(NotASCII, "not ASCII")
	}
	return ""
}

func isASCII(s string) bool { return strings.IndexFunc(s, func(r rune) bool { return r > 0x7f }) < 0 }

// validHelloName reports whether name could be a domain name or an address
// literal: RFC 5321, Section 4.1.1.1.
func validHelloName(name string) bool {
	if strings.HasPrefix(name, "[") {
		return strings.HasSuffix(name, "]") && !strings.ContainsAny(name, " \t")
	}
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '.')
	})
}

// checkHello is for EHLO and its like.
func (s *session) checkHello(c Command) string {
	in := BadHello
	switch {
	case validHelloName(c.Args):
		return ""
	case c.Args == "":
		in = NoName
	}
	return s.fault(c, in, "no domain name or address literal")
}

// checkArgument is for the commands that need one, where they are known.
func (s *session) checkArgument(c Command) string {
	_, known := s.profile.At[c.Verb]
	known = known && c.Verb == "ETRN" || c.Verb == "VRFY" || c.Verb == "EXPN" || c.Verb == "ETRN" && s.offered.has("ETRN")
	if c.Args != "" || !known {
		return ""
	}
	if c.Verb == "ETRN" {
		return s.fault(c, NoQueue, "no argument")
	}
	return s.fault(c, MissingArgument, "no argument")
}

// checkMail reads MAIL into tx. The order of commands is that of
// RFC 5321, Section 4.1.4.
func (s *session) checkMail(c Command, tx *transaction) string {
	path, params, ok := parsePath(c.Args, "FROM:")
	tx.from, tx.params = s.stripped(path), params
	if usual := s.checkMailOrder(c); usual != "" {
		return usual
	}
	if !ok {
		return s.fault(c, pathFault(c, "FROM:", BadReversePath), "bad reverse path")
	}
	for keyword, value := range splitParams(params) {
		switch {
		case keyword == "SMTPUTF8":
			tx.utf8 = true
		case keyword == "BODY" && strings.EqualFold(value, "BINARYMIME"):
			tx.binary, tx.eightBit = true, true
			if !s.offered.has("BINARYMIME") {
				return s.fault(c, MailParameter, "BINARYMIME was not offered")
			}
		case keyword == "BODY" && strings.EqualFold(value, "8BITMIME"):
			tx.eightBit = true
		case keyword == "SIZE":
			if usual := s.checkSize(c, value, tx); usual != "" {
				return usual
			}
		}
	}
	return s.checkParams(c, path, params, tx.utf8)
}

// pathFault is the situation of a path that is missing or bad.
func pathFault(c Command, prefix string, bad Situation) Situation {
	if len(c.Args) < len(prefix) || !strings.EqualFold(c.Args[:len(prefix)], prefix) {
		return NoFromTo
	}
	return bad
}

// checkMailOrder checks what has to stand before MAIL.
func (s *session) checkMailOrder(c Command) string {
	switch {
	case !s.greeted:
		return s.fault(c, NoHello, "MAIL before "+s.helloVerb())
	case s.tx != nil:
		return s.fault(c, NestedMail, "second MAIL in a transaction")
	case s.bdatDead:
		// RFC 3030, Section 2.
		return s.fault(c, NoRset, "no RSET after a refused chunk")
	}
	return ""
}

func (s *session) helloVerb() string {
	if s.server.Mode == LMTP {
		return "LHLO"
	}
	return "EHLO"
}

// checkSize is RFC 1870, Section 6.1.
func (s *session) checkSize(c Command, value string, tx *transaction) string {
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil || len(value) > 20 {
		return s.fault(c, BadSize, "bad SIZE")
	}
	if limit := s.offered.size(); limit > 0 && n > uint64(limit) {
		return s.answer(DeclaredTooBig, "message too big")
	}
	if space := s.profile.Limits.Space; space > 0 && n > uint64(space) {
		return s.answer(NoSpace, "no space")
	}
	tx.size = int64(min(n, math.MaxInt64))
	return ""
}

// checkRcpt reads RCPT.
func (s *session) checkRcpt(c Command) (path, params, usual string) {
	path, params, ok := parsePath(c.Args, "TO:")
	if s.tx != nil {
		s.tx.rcpts++
	}
	switch {
	case s.tx == nil && s.mailSent: // pipelined behind a MAIL that was refused
		usual = s.answer(MailRefused, "MAIL was refused")
	case s.tx == nil:
		usual = s.fault(c, NoMail, "RCPT without MAIL")
	case s.tx.chunks > 0:
		usual = s.fault(c, RcptAfterChunk, "RCPT after BDAT")
	case !ok || path == "":
		usual = s.fault(c, pathFault(c, "TO:", BadForwardPath), "bad forward path")
	default:
		usual = s.checkParams(c, path, params, s.tx.utf8)
	}
	if usual == "" {
		usual = s.checkCrowd()
	}
	if usual == "" {
		usual = s.checkRoute(path)
	}
	return path, params, usual
}

// checkCrowd holds the limits on recipients.
func (s *session) checkCrowd() string {
	if s.tx == nil {
		return ""
	}
	l, accepted := s.profile.Limits, len(s.tx.to)
	if s.tx.from == "" && l.NullSender > 0 && s.tx.rcpts > l.NullSender {
		s.tx.tooMany = true
		return s.answer(TooManyForNull, "too many recipients for a notice")
	}
	if l.Recipients > 0 && accepted >= l.Recipients || l.Attempts > 0 && s.tx.rcpts > l.Attempts {
		return s.answer(TooManyRecipients, "too many recipients")
	}
	if l.SpaceEach && l.Space > 0 && s.tx.size > l.Space/int64(accepted+1) {
		return s.answer(NoSpace, "no space")
	}
	return ""
}

// checkParams checks what MAIL and RCPT have in common.
func (s *session) checkParams(c Command, path, params string, utf8 bool) string {
	if !isASCII(path) && !utf8 {
		// RFC 6531, Section 3.4 wants the parameter with such an address.
		return s.fault(c, NeedsSMTPUTF8, "address not ASCII without SMTPUTF8")
	}
	if params == "" {
		return ""
	}
	var seen []string
	for _, param := range strings.Split(params, " ") {
		keyword, value, hasValue := strings.Cut(param, "=")
		if !validKeyword(keyword) || hasValue && (value == "" || strings.Contains(value, "=")) {
			return s.fault(c, BadParameter, "bad parameter")
		}
		keyword = strings.ToUpper(keyword)
		if slices.Contains(seen, keyword) {
			return s.fault(c, TwiceParameter, keyword+" given twice")
		}
		seen = append(seen, keyword)
		bad := !possible(keyword, value)
		if bad && keyword != "BODY" {
			return s.fault(c, BadValue, "bad value of "+keyword)
		}
		if bad || !s.offered.allows(c.Verb, keyword) {
			in := MailParameter
			if c.Verb == "RCPT" {
				in = RcptParameter
			}
			return s.fault(c, in, keyword+" was not offered")
		}
	}
	return ""
}

// possible reports whether a parameter can have this value: RFC 6152,
// RFC 3030, Section 3, RFC 3461, Sections 4.1 and 4.3.
func possible(keyword, value string) bool {
	values, known := map[string][]string{
		"BODY": {"7BIT", "8BITMIME", "BINARYMIME"}, "RET": {"FULL", "HDRS"}, "NOTIFY": {"NEVER", "SUCCESS", "FAILURE", "DELAY"},
	}[keyword]
	if !known {
		return true
	}
	for v := range strings.SplitSeq(strings.ToUpper(value), ",") {
		if !slices.Contains(values, v) || v != strings.ToUpper(value) && (keyword != "NOTIFY" || v == "NEVER") {
			return false
		}
	}
	return true
}

// validKeyword is esmtp-keyword of RFC 5321, Section 4.1.2.
func validKeyword(keyword string) bool {
	return keyword != "" && keyword[0] != '-' && !strings.ContainsFunc(keyword, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-')
	})
}

// splitParams gives the parameters with their keywords in upper case.
func splitParams(params string) map[string]string {
	m := map[string]string{}
	for param := range strings.FieldsSeq(params) {
		keyword, value, _ := strings.Cut(param, "=")
		m[strings.ToUpper(keyword)] = value
	}
	return m
}

// parsePath takes the path and the parameters from the arguments of MAIL or
// RCPT. RFC 5321, Section 3.3: there are no blanks beside the colon.
func parsePath(args, prefix string) (path, params string, ok bool) {
	if len(args) < len(prefix) || !strings.EqualFold(args[:len(prefix)], prefix) {
		return "", "", false
	}
	rest := args[len(prefix):]
	end := pathEnd(rest)
	if end < 0 {
		return rest, "", false
	}
	path, rest = rest[1:end], rest[end+1:]
	if rest == "" {
		return path, "", true
	}
	params, ok = strings.CutPrefix(rest, " ")
	return path, params, ok && params != ""
}

// pathEnd is the place of the '>' that ends a path, which none in a quoted
// string does; -1 if it does not end, or does not begin with '<'.
func pathEnd(s string) int {
	if !strings.HasPrefix(s, "<") {
		return -1
	}
	quoted := false
	for i := 1; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case !quoted && s[i] == '>':
			return i
		case !quoted && (s[i] == '<' || s[i] == ' ' || s[i] == '\t'):
			return -1
		}
	}
	return -1
}
