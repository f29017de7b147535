package smtpclient_test

import "strings"

// heard is a reply as a second reader has it, written from RFC 5321, Section 4.2,
// and the bounds of DESIGN.md 5.
type heard struct {
	code  int
	lines int
	text  string // of all lines
	end   int    // in the stream
}

// final tells a refusal for good. 530 is about us, and not about the message (RFC 4954,
// Section 6).
func (r heard) final() bool { return r.code >= 500 && r.code != 530 }

// hear reads the replies of a stream, up to the first thing that is none.
func hear(stream []byte) []heard {
	var replies []heard
	for at := 0; ; {
		reply, ok := hearOne(string(stream[at:]))
		if !ok {
			return replies
		}
		at += reply.end
		reply.end = at
		replies = append(replies, reply)
	}
}

func hearOne(in string) (reply heard, ok bool) {
	total := 0
	for lines := 1; ; lines++ {
		line, _, ended := strings.Cut(in[reply.end:], "\n")
		reply.end += len(line) + 1
		if !ended || len(line) >= 4<<10 || lines > 1<<10 {
			return heard{}, false
		}
		line = strings.TrimRight(line, "\r")
		if total += len(line); total > 64<<10 || len(line) < 3 {
			return heard{}, false
		}
		code := hearCode(line[:3])
		if code == 0 || reply.code != 0 && code != reply.code {
			return heard{}, false
		}
		reply.code, reply.lines = code, lines
		switch {
		case len(line) == 3:
			return reply, true
		case line[3] == ' ':
			reply.text += line[4:] + "\n"
			return reply, true
		case line[3] != '-':
			return heard{}, false
		}
		reply.text += line[4:] + "\n"
	}
}

// hearCode reads three digits, the first from 2 to 5.
func hearCode(s string) int {
	code := 0
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0
		}
		code = 10*code + int(c-'0')
	}
	if code < 200 || code > 599 {
		return 0
	}
	return code
}

// yes tells that a reply says yes to MAIL, RCPT, RSET, BDAT or the final dot: the
// other codes of RFC 5321, Section 4.2.3 (and 235 of RFC 4954) answer other
// commands.
func (h heard) yes() bool {
	return h.code/100 == 2 && h.code != 211 && h.code != 214 && h.code != 220 && h.code != 221 && h.code != 235
}

func (h heard) no() bool { return h.code >= 400 }

// offers tells that a line of the reply may offer an extension.
func (h heard) offers(keyword string) bool {
	_, lines, _ := strings.Cut(h.text, "\n")
	return strings.Contains(strings.ToUpper(lines), keyword)
}
