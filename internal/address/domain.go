package address

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/postrider/postrider/internal/ascii"
)

// A name has at most 255 octets in the DNS (RFC 1035), where each
// label has a length octet and the root one more: 253 as text without the final
// dot.
const (
	maxDomain = 253
	maxLabel  = 63
	// maxUnicode is more than a name that fits can have before conversion,
	// whose cost grows with the square of the length.
	maxUnicode = 4 * maxDomain
)

// Domain brings a domain name to the one form used here: A-labels in lower case,
// without the final dot that s may have. Underscores are let through, since
// names of hosts in use have them. An IP address is no domain name.
func Domain(s string) (string, error) {
	if len(s) <= maxDomain && plainDomain(s) {
		return s, nil
	}
	d, err := aLabels(s)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(d, "."), nil
}

// HeloName checks our own name for EHLO: a domain name or an address literal.
func HeloName(s string) (string, error) {
	if strings.HasPrefix(s, "[") {
		return literalDomain(s)
	}
	return Domain(s)
}

// Literal reads an address literal with its brackets, as "[192.0.2.1]" or
// "[IPv6:2001:db8::1]". General literals and zones are refused.
func Literal(s string) (addr netip.Addr, ok bool) {
	inner, opened := strings.CutPrefix(s, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if !opened || !closed {
		return netip.Addr{}, false
	}
	const tag = "IPv6:"
	is6 := len(inner) > len(tag) && strings.EqualFold(inner[:len(tag)], tag)
	if is6 {
		inner = inner[len(tag):]
	}
	if !isAddr(inner) {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(inner)
	if err != nil || addr.Zone() != "" || addr.Is6() != is6 {
		return netip.Addr{}, false
	}
	return addr, true
}

// FormatLiteral writes addr as an address literal. A zone is left out, since it
// means nothing to others.
func FormatLiteral(addr netip.Addr) string {
	if addr.Is4() {
		return "[" + addr.String() + "]"
	}
	return "[IPv6:" + addr.WithZone("").String() + "]"
}

// aLabels is Domain, but keeps a final dot.
func aLabels(s string) (string, error) {
	if ascii.Is(s) {
		// Not mapped: the profile refuses underscores, and hyphens where names
		// of hosts in use have them.
		s = strings.ToLower(s)
		return s, checkDomain(s)
	}
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("the domain %s is neither ASCII nor UTF-8", quote(s))
	}
	if len(s) > maxUnicode {
		return "", fmt.Errorf("the domain %s has %d octets, which is too long for a domain name", quote(s), len(s))
	}
	a, err := lookup.ToASCII(s)
	if err == nil {
		// The profile judges right-to-left labels before it maps them, so that
		// some pass only once.
		var again string
		if again, err = lookup.ToASCII(a); err == nil && again != a {
			err = errors.New("it does not convert back to itself")
		}
	}
	if err != nil {
		return "", fmt.Errorf("the domain %s cannot be written as A-labels: %s", quote(s), quote(err.Error()))
	}
	return a, checkDomain(a)
}

// lookup converts as RFC 5891 has it for lookups, after the mapping of UTS 46.
// StrictDomainName must stay on: without it NUL and blanks pass.
var lookup = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.BidiRule(),
	idna.VerifyDNSLength(true), idna.StrictDomainName(true))

// checkDomain is the last word on what a domain may hold, also after conversion.
func checkDomain(s string) error {
	name := strings.TrimSuffix(s, ".")
	if name == "" {
		return errors.New("the domain name is empty")
	}
	if isAddr(name) {
		return fmt.Errorf("%s is an IP address, not a domain name; write it in brackets, as [192.0.2.1] or [IPv6:2001:db8::1]", quote(name))
	}
	if len(name) > maxDomain {
		return fmt.Errorf("the domain %s has %d octets, which is more than %d", quote(name), len(name), maxDomain)
	}
	for label := range strings.SplitSeq(name, ".") {
		if err := checkLabel(label); err != nil {
			return fmt.Errorf("the domain %s %w", quote(name), err)
		}
	}
	return nil
}

// isAddr tells an IP address. ParseAddr makes an error of what is none, and so is
// asked only where it may be one.
func isAddr(s string) bool {
	if s == "" {
		return false
	}
	last := s[len(s)-1]
	if (last < '0' || last > '9') && !strings.Contains(s, ":") {
		return false
	}
	_, err := netip.ParseAddr(s)
	return err == nil
}

func checkLabel(s string) error {
	switch {
	case s == "":
		return errors.New("has an empty label: a dot at its beginning or two dots in a row")
	case len(s) > maxLabel:
		return fmt.Errorf("has a label of %d octets, which is more than %d", len(s), maxLabel)
	case s[0] == '-' || s[len(s)-1] == '-':
		return fmt.Errorf("has a label that begins or ends with a hyphen, %s", quote(s))
	}
	for i := range len(s) {
		if !isAlnum(s[i]) && s[i] != '-' && s[i] != '_' {
			return fmt.Errorf("has %s, which no domain name may have", quote(s[i:i+1]))
		}
	}
	return checkALabel(s)
}

// checkALabel refuses what looks like an A-label and is none (RFC 5891), as
// "xn--a": some decoders make the name of somebody else of it.
func checkALabel(s string) error {
	if !strings.HasPrefix(s, "xn--") {
		return nil
	}
	if a, err := lookup.ToASCII(s); err != nil || a != s {
		return fmt.Errorf("has %s, which is no valid A-label", quote(s))
	}
	return nil
}
