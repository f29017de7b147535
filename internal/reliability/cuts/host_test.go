package cuts

import (
	"bytes"
	"strconv"
	"strings"
)

// spec is how a server behaves, apart from the connection.
type spec struct {
	lmtp   bool
	offers []string
	// answers replace the usual ones. The key is a verb, "greeting", "." for the end
	// of the data or "early" for a reply in the midst of content; behind it may stand
	// the local part of whom it is about: the recipient, at MAIL the sender, in SMTP
	// at "." and at DATA the first accepted recipient. Lines are joined by "\n".
	answers map[string]string
	early   int // content that comes before "early"
}

// taken is a message that came whole, and what was answered.
type taken struct {
	to      []string
	content string
	replies []string // one, in LMTP one for each of to
}

// host is a server without a connection: it hears bytes and gives bytes. It shares
// no code with the client, nor with smtptest.
type host struct {
	spec  *spec
	in    []byte
	taken []taken

	secure   bool // inside TLS
	login    int  // lines of AUTH that are still to come
	mailed   bool
	to       []string
	content  bool // DATA was accepted
	said     bool // "early" was
	skip     int  // bytes of a chunk that are still to come
	chunk    string
	text     []byte // of chunks
	out      []byte
	tls, end bool // what comes behind the replies
}

// hear takes bytes of the client and gives the replies to them. Then TLS may begin,
// or the connection end.
func (h *host) hear(p []byte) (out []byte, tls, end bool) {
	h.in = append(h.in, p...)
	for h.step() && !h.tls && !h.end {
	}
	out, tls, end = h.out, h.tls, h.end
	h.out, h.tls = nil, false
	return out, tls, end
}

// greet gives the first words.
func (h *host) greet() []byte {
	h.say("greeting", "", "220 mx.example.net ready")
	out := h.out
	h.out = nil
	return out
}

func (h *host) say(key, who, usual string) string {
	answer := usual
	if a, ok := h.spec.answers[key]; ok {
		answer = a
	}
	if a, ok := h.spec.answers[key+" "+who]; ok {
		answer = a
	}
	h.out = append(h.out, strings.ReplaceAll(answer, "\n", "\r\n")+"\r\n"...)
	h.end = h.end || strings.HasPrefix(answer, "421")
	return answer
}

// step takes what comes next; it is false if that is not here yet.
func (h *host) step() bool {
	switch {
	case h.skip > 0:
		n := min(h.skip, len(h.in))
		h.text = append(h.text, h.in[:n]...)
		h.in, h.skip = h.in[n:], h.skip-n
		if h.skip > 0 {
			return false
		}
		h.endChunk()
		return true
	case h.content:
		return h.stepContent()
	}
	line, rest, whole := bytes.Cut(h.in, []byte("\r\n"))
	if whole {
		h.in = rest
		h.command(string(line))
	}
	return whole
}

func (h *host) stepContent() bool {
	if len(h.in) > h.spec.early && h.spec.early > 0 && !h.said {
		h.said = true
		h.say("early", "", "")
		return true
	}
	text := h.in
	end := bytes.Index(text, []byte("\r\n.\r\n"))
	switch {
	case bytes.HasPrefix(text, []byte(".\r\n")):
		h.in, text = text[3:], nil
	case end >= 0:
		h.in, text = text[end+5:], text[:end+2]
	default:
		return false
	}
	h.content = false
	h.message(strings.ReplaceAll("\r\n"+string(text), "\r\n.", "\r\n")[2:])
	return true
}

// message answers the end of the data.
func (h *host) message(content string) {
	t := taken{to: h.to, content: content}
	switch {
	case h.said: // answered before
		t.replies = []string{h.spec.answers["early"]}
	case h.spec.lmtp:
		for _, to := range h.to {
			t.replies = append(t.replies, h.say(".", local(to), "250 2.0.0 taken"))
		}
	default:
		t.replies = []string{h.say(".", h.first(), "250 2.0.0 taken")}
	}
	h.taken = append(h.taken, t)
	h.mailed, h.to, h.text, h.said = false, nil, nil, false
}

// first is the local part of the first accepted recipient.
func (h *host) first() string {
	if len(h.to) == 0 {
		return ""
	}
	return local(h.to[0])
}

func local(path string) string {
	name, _, _ := strings.Cut(path, "@")
	return name
}

// command answers a line: RFC 5321, Section 4.1, and what extends it.
func (h *host) command(line string) {
	verb, args, _ := strings.Cut(line, " ")
	_, args, _ = strings.Cut(" "+args, " ")
	path := args
	if _, rest, found := strings.Cut(args, "<"); found {
		path, _, _ = strings.Cut(rest, ">")
	}
	switch {
	case h.login > 0:
		h.login--
		h.say("AUTH", "", []string{"235 2.7.0 welcome", "334 UGFzc3dvcmQ6"}[min(h.login, 1)])
	case verb == "EHLO" || verb == "LHLO":
		h.mailed, h.to = false, nil
		h.say(verb, "", h.offer())
	case verb == "MAIL":
		h.mailed = h.say(verb, local(path), "250 2.1.0 sender ok")[0] == '2'
		h.to, h.text = nil, nil
	case verb == "RCPT" && !h.mailed:
		h.say("", "", "503 5.5.1 no sender")
	case verb == "RCPT":
		if h.say(verb, local(path), "250 2.1.5 recipient ok")[0] == '2' {
			h.to = append(h.to, path)
		}
	case verb == "DATA" && len(h.to) == 0:
		h.say("empty", "", "503 5.5.1 no recipients")
	case verb == "DATA":
		h.say(verb, h.first(), "354 go ahead")
	case verb == "BDAT":
		h.beginChunk(args)
	case verb == "AUTH":
		h.auth(args)
	case verb == "STARTTLS":
		h.tls = h.say(verb, "", "220 2.0.0 go ahead")[0] == '2'
	case verb == "QUIT":
		h.say(verb, "", "221 2.0.0 bye")
		h.end = true
	case verb == "RSET":
		h.mailed, h.to = false, nil
		h.say(verb, "", "250 2.0.0 ok")
	default:
		h.say(verb, "", "250 2.0.0 ok")
	}
	h.content = verb == "DATA" && bytes.HasPrefix(lastLine(h.out), []byte("354"))
}

func lastLine(out []byte) []byte {
	out = bytes.TrimSuffix(out, []byte("\r\n"))
	return out[bytes.LastIndexByte(out, '\n')+1:]
}

func (h *host) offer() string {
	lines := []string{"mx.example.net"}
	for _, word := range h.spec.offers {
		if word != "STARTTLS" || !h.secure {
			lines = append(lines, word)
		}
	}
	text := ""
	for i, line := range lines {
		sep := "-"
		if i == len(lines)-1 {
			sep = " "
		}
		text += "\n250" + sep + line
	}
	return text[1:]
}

// auth takes PLAIN in one line, and LOGIN in three.
func (h *host) auth(args string) {
	if strings.HasPrefix(args, "LOGIN") {
		h.login = 2
		h.say("AUTH", "", "334 VXNlcm5hbWU6")
		return
	}
	h.say("AUTH", "", "235 2.7.0 welcome")
}

func (h *host) beginChunk(args string) {
	digits, last, _ := strings.Cut(args, " ")
	h.skip, _ = strconv.Atoi(digits)
	h.chunk = last
	if h.skip == 0 {
		h.endChunk()
	}
}

// endChunk answers a chunk: RFC 3030, Section 2. In LMTP nobody answers the last one
// where there is no recipient.
func (h *host) endChunk() {
	switch {
	case h.chunk == "LAST" && len(h.to) > 0:
		h.message(string(h.text))
	case h.chunk == "LAST" && h.spec.lmtp:
	case len(h.to) == 0:
		h.say("", "", "503 5.5.1 no recipients")
	default:
		if h.say("BDAT", "", "250 2.0.0 go on")[0] != '2' {
			h.to = nil
		}
	}
}
