package smtpclient

import (
	"math/big"
	"slices"
	"strings"
	"testing"
)

// FuzzExtensions reads any lines behind an EHLO with parseExtensions and with a
// second reader, written from RFC 5321, Section 4.1.1.1. Lines are parted by LF,
// discarded keywords by blanks.
func FuzzExtensions(f *testing.F) {
	for _, lines := range []string{
		"mx.example.net\nPIPELINING\nSIZE 1000\n8BITMIME\nSTARTTLS\nSMTPUTF8\nCHUNKING",
		"STARTTLS\nstarttls\nStartTls x",
		"hi\nAUTH=LOGIN PLAIN\nAUTH CRAM-MD5",
		"hi\nSIZE 99999999999999999999\nSIZE -1\nLIMITS RCPTMAX=20 MAILMAX=5 rcptdomainmax=1 x=y",
		"hi\nLIMITS RCPTMAX=0 RCPTMAX=-3 RCPTMAX=7 RCPTMAX=9\nX-RCPTLIMIT 3",
		"hi\n\n  \n=\n SIZE=10 \nX-\n-X\nX a= =b",
		"hi\nLIMITS RCPTMAX=-3\nSIZE -4",
		"hi\nX =a b=\nX c==",
		"hi\n\u017fTARTTLS\nCHUN\u212aING",
	} {
		f.Add(lines, "chunking SIZE")
		f.Add(lines, "")
	}
	f.Fuzz(func(t *testing.T, text, discard string) {
		lines, discards := strings.Split(text, "\n"), strings.Fields(discard)
		x := parseExtensions(lines, discards)
		offers := x.offers()
		for i, o := range offers {
			if o.keyword == "" || o.keyword != strings.ToUpper(o.keyword) {
				t.Errorf("keyword %q", o.keyword)
			}
			for _, other := range offers[:i] {
				if strings.EqualFold(other.keyword, o.keyword) {
					t.Errorf("%q and %q are both offered", other.keyword, o.keyword)
				}
			}
			if !slices.ContainsFunc(lines[1:], func(l string) bool { return slowBegins(l, o.keyword) }) {
				t.Errorf("%q stands in no line of %q", o.keyword, lines)
			}
		}
		for _, d := range discards {
			if params, ok := x.lookup(d); ok {
				t.Errorf("%q is discarded, but there with %q", d, params)
			}
		}
		slow := slowExtensions(lines[1:], discards)
		for keyword, want := range slow {
			if params, ok := x.lookup(keyword); !ok || want.exact && !slices.Equal(strings.Fields(params), want.params) {
				t.Errorf("%s: got %q, %v, want %q", keyword, params, ok, want.params)
			}
		}
		for keyword, got := range map[string]bool{
			"PIPELINING": x.pipelining, "STARTTLS": x.startTLS, "SMTPUTF8": x.smtpUTF8, "CHUNKING": x.chunking,
		} {
			if _, ok := x.lookup(keyword); got != ok {
				t.Errorf("%s is noted as %v, but offered is %v", keyword, got, ok)
			}
		}
		if _, ok := x.lookup("8BITMIME"); x.eightBitMIME != (ok || x.smtpUTF8) {
			t.Errorf("8BITMIME is noted as %v, but offered is %v", x.eightBitMIME, ok)
		}
		checkLimit(t, "SIZE", x.size, lines[1:])
		checkLimit(t, "MAILMAX", int64(x.mailMax), lines[1:])
		checkLimit(t, "RCPTDOMAINMAX", int64(x.rcptDomainMax), lines[1:])
		checkLimit(t, "RCPTMAX", int64(x.rcptMax), lines[1:])
		// Which of several lines counts is nowhere said.
		if want, ok := slow["SIZE"]; ok && want.exact && want.lines == 1 && len(want.params) == 1 && len(want.params[0]) < 19 {
			if n := slowNumber(want.params[0]); n != nil && n.Int64() != x.size {
				t.Errorf("SIZE %s gives %d", want.params[0], x.size)
			}
		}
	})
}

// checkLimit holds that a limit is none, or a number that stands in a line behind
// its name.
func checkLimit(t *testing.T, name string, got int64, lines []string) {
	t.Helper()
	if got == 0 {
		return
	}
	if got < 0 {
		t.Errorf("%s is %d", name, got)
	}
	for _, line := range lines {
		line = strings.ToUpper(line)
		if name == "RCPTMAX" && strings.Contains(line, "X-RCPTLIMIT") {
			line = strings.Replace(line, "X-RCPTLIMIT", name, 1)
		}
		if !strings.Contains(line, name) {
			continue
		}
		for _, word := range strings.FieldsFunc(line, func(c rune) bool { return c <= ' ' || c > '~' || c == '=' }) {
			if n := slowNumber(strings.TrimPrefix(word, "+")); n != nil && n.IsInt64() && n.Int64() == got {
				return
			}
		}
	}
	t.Errorf("%s is %d, which stands in no line of %q", name, got, lines)
}

// slowNumber reads digits and nothing else; nil if there is anything else.
func slowNumber(s string) *big.Int {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return nil
	}
	n, _ := new(big.Int).SetString(s, 10)
	return n
}

// slowBegins tells that keyword stands at the beginning of a line, byte by byte
// but for the case of ASCII letters, behind blanks at most.
func slowBegins(line, keyword string) bool {
	line = strings.TrimSpace(line)
	if len(line) < len(keyword) {
		return false
	}
	for i := range len(keyword) {
		c := line[i]
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != keyword[i] {
			return false
		}
	}
	return len(line) == len(keyword) || strings.IndexByte(" =", line[len(keyword)]) >= 0
}

// slowOffer is what the lines of one keyword say. It is exact if all of them
// follow the grammar.
type slowOffer struct {
	params []string
	lines  int
	exact  bool
}

// slowExtensions reads those lines that follow the grammar:
//
//	ehlo-line = ehlo-keyword *( SP ehlo-param )
func slowExtensions(lines, discards []string) map[string]slowOffer {
	offers := make(map[string]slowOffer)
	loose := make(map[string]bool)
	for _, line := range lines {
		words := strings.Split(line, " ")
		keyword := strings.ToUpper(words[0])
		if !slowKeyword(words[0]) || slices.ContainsFunc(words[1:], func(w string) bool { return !slowParam(w) }) {
			if fields := strings.FieldsFunc(line, func(c rune) bool { return c <= ' ' || c > '~' || c == '=' }); len(fields) > 0 {
				loose[strings.ToUpper(fields[0])] = true
			}
			continue
		}
		if slices.ContainsFunc(discards, func(d string) bool { return strings.ToUpper(d) == keyword }) {
			continue
		}
		o := offers[keyword]
		o.params = append(o.params, words[1:]...)
		o.lines++
		offers[keyword] = o
	}
	for keyword, o := range offers {
		o.exact = !loose[keyword]
		offers[keyword] = o
	}
	return offers
}

func slowKeyword(s string) bool {
	return s != "" && s[0] != '-' && strings.Trim(strings.ToUpper(s), "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == "" && len(s) == len(strings.ToUpper(s))
}

func slowParam(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c < 33 || c > 126 })
}
