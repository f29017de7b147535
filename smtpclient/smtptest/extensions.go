package smtptest

import (
	"strconv"
	"strings"
)

// extensions are those that a reply to EHLO offered: parameters by keyword in
// upper case.
type extensions map[string]string

func (e extensions) has(keyword string) bool {
	_, ok := e[keyword]
	return ok
}

// hasParam reports whether a keyword was offered with a parameter, as AUTH with
// PLAIN.
func (e extensions) hasParam(keyword, param string) bool {
	for p := range strings.FieldsSeq(e[keyword]) {
		if strings.EqualFold(p, param) {
			return true
		}
	}
	return false
}

// size is the limit of SIZE, 0 if there is none: RFC 1870, Section 4.
func (e extensions) size() int64 {
	n, _ := strconv.ParseInt(e["SIZE"], 10, 64)
	return n
}

// offer is the reply to EHLO with these lines.
func offer(lines []string) string {
	var b strings.Builder
	for i, line := range lines {
		if i < len(lines)-1 {
			b.WriteString("250-" + line + "\n")
		} else {
			b.WriteString("250 " + line)
		}
	}
	return b.String()
}

// parseOffer reads back what a reply to EHLO offers, since a Script may have
// written it.
func parseOffer(reply string) extensions {
	offered := extensions{}
	lines := strings.Split(strings.ReplaceAll(reply, "\r\n", "\n"), "\n")
	for _, line := range lines[1:] {
		if len(line) < 5 || line[:3] != "250" {
			continue
		}
		keyword, params, _ := strings.Cut(line[4:], " ")
		keyword = strings.ToUpper(keyword)
		if mechanism, old := strings.CutPrefix(keyword, "AUTH="); old {
			keyword, params = "AUTH", mechanism+" "+params
		}
		if offered.has(keyword) {
			params = offered[keyword] + " " + params
		}
		offered[keyword] = params
	}
	return offered
}

// parameter is one that MAIL or RCPT can carry.
type parameter struct {
	verb, keyword string
	extension     string // that has to be offered
	length        int    // by which it makes the longest command longer
}

// parameters are those that are known. Lengths are those of the RFC of each, or
// what its limits add up to with the blank.
var parameters = [...]parameter{
	{"MAIL", "SIZE", "SIZE", 26},               // RFC 1870, Section 3
	{"MAIL", "BODY", "8BITMIME", 17},           // RFC 6152
	{"MAIL", "BODY", "BINARYMIME", 16},         // RFC 3030, Section 3
	{"MAIL", "RET", "DSN", 9},                  // RFC 3461, Section 5.4
	{"MAIL", "ENVID", "DSN", 101},              // RFC 3461, Section 5.4
	{"RCPT", "NOTIFY", "DSN", 29},              // RFC 3461, Section 5.4
	{"RCPT", "ORCPT", "DSN", 501},              // RFC 3461, Section 5.4
	{"MAIL", "SMTPUTF8", "SMTPUTF8", 10},       // RFC 6531, Section 3.1
	{"MAIL", "REQUIRETLS", "REQUIRETLS", 11},   // RFC 8689, Section 2
	{"MAIL", "BY", "DELIVERBY", 17},            // RFC 2852, Section 2
	{"MAIL", "AUTH", "AUTH", 500},              // RFC 4954
	{"MAIL", "MT-PRIORITY", "MT-PRIORITY", 15}, // RFC 6710
	{"MAIL", "HOLDFOR", "FUTURERELEASE", 34},   // RFC 4865
	{"MAIL", "HOLDUNTIL", "FUTURERELEASE", 34}, // RFC 4865
	{"RCPT", "RRVS", "RRVS", 33},               // RFC 7293
	{"RCPT", "IGNOREQUOTA", "IGNOREQUOTA", 12}, // of Cyrus and Exim, in LMTP
}

// allows reports whether verb may carry a parameter of this name.
func (e extensions) allows(verb, keyword string) bool {
	for _, p := range parameters {
		if p.verb == verb && p.keyword == keyword && e.has(p.extension) {
			return true
		}
	}
	return false
}

// maxCommand is the longest command line, with its CRLF, and what the
// extensions add: RFC 5321, Section 4.5.3.1.4.
func (e extensions) maxCommand(verb string) int {
	if verb == AuthResponse {
		return 12288 // RFC 4954, Section 4; AUTH itself is a command as any other
	}
	n := 512
	for _, p := range parameters {
		if p.verb == verb && e.has(p.extension) {
			n += p.length
		}
	}
	return n
}
