package address

import "strings"

// plain is Parse for the addresses that most are: a dot-string and a domain in lower
// case, in ASCII, as they would be written. What it does not know Parse judges.
func plain(s string) (m Mailbox, ok bool) {
	at := strings.IndexByte(s, '@')
	if at < 1 || at > maxLocal || len(s)+len("<>") > maxPath {
		return m, false
	}
	m = Mailbox{s[:at], s[at+1:]}
	return m, plainLocal(m.Local) && plainDomain(m.Domain)
}

// plainLocal takes atoms with single dots between them.
func plainLocal(s string) bool {
	before := byte('.')
	for i := range len(s) {
		if atoms[s[i]]&inAtom == 0 && (s[i] != '.' || before == '.') {
			return false
		}
		before = s[i]
	}
	return before != '.'
}

// plainDomain takes labels that are no A-labels, of which the last one ends in no
// digit, as that of an IP address may.
func plainDomain(s string) bool {
	for {
		label, rest, more := strings.Cut(s, ".")
		if !plainLabel(label) {
			return false
		}
		if !more {
			return label[len(label)-1] > '9'
		}
		s = rest
	}
}

func plainLabel(s string) bool {
	if s == "" || len(s) > maxLabel || s[0] == '-' || s[len(s)-1] == '-' || strings.HasPrefix(s, "xn--") {
		return false
	}
	for i := range len(s) {
		if atoms[s[i]]&inLabel == 0 {
			return false
		}
	}
	return true
}

const (
	inAtom  = 1 << iota // atext of RFC 5322, Section 3.2.3, in ASCII
	inLabel             // of a host's name, in lower case
)

// atoms says where a byte may stand.
var atoms = func() (set [256]uint8) {
	for c := range set {
		if c < len(atext) && atext[c] {
			set[c] = inAtom
		}
		if c == '-' || c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' {
			set[c] |= inLabel
		}
	}
	return set
}()
