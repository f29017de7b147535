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
	text     string // the words
	links    string // the web addresses
}

// saidIn takes an attempt apart. A reply that does not say no has not decided.
func saidIn(a *smtpclient.Attempt) said {
	s := said{enhanced: a.Enhanced, stage: a.Stage.String()}
	if a.Reply.Code < 400 {
		return s
	}
	s.code, s.enhanced = strconv.Itoa(a.Reply.Code), a.Reply.Enhanced
	s.text, s.links = wordsOf(a.Reply)
	if s.enhanced == "" {
		s.enhanced = codeAmong(s.text, a.Reply.Code)
	}
	return s
}

// wordsOf are those of a reply, as rows ask for them, and apart from them its web
// addresses and names of hosts, where any word may stand. What is about an address is
// left out: neither the name of a mailbox nor that of a host says why.
func wordsOf(reply smtpclient.Reply) (text, links string) {
	var words, web []string
	for _, line := range reply.Lines {
		for i, word := range strings.Fields(line) {
			switch {
			case strings.Contains(word, "://"), isHost(word):
				web = append(web, word)
			case strings.Contains(word, "@"), i == 0 && word == reply.Enhanced:
			default:
				words = append(words, word)
			}
		}
	}
	return plain(strings.Join(words, " ")), plain(strings.Join(web, " "))
}

// isHost tells that a word is the name of a host, perhaps with an address or a port
// behind it: labels of letters and digits, and the last is of a few small letters.
func isHost(word string) bool {
	word = strings.Trim(word, `()<>[]:;,."'`)
	if end := strings.IndexAny(word, "[(:"); end >= 0 {
		word = strings.TrimRight(word[:end], ".")
	}
	at := strings.LastIndexByte(word, '.')
	top := word[at+1:]
	if at <= 0 || len(top) < 2 || len(top) > 6 || strings.Trim(top, "abcdefghijklmnopqrstuvwxyz") != "" {
		return false
	}
	for label := range strings.SplitSeq(strings.ToLower(word[:at]), ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

// plain is a text as rows have theirs: in lower case, and with one way to write what
// has several.
func plain(text string) string {
	text = strings.ToLower(text)
	return oneWay.Replace(strings.ReplaceAll(text, "e-mail", "email"))
}

var oneWay = strings.NewReplacer("\u2019", "'", "-", " ", "_", " ")

// codeAmong finds an enhanced code that does not come first, as qmail's "(#5.1.1)".
func codeAmong(text string, reply int) string {
	for _, word := range strings.Fields(text) {
		word = strings.Trim(word, "()[]<>#:;,.")
		digits := strings.Split(word, ".")
		if len(digits) != 3 || digits[0] != strconv.Itoa(reply/100) {
			continue
		}
		subject, err := strconv.Atoi(digits[1])
		if _, detail := strconv.Atoi(digits[2]); err == nil && detail == nil && subject <= 7 {
			return word
		}
	}
	return ""
}

// matches tells whether the row knows what was said. A row that asks for nothing
// knows nothing.
func (r *Row) matches(s *said) bool {
	if r.Code == "" && r.Enhanced == "" && r.Text == "" {
		return false
	}
	return matchesCode(r.Code, s) && matchesEnhanced(r.Enhanced, s.enhanced) && matchesText(r.Text, s)
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

// matchesText asks for each part of want, in any order.
func matchesText(want string, s *said) bool {
	if want == "" {
		return true
	}
	for part := range strings.SplitSeq(want, " & ") {
		part, none := strings.CutPrefix(part, "!")
		if hasOneOf(part, s) == none {
			return false
		}
	}
	return true
}

// hasOneOf tells that one of the alternatives of a part is there.
func hasOneOf(part string, s *said) bool {
	for one := range strings.SplitSeq(part, "|") {
		if link, ok := strings.CutPrefix(one, "//"); ok {
			if hasPhrase(link, s.links) {
				return true
			}
		} else if hasPhrase(one, s.text) {
			return true
		}
	}
	return false
}

// hasPhrase finds the pieces of want in their order, each from the beginning of a
// word.
func hasPhrase(want, text string) bool {
	for piece := range strings.SplitSeq(want, "*") {
		end := indexWord(text, piece)
		if end < 0 {
			return false
		}
		text = text[end:]
	}
	return true
}

// indexWord gives the end of the first place where a word begins with part, or is
// part, where that ends with "$".
func indexWord(text, part string) int {
	part, whole := strings.CutSuffix(part, "$")
	for at := 0; ; at++ {
		i := strings.Index(text[at:], part)
		if i < 0 {
			return -1
		}
		at += i
		end := at + len(part)
		if begins(text, at, part) && !(whole && end < len(text) && isWord(text[end])) {
			return end
		}
	}
}

func begins(text string, at int, part string) bool {
	return at == 0 || part == "" || !isWord(part[0]) || !isWord(text[at-1])
}

func isWord(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 0x80 }
