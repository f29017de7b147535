package content

import (
	"bytes"
	"strings"
)

// holdsAddresses tells of a field of a header, by its name in lower case, whether
// it holds addresses: those of RFC 5322, Section 3.6, and some that are in use
// besides.
func holdsAddresses(name string) bool {
	switch strings.TrimPrefix(name, "resent-") {
	case "from", "sender", "reply-to", "to", "cc", "bcc", "return-path", "return-receipt-to",
		"disposition-notification-to", "errors-to", "apparently-to", "mail-followup-to":
		return true
	}
	return false
}

// rewriteAddresses puts what address gives in place of each address of a field
// and leaves all else as it stands: names, comments, groups and folds. What it
// cannot read it leaves alone.
func rewriteAddresses(field []byte, address func(string) (string, error)) ([]byte, error) {
	colon := bytes.IndexByte(field, ':') + 1
	tokens, ok := scanTokens(field[colon:])
	if !ok {
		return field, nil
	}
	out := bytes.Clone(field[:colon])
	value, done, changed := field[colon:], 0, false
	for _, s := range addressSpans(tokens) {
		old := s.text(value)
		fresh, err := address(old)
		if err != nil {
			return nil, err
		}
		if fresh == old {
			continue
		}
		changed = true
		out = append(append(out, value[done:s.start()]...), fresh...)
		for _, t := range s {
			if t.kind == commentToken { // between the parts of the address
				out = append(append(out, ' '), value[t.start:t.end]...)
			}
		}
		done = s.end()
	}
	if !changed {
		return field, nil
	}
	return foldedField(append(out, value[done:]...))
}

// token is a piece of a structured field (RFC 5322, Section 3.2).
type token struct {
	kind       byte // of the special characters: itself
	start, end int
}

const (
	wordToken    = 'w' // dot-atom, or a part of one
	quotedToken  = '"'
	commentToken = '('
	literalToken = '['
)

// scanTokens takes the value of a field apart. Blanks and folds are between the
// tokens. Not ok is a value in which something is left open.
func scanTokens(v []byte) (tokens []token, ok bool) {
	for i := 0; i < len(v); {
		start := i
		kind := v[i]
		switch kind {
		case ' ', '\t', '\r', '\n':
			i++
			continue
		case '"':
			i = closing(v, i, '"')
		case '[':
			i = closing(v, i, ']')
		case '(':
			i = closing(v, i, ')')
		case '<', '>', '@', ',', ';', ':':
			i++
		case ')', ']', '\\':
			return nil, false
		default:
			kind = wordToken
			for i < len(v) && bytes.IndexByte([]byte(" \t\r\n\"[](),;:<>@\\"), v[i]) < 0 {
				i++
			}
		}
		if i < 0 {
			return nil, false
		}
		tokens = append(tokens, token{kind, start, i})
	}
	return tokens, true
}

// closing is behind the end of what begins at i, or -1. Comments nest.
func closing(v []byte, i int, end byte) int {
	depth := 0
	for i++; i < len(v); i++ {
		switch c := v[i]; {
		case c == '\\':
			i++
		case c == end && depth == 0:
			return i + 1
		case c == end:
			depth--
		case c == '(' && end == ')':
			depth++
		}
	}
	return -1
}

// span is the tokens of one address, comments between them included.
type span []token

func (s span) start() int { return s[0].start }
func (s span) end() int   { return s[len(s)-1].end }

// text is the address without blanks and comments.
func (s span) text(v []byte) string {
	var text []byte
	for _, t := range s {
		if t.kind != commentToken {
			text = append(text, v[t.start:t.end]...)
		}
	}
	return string(text)
}

// addressSpans finds the addresses: alone between commas, or in angle brackets.
func addressSpans(tokens []token) (spans []span) {
	begin := 0
	add := func(end int) {
		if s, ok := mailbox(tokens[begin:end]); ok {
			spans = append(spans, s)
		}
	}
	for i := 0; i < len(tokens); i++ {
		switch tokens[i].kind {
		case ',', ';':
			add(i)
			begin = i + 1
		case ':': // behind the name of a group, or a route
			begin = i + 1
		case '<':
			begin = i + 1
		case '>':
			add(i)
			begin = i + 1
			for begin < len(tokens) && tokens[begin].kind != ',' && tokens[begin].kind != ';' {
				begin++
			}
			i = begin - 1
		}
	}
	add(len(tokens))
	return spans
}

// mailbox tells whether tokens are one address: words, one @, and a domain.
func mailbox(tokens []token) (span, bool) {
	for len(tokens) > 0 && tokens[0].kind == commentToken {
		tokens = tokens[1:]
	}
	for len(tokens) > 0 && tokens[len(tokens)-1].kind == commentToken {
		tokens = tokens[:len(tokens)-1]
	}
	local, domain, at := 0, 0, 0
	for _, t := range tokens {
		switch {
		case t.kind == commentToken:
		case t.kind == '@':
			at++
		case at == 0 && (t.kind == wordToken || t.kind == quotedToken):
			local++
		case at == 1 && (t.kind == wordToken || t.kind == literalToken):
			domain++
		default:
			return nil, false
		}
	}
	return tokens, local == 1 && at == 1 && domain == 1
}
