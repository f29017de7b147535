package classes

import (
	"strconv"
	"strings"

	"github.com/postrider/postrider/smtpclient"
)

// said is what rows are held against.
type said struct {
	code     string // "" where no reply decided
	enhanced string
	stage    string
	text     string
}

// saidIn takes an attempt apart. A reply that does not say no has not decided.
func saidIn(a *smtpclient.Attempt) said {
	s := said{enhanced: a.Enhanced, stage: a.Stage.String()}
	if a.Reply.Code < 400 {
		return s
	}
	s.code, s.enhanced = strconv.Itoa(a.Reply.Code), a.Reply.Enhanced
	s.text = words(a.Reply)
	return s
}

// words are those of a reply, without what is about an address, so that the name of
// a mailbox says nothing.
func words(reply smtpclient.Reply) string {
	var b strings.Builder
	for _, line := range reply.Lines {
		for i, word := range strings.Fields(line) {
			if strings.Contains(word, "@") && !strings.Contains(word, "://") || i == 0 && word == reply.Enhanced {
				continue
			}
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(strings.ToLower(word))
		}
	}
	return b.String()
}

// matches tells whether the row knows what was said. A row that asks for nothing
// knows nothing.
func (r *Row) matches(s *said) bool {
	if r.Code == "" && r.Enhanced == "" && r.Text == "" {
		return false
	}
	return matchesCode(r.Code, s) && matchesEnhanced(r.Enhanced, s.enhanced) && matchesText(r.Text, s.text)
}

func matchesCode(want string, s *said) bool {
	want, stage, bound := strings.Cut(want, "/")
	if bound && stage != s.stage {
		return false
	}
	if digit, ok := strings.CutSuffix(want, "yz"); ok {
		return strings.HasPrefix(s.code, digit)
	}
	return want == "" || want == s.code
}

func matchesEnhanced(want, have string) bool {
	if detail, ok := strings.CutPrefix(want, "x."); ok {
		_, of, _ := strings.Cut(have, ".")
		return of == detail
	}
	return want == "" || want == have
}

// matchesText finds the parts of want in their order, each from the beginning of a
// word.
func matchesText(want, text string) bool {
	for part := range strings.SplitSeq(want, "*") {
		end := indexWord(text, part)
		if end < 0 {
			return false
		}
		text = text[end:]
	}
	return true
}

// indexWord gives the end of the first place where a word begins with part.
func indexWord(text, part string) int {
	for at := 0; ; {
		i := strings.Index(text[at:], part)
		if i < 0 {
			return -1
		}
		at += i
		if at == 0 || part == "" || !isWord(part[0]) || !isWord(text[at-1]) {
			return at + len(part)
		}
		at++
	}
}

func isWord(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
