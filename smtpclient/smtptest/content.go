package smtptest

import (
	"bytes"
	"io"
	"slices"
	"strconv"
	"strings"
)

// data is DATA: RFC 5321, Section 4.1.1.4.
func (s *session) data(c Command) error {
	d := s.decide(c, s.checkData(c))
	if s.profile.DataEnds && !d.accepts() {
		s.clear()
	}
	if err := s.reply(d, s.waitsFor(c)); err != nil || !d.is("3") {
		return err
	}
	s.slow = true
	content, err := s.readContent(s.open())
	s.slow = false
	if err != nil {
		return err
	}
	return s.endOfData(content, false)
}

func (s *session) checkData(c Command) string {
	switch {
	case s.tx == nil && s.mailSent: // pipelined behind a MAIL that was refused
		return s.answer(MailRefused, "MAIL was refused")
	case s.tx == nil:
		return s.fault(c, DataWithoutMail, "DATA without MAIL")
	case s.tx.chunks > 0:
		// RFC 3030, Section 2.
		return s.fault(c, DataAfterChunk, "DATA after BDAT")
	case s.tx.binary:
		// RFC 3030, Section 3.
		return s.fault(c, DataForBinary, "DATA for BODY=BINARYMIME")
	case s.tx.tooMany:
		return s.answer(DataForNull, "too many recipients for a notice")
	case len(s.tx.to) == 0:
		return s.nobody()
	case c.Args != "":
		return s.withoutArgs(c, "354 go ahead")
	}
	return "354 go ahead"
}

// nobody is the reply to DATA when there are no recipients.
func (s *session) nobody() string {
	in := NoRecipients
	if s.tx.rcpts == 0 {
		in = DataWithoutRcpt
	}
	reply := s.answer(in, "no valid recipients")
	if _, own := s.profile.Replies[in]; !own && s.server.Mode == LMTP {
		return s.text("503", "5.5.1", "no valid recipients") // RFC 2033, Section 4.2
	}
	return reply
}

// readContent reads up to CRLF.CRLF and takes out what dot-stuffing put in:
// RFC 5321, Section 4.5.2.
func (s *session) readContent(tx *transaction) ([]byte, error) {
	s.once = nil
	var content []byte
	for {
		line, err := s.readLine(0, "message")
		if err != nil {
			return nil, err
		}
		if string(line) == ".\r\n" {
			return content, nil
		}
		tx.wire = append(tx.wire, line...)
		wire := line
		if line[0] == '.' {
			line = line[1:]
			if line[0] != '.' {
				s.violateOnce("dot", "a dot at the beginning of a line was not doubled: %q", head(line))
			}
		}
		content = append(content, line...)
		tx.count.add(line)
		s.checkContent(wire, tx)
	}
}

// checkContent records what the last line, which wire is, has brought that must not
// be there. A bare LF has been recorded when it was read.
func (s *session) checkContent(wire []byte, tx *transaction) {
	text := bytes.TrimSuffix(wire, crlf)
	if tx.count.bareCR > 0 {
		s.violateOnce("bare CR", "bare CR in a message: %q", tail(text[:bytes.IndexByte(text, '\r')+1]))
	}
	if tx.count.nul {
		s.violateOnce("NUL", "NUL in a message")
	}
	if tx.count.eightBit && !tx.eightBit && !tx.utf8 {
		s.violateOnce("8-bit", "octets over 127 in a message without BODY=8BITMIME: %q", head(text))
	}
}

// violateOnce records what may come again in the same message only once.
func (s *session) violateOnce(kind, format string, args ...any) {
	if !slices.Contains(s.once, kind) {
		s.once = append(s.once, kind)
		s.violate(format, args...)
	}
}

// endOfData stores the message and answers for it: once, in LMTP for each
// recipient.
func (s *session) endOfData(content []byte, chunked bool) error {
	tx := s.open()
	tx.count.end()
	m := &Message{
		Session: s.id, Transaction: tx.number, From: tx.from, FromArgs: tx.params, Login: s.login,
		To: tx.to, ToArgs: tx.toParams, Data: content, BDAT: chunked, TLS: s.tlsState,
		Wire: tx.wire, Chunks: tx.sizes, BareCR: tx.count.bareCR, BareLF: tx.count.bareLF,
		LongestLine: tx.count.longest, EightBit: tx.count.eightBit, Client: s.client, With: s.with(),
		Replies: make([]string, 1),
	}
	if s.server.Mode == LMTP {
		m.Replies = make([]string, len(tx.to))
	}
	s.server.mu.Lock()
	s.server.messages = append(s.server.messages, m)
	s.server.mu.Unlock()
	s.clear()

	usual := s.text("250", "2.0.0", "ok")
	if len(m.To) == 0 {
		// RFC 2920, Section 3.2 (4): such a message goes nowhere.
		usual = s.answer(NoRecipients, "no valid recipients")
	} else if refusal := s.checkRoom(len(content)); refusal != "" {
		usual = refusal
	}
	s.sent++
	for i := range m.Replies {
		c := Command{Verb: EndOfData}
		if s.server.Mode == LMTP {
			c.Args = m.To[i]
		}
		if err := s.answerFor(m, i, c, usual); err != nil {
			return err
		}
	}
	return nil
}

// checkRoom holds the limits on the size of a content.
func (s *session) checkRoom(size int) string {
	l := s.profile.Limits
	switch {
	case l.Size > 0 && int64(size) > l.Size:
		return s.answer(TooBig, "message too big")
	case l.Space > 0 && int64(size) > l.Space:
		return s.answer(SpaceGone, "no space")
	}
	return ""
}

// with is the protocol as RFC 3848 names it.
func (s *session) with() string {
	word := "SMTP"
	switch {
	case s.server.Mode == LMTP:
		word = "LMTP"
	case s.esmtp:
		word = "ESMTP"
	}
	if s.tlsState != nil {
		word += "S"
	}
	if s.login != "" {
		word += "A"
	}
	return word
}

// answerFor answers the end of data for the i-th reply of m.
func (s *session) answerFor(m *Message, i int, c Command, usual string) error {
	shown := *m
	shown.Replies = slices.Clone(m.Replies)
	c.Message = &shown
	d := s.decide(c, usual)
	s.server.mu.Lock()
	m.Replies[i] = d.text
	s.server.mu.Unlock()
	if m.BDAT && s.server.Mode == SMTP && !d.accepts() {
		s.bdatDead = true
	}
	waits := ""
	if i == len(m.Replies)-1 {
		waits = s.waitsFor(c)
	}
	return s.reply(d, waits)
}

// bdat is BDAT: RFC 3030, Section 2. The octets are read whatever is answered.
// For the last chunk the Script is asked at EndOfData only.
func (s *session) bdat(c Command) error {
	if !s.offered.has("CHUNKING") {
		// The octets will be taken for commands, as on any server that does not
		// know BDAT.
		return s.plain(c, s.fault(c, ChunkNotOffered, "BDAT was not offered"))
	}
	size, last, ok := parseBDAT(c.Args)
	if !ok {
		return s.plain(c, s.fault(c, BadChunk, "bad BDAT"))
	}
	var chunk bytes.Buffer
	s.slow = true
	_, err := io.CopyN(&chunk, s.in, size)
	s.slow = false
	if err != nil {
		return err
	}
	usual := s.checkBDAT(c)
	if usual != "" && last {
		return s.refuseLast(c, usual)
	}
	if usual == "" {
		s.tx.chunks++
		s.tx.data = append(s.tx.data, chunk.Bytes()...)
		s.tx.count.add(chunk.Bytes())
		s.tx.sizes = append(s.tx.sizes, chunk.Len())
		if last {
			return s.endOfData(s.tx.data, true)
		}
		if usual = s.checkRoom(len(s.tx.data)); usual == "" {
			usual = s.text("250", "2.0.0", strconv.FormatInt(size, 10)+" octets")
		}
	}
	d := s.decide(c, usual)
	s.bdatDead = s.bdatDead || !d.accepts()
	return s.reply(d, s.waitsFor(c))
}

func parseBDAT(args string) (size int64, last, ok bool) {
	digits, marker, found := strings.Cut(args, " ")
	size, err := strconv.ParseInt(digits, 10, 63)
	last = strings.EqualFold(marker, "LAST")
	return size, last, err == nil && size >= 0 && digits[0] != '+' && (last || !found)
}

func (s *session) checkBDAT(c Command) string {
	switch {
	case s.tx == nil && s.mailSent: // pipelined behind a MAIL that was refused
		return s.answer(MailRefused, "MAIL was refused")
	case s.tx == nil:
		return s.fault(c, ChunkWithout, "BDAT without MAIL")
	case s.bdatDead && !s.offered.has("PIPELINING"):
		return s.fault(c, ChunkAfterFault, "BDAT after a refused chunk")
	case s.bdatDead:
		return s.answer(ChunkAfterFault, "a chunk was refused")
	case len(s.tx.to) == 0:
		return s.answer(ChunkWithout, "no valid recipients")
	}
	return ""
}

// refuseLast refuses a last chunk when the message cannot be whole. In LMTP
// there is a reply for each accepted recipient even then, and none if there are
// none: RFC 2033, Section 4.3.
func (s *session) refuseLast(c Command, usual string) error {
	replies := 1
	if s.server.Mode == LMTP {
		replies = 0
		if s.tx != nil {
			replies = len(s.tx.to)
		}
	}
	for range replies {
		d := s.decide(c, usual)
		s.bdatDead = true
		if err := s.reply(d, s.waitsFor(c)); err != nil {
			return err
		}
	}
	return nil
}
