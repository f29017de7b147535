package debugpage

import (
	"regexp"
	"strings"

	"github.com/postrider/postrider/smtpclient"
)

const hidden = "***"

var (
	// address is what looks like a mail address, with a quoted local part, too.
	address = regexp.MustCompile(`("(?:[^"\\]|\\.)*"|[^\s<>"'=:;,()\[\]@]+)@`)
	// path is a forward or reverse path without a domain.
	path = regexp.MustCompile(`(?i)\b((?:FROM|TO):)<[^<>@]+>`)
	// client is what tells another server who our client is.
	client = regexp.MustCompile(`^C: (XFORWARD|XCLIENT) .*`)
)

// redactor hides addresses, if they are to be hidden.
type redactor struct {
	shown  bool
	locals *regexp.Regexp // the local parts of those who are concerned; nil: none
}

// redactor is one for a delivery.
func (p *Page) redactor(rec *record) *redactor {
	if p.Addresses == AddressesShown {
		return &redactor{shown: true}
	}
	var locals []string
	add := func(a string) {
		local := strings.Trim(a[:max(strings.LastIndexByte(a, '@'), 0)], `"`)
		if len(local) > 1 {
			locals = append(locals, word(local))
		}
	}
	add(rec.from)
	for i := range rec.outcomes {
		add(rec.outcomes[i].Address)
	}
	if rec.dialogue != nil { // it has those whose outcomes are not kept, too
		for _, line := range rec.dialogue.lines() {
			if a, ok := strings.CutPrefix(line, "C: RCPT TO:<"); ok {
				add(a[:strings.LastIndexByte(a, '>')+1])
			}
		}
	}
	if len(locals) == 0 {
		return &redactor{}
	}
	return &redactor{locals: regexp.MustCompile(`(?i)(?:` + strings.Join(locals, "|") + `)`)}
}

// word matches a local part where it is no piece of another word. \b is an edge of
// ASCII letters, and a local part may begin and end otherwise.
func word(local string) string {
	local = string([]rune(local)) // an address that was refused as input may be no UTF-8
	pattern := regexp.QuoteMeta(local)
	if isLetter(local[0]) {
		pattern = `\b` + pattern
	}
	if isLetter(local[len(local)-1]) {
		pattern += `\b`
	}
	return pattern
}

func isLetter(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_'
}

// address hides the local part of an address.
func (r *redactor) address(a string) string {
	at := strings.LastIndexByte(a, '@')
	switch {
	case r.shown || a == "<>" || a == "":
		return a
	case at < 0:
		return hidden
	}
	return hidden + a[at:]
}

// text hides addresses in what a server, or an error, says.
func (r *redactor) text(s string) string {
	if r.shown {
		return s
	}
	s = path.ReplaceAllString(address.ReplaceAllString(s, hidden+"@"), "$1<"+hidden+">")
	if r.locals != nil {
		s = r.locals.ReplaceAllString(s, hidden)
	}
	return s
}

// line hides addresses in a line of a dialogue.
func (r *redactor) line(s string) string {
	if r.shown || strings.HasPrefix(s, "C: <") { // in place of the content, or of what is not said in lines
		return s
	}
	return r.text(client.ReplaceAllString(s, "C: $1 "+hidden))
}

// cause is the text of what decided.
func (r *redactor) cause(a *smtpclient.Attempt) string {
	if a.Cause != nil {
		return r.text(a.Cause.Error())
	}
	return r.text(a.Reply.String())
}
