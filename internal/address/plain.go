package address

import "strings"

// plain is Parse for the addresses that most are: a dot-string and a domain in lower
// case, in ASCII, as they would be written. What it does not know Parse judges. The
// domain of a Mailbox, known, need not be looked at again; "" is none.
func plain(s, known string) (m Mailbox, ok bool) {
	at, all := 0, uint8(inAtom)
	for at < len(s) && places[s[at]]&inDotAtom != 0 {
		all &= places[s[at]]
		at++
	}
	if at == 0 || at > maxLocal || at == len(s) || s[at] != '@' || len(s)+len("<>") > maxPath || all == 0 && !dotsApart(s[:at]) {
		return m, false
	}
	if domain := s[at+1:]; known == "" || domain != known {
		return Mailbox{s[:at], domain}, plainDomain(domain)
	}
	return Mailbox{s[:at], known}, true
}

// dotsApart tells that dots stand single and between atoms.
func dotsApart(s string) bool {
	return s[0] != '.' && s[len(s)-1] != '.' && !strings.Contains(s, "..")
}

// plainDomain takes labels that are no A-labels, of which the last one ends in no
// digit, as that of an IP address may.
func plainDomain(s string) bool {
	label := 0 // where it begins
	for i := range len(s) {
		if s[i] == '.' {
			if !plainLabel(s[label:i]) {
				return false
			}
			label = i + 1
		} else if places[s[i]]&inLabel == 0 {
			return false
		}
	}
	return plainLabel(s[label:]) && s[len(s)-1] > '9'
}

// plainLabel takes a label whose bytes may stand in one.
func plainLabel(s string) bool {
	return s != "" && len(s) <= maxLabel && s[0] != '-' && s[len(s)-1] != '-' && !strings.HasPrefix(s, "xn--")
}

const (
	inAtom    = 1 << iota // atext of RFC 5322, Section 3.2.3, in ASCII
	inDotAtom             // likewise, and the dot
	inLabel               // of a host's name, in lower case
)

// places says where a byte may stand.
var places = func() (set [256]uint8) {
	for c := range set {
		if c < len(atext) && atext[c] {
			set[c] = inAtom | inDotAtom
		}
		if c == '-' || c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' {
			set[c] |= inLabel
		}
	}
	set['.'] = inDotAtom
	return set
}()
