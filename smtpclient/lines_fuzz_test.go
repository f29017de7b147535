package smtpclient_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/address"
	"github.com/postrider/postrider/smtpclient"
)

// said reads command lines, by the grammar and not by our own writer.
type said struct {
	t      *testing.T
	server *yesServer
	env    *smtpclient.Envelope
	rcpts  map[twinOf]bool
	utf8   bool // MAIL has SMTPUTF8
}

// line holds one line, as it came, against its grammar, and gives its verb.
func (s *said) line(line string) string {
	text, ended := strings.CutSuffix(line, "\r\n")
	if !ended || strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f || c == utf8.RuneError }) {
		s.t.Errorf("the line %q", line)
	}
	verb, arg, _ := strings.Cut(text, " ")
	most := 512 // RFC 5321, Section 4.5.3.1.4
	switch verb {
	case "EHLO":
		if arg == "" || strings.ContainsFunc(arg, func(c rune) bool { return c <= ' ' || c > '~' }) {
			s.t.Errorf("our name in %q", line)
		}
	case "XFORWARD":
		s.params(strings.Split(arg, " "), map[string]string{
			"NAME": s.env.XForward.Name, "ADDR": s.env.XForward.Addr.Addr().String(), "PORT": strconv.Itoa(int(s.env.XForward.Addr.Port())),
			"PROTO": s.env.XForward.Proto, "HELO": s.env.XForward.Helo, "IDENT": s.env.XForward.Ident, "SOURCE": s.env.XForward.Source, "LOGIN": s.env.XForward.Login,
		})
	case "MAIL":
		most += s.mail(arg)
	case "RCPT":
		most += s.rcpt(arg)
	case "BDAT":
		if arg != fmt.Sprintf("%d LAST", len(hello)) || !s.server.offered("CHUNKING") {
			s.t.Errorf("%q", line)
		}
	default:
		if arg != "" || verb != "DATA" && verb != "QUIT" {
			s.t.Errorf("%q", line)
		}
	}
	if len(line) > most {
		s.t.Errorf("%s has %d bytes, but at most %d are allowed: %q", verb, len(line), most, line)
	}
	return verb
}

// mail reads the argument of MAIL, and tells what its extensions add to its length.
func (s *said) mail(arg string) int {
	path, params := s.path("FROM:", arg)
	from, _ := address.Parse(s.env.From)
	if want := from.String(); path != want && (path != "" || s.env.From != "<>") {
		s.t.Errorf("MAIL %s, want %q", arg, want)
	}
	s.utf8 = slices.Contains(params, "SMTPUTF8")
	if !s.utf8 && strings.ContainsFunc(arg, func(c rune) bool { return c > '~' }) {
		s.t.Errorf("MAIL %s without SMTPUTF8", arg)
	}
	s.params(params, map[string]string{
		"SIZE": strconv.Itoa(len(hello)), "BODY": "", "SMTPUTF8": "", "ENVID": s.env.EnvID, "RET": "", "AUTH": s.env.Auth,
		"MT-PRIORITY": strconv.Itoa(s.env.Priority), "BY": "", "HOLDFOR": strconv.Itoa(int(s.env.HoldFor / time.Second)), "HOLDUNTIL": s.env.HoldUntil.UTC().Format(time.RFC3339),
	})
	return s.allowance(map[string]int{
		"SIZE":          26,  // RFC 1870, Section 3
		"8BITMIME":      17,  // RFC 6152, Section 2
		"SMTPUTF8":      10,  // RFC 6531, Section 3.1
		"DSN":           116, // RFC 3461, Section 5.4: ENVID of 100, and RET
		"AUTH":          500, // RFC 4954, Section 3
		"MT-PRIORITY":   15,  // RFC 6710, Section 3
		"DELIVERBY":     17,  // RFC 2852, Section 2
		"FUTURERELEASE": 34,  // RFC 4865, Section 3
	})
}

// rcpt is mail for RCPT.
func (s *said) rcpt(arg string) int {
	path, params := s.path("TO:", arg)
	if !s.utf8 && strings.ContainsFunc(arg, func(c rune) bool { return c > '~' }) {
		s.t.Errorf("RCPT %s without SMTPUTF8", arg)
	}
	orcpt := ""
	for _, p := range params {
		if v, ok := strings.CutPrefix(p, "ORCPT="); ok {
			orcpt = decodeORCPT(v)
		}
	}
	if !s.asksFor(path, orcpt) {
		s.t.Errorf("RCPT %s: nobody asked for that in %+v", arg, s.env.To)
	}
	s.params(params, map[string]string{"ORCPT": "", "NOTIFY": "", "RRVS": base.Format(time.RFC3339)})
	return s.allowance(map[string]int{
		"DSN":  530, // RFC 3461, Section 5.4
		"RRVS": 33,  // RFC 7293, Section 3
	})
}

// asksFor tells that a recipient who was delivered has this path and ORCPT.
func (s *said) asksFor(path, orcpt string) bool {
	for to := range s.rcpts {
		if to.path == path && (to.orcpt == orcpt || !s.server.offered("DSN") && orcpt == "") {
			return true
		}
	}
	return false
}

// allowance is what the extensions that are offered add to a length.
func (s *said) allowance(by map[string]int) int {
	sum := 0
	for keyword, n := range by {
		if s.server.offered(keyword) {
			sum += n
		}
	}
	return sum
}

// path cuts a path off an argument:
//
//	"FROM:" or "TO:"  "<" [ ( dot-string / quoted-string ) "@" domain ] ">"  *( SP parameter )
func (s *said) path(prefix, arg string) (path string, params []string) {
	rest, ok := strings.CutPrefix(arg, prefix+"<")
	end := 0
	if strings.HasPrefix(rest, `"`) {
		for end = 1; end < len(rest) && rest[end] != '"'; end++ {
			if rest[end] == '\\' {
				end++
			}
		}
	}
	for end < len(rest) && rest[end] != '>' {
		if rest[end] == ' ' || rest[end] == '<' {
			ok = false
		}
		end++
	}
	if !ok || end >= len(rest) {
		s.t.Errorf("the path in %q", arg)
		return "", nil
	}
	path, rest = rest[:end], rest[end+1:]
	if rest == "" {
		return path, nil
	}
	return path, strings.Split(rest, " ")[1:]
}

// params holds parameters against the grammar and against what they should say;
// "" is anything. Each stands once.
func (s *said) params(params []string, want map[string]string) {
	seen := make(map[string]bool)
	for _, p := range params {
		keyword, value, hasValue := strings.Cut(p, "=")
		text, known := want[keyword]
		if !known || seen[keyword] || hasValue == (keyword == "SMTPUTF8") || hasValue && value == "" ||
			strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c == '=' || c == 0x7f }) {
			s.t.Errorf("parameter %q of %q", p, params)
		}
		if got := decodeXtext(value); text != "" && got != text {
			s.t.Errorf("%s says %q, want %q", keyword, got, text)
		}
		seen[keyword] = true
	}
}

// decodeXtext reads xtext (RFC 3461, Section 4).
func decodeXtext(s string) string {
	var b strings.Builder
	for ; s != ""; s = s[1:] {
		if s[0] == '+' && len(s) > 2 {
			if n, err := strconv.ParseUint(s[1:3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				s = s[2:]
				continue
			}
		}
		b.WriteByte(s[0])
	}
	return b.String()
}

var codePoint = regexp.MustCompile(`\\x\{([0-9A-F]+)\}`)

// decodeORCPT reads an original recipient (RFC 3461, Section 4.2; RFC 6533,
// Section 3).
func decodeORCPT(s string) string {
	kind, addr, _ := strings.Cut(s, ";")
	if !strings.EqualFold(kind, "utf-8") {
		return kind + ";" + decodeXtext(addr)
	}
	return kind + ";" + codePoint.ReplaceAllStringFunc(addr, func(m string) string {
		n, _ := strconv.ParseUint(m[3:len(m)-1], 16, 32)
		return string(rune(n))
	})
}
