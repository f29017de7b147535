package tlspolicy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/address"
)

// stsID finds the id of the policy among the TXT records of a domain; "" if there
// is no policy, which is so too where the records are wrong, or not one (RFC 8461,
// Section 3.1).
func stsID(records []string) string {
	var found []string
	for _, r := range records {
		rest, ok := strings.CutPrefix(r, "v=STSv1")
		if ok && strings.HasPrefix(strings.TrimLeft(rest, " \t"), ";") {
			found = append(found, rest)
		}
	}
	if len(found) != 1 {
		return ""
	}
	id, err := parseSTSRecord(found[0])
	if err != nil {
		return ""
	}
	return id
}

// parseSTSRecord reads what follows the version.
func parseSTSRecord(s string) (id string, err error) {
	fields := strings.Split(s, ";")
	if last := len(fields) - 1; last > 1 && trimWSP(fields[last]) == "" {
		fields = fields[:last]
	}
	for _, field := range fields[1:] { // before the first ";" there is nothing
		name, value, _ := strings.Cut(trimWSP(field), "=")
		switch {
		case name == "id" && id == "":
			if len(value) > 32 || !all(value, isAlnum) {
				return "", fmt.Errorf("the id %q is not 1 to 32 letters and digits", value)
			}
			id = value
		case !isSTSName(name), !all(value, func(c byte) bool { return '!' <= c && c <= '~' && c != '=' }):
			return "", fmt.Errorf("%q is no field", field)
		}
	}
	if id == "" {
		return "", errors.New("there is no id")
	}
	return id, nil
}

type stsMode string

const (
	stsEnforce stsMode = "enforce"
	stsTesting stsMode = "testing"
	stsNone    stsMode = "none"
)

// maxSTSAge is the highest max_age (RFC 8461, Section 3.2).
const maxSTSAge = 31557600

// stsPolicy is a policy file.
type stsPolicy struct {
	Mode   stsMode
	MX     []string // "mx.example.org" and "*.example.org", in lower case
	MaxAge time.Duration
	Lines  []string // as they were, but for spaces at their ends
}

// parseSTSPolicy reads a policy file (RFC 8461, Section 3.2). Two things are taken
// that are not in its grammar, because refusing the policy would only turn it off:
// empty lines, and a max_age above the limit, which then counts as the limit.
func parseSTSPolicy(text string) (stsPolicy, error) {
	var p stsPolicy
	seen := make(map[string]bool)
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimRight(strings.TrimSuffix(line, "\r"), " \t")
		if line == "" {
			continue
		}
		name, value, err := splitSTSLine(line)
		if err != nil {
			return stsPolicy{}, err
		}
		p.Lines = append(p.Lines, line)
		if seen[name] && name != "mx" {
			continue // of those that are there twice the first counts
		}
		seen[name] = true
		if err := p.set(name, value); err != nil {
			return stsPolicy{}, err
		}
	}
	for _, name := range []string{"version", "mode", "max_age"} {
		if !seen[name] {
			return stsPolicy{}, fmt.Errorf("the policy has no %s", name)
		}
	}
	if len(p.MX) == 0 && p.Mode != stsNone {
		return stsPolicy{}, errors.New("the policy has no mx")
	}
	return p, nil
}

func splitSTSLine(line string) (name, value string, err error) {
	name, value, ok := strings.Cut(line, ":")
	value = strings.TrimLeft(value, " \t")
	switch {
	case !ok || !isSTSName(name):
		return "", "", fmt.Errorf("the line %.100q has no name and colon", line)
	case value == "" || !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", "", fmt.Errorf("the line %.100q has no value, or one with control characters", line)
	}
	return name, value, nil
}

// set takes one field; those that are not known are passed over.
func (p *stsPolicy) set(name, value string) error {
	switch name {
	case "version":
		if value != "STSv1" {
			return fmt.Errorf("the version is %.100q, not STSv1", value)
		}
	case "mode":
		p.Mode = stsMode(value)
		if p.Mode != stsEnforce && p.Mode != stsTesting && p.Mode != stsNone {
			return fmt.Errorf("the mode %.100q is not enforce, testing or none", value)
		}
	case "max_age":
		if len(value) > 10 || !all(value, isDigit) {
			return fmt.Errorf("the max_age %.100q is not a number of at most 10 digits", value)
		}
		seconds, _ := strconv.ParseInt(value, 10, 64)
		p.MaxAge = time.Duration(min(seconds, maxSTSAge)) * time.Second
	case "mx":
		pattern, err := stsPattern(value)
		if err != nil {
			return fmt.Errorf("the mx %.100q is not a host name, nor *. and a domain: %w", value, err)
		}
		p.MX = append(p.MX, pattern)
	}
	return nil
}

// stsPattern brings a pattern to the form of address.Domain. A name that is not in
// ASCII is none: it must be A-labels.
func stsPattern(s string) (string, error) {
	if !all(s, func(c byte) bool { return c < utf8.RuneSelf }) {
		return "", errors.New("it has to be in A-labels")
	}
	rest, wildcard := strings.CutPrefix(s, "*.")
	name, err := address.Domain(rest)
	if err != nil || !wildcard {
		return name, err
	}
	return "*." + name, nil
}

func trimWSP(s string) string { return strings.Trim(s, " \t") }

// isSTSName tells names of fields: 1 to 32 letters, digits, "_", "-" and ".",
// beginning with a letter or digit.
func isSTSName(s string) bool {
	return len(s) <= 32 && all(s, func(c byte) bool { return isAlnum(c) || c == '_' || c == '-' || c == '.' }) && isAlnum(s[0])
}

// all tells whether s has bytes, and only those that fit.
func all(s string, fits func(byte) bool) bool {
	for i := range len(s) {
		if !fits(s[i]) {
			return false
		}
	}
	return s != ""
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isAlnum(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' }
