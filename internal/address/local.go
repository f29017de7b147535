package address

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/ascii"
)

// cutLocal splits an addr-spec behind its local part, which it decodes. The
// rest is what follows the @.
func cutLocal(s string) (local, rest string, err error) {
	if strings.HasPrefix(s, `"`) {
		return cutQuoted(s)
	}
	local, rest, found := strings.Cut(s, "@")
	if !found {
		return "", "", fmt.Errorf("the address %s has no @; write it as user@example.org", quote(s))
	}
	return local, rest, checkDotString(local)
}

// checkDotString holds s against Dot-string (RFC 5321, Section 4.1.2).
func checkDotString(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("the local part is empty: nothing stands before the @")
	case s[0] == '.':
		return fmt.Errorf("the local part %s begins with a dot", quote(s))
	case s[len(s)-1] == '.':
		return fmt.Errorf("the local part %s ends in a dot", quote(s))
	}
	if i := strings.Index(s, ".."); i >= 0 {
		return fmt.Errorf("two dots in a row in the local part %s, at byte %d", quote(s), i+1)
	}
	if err := checkUTF8(s); err != nil {
		return err
	}
	for i := range len(s) {
		if !isAtext(s[i]) && s[i] != '.' {
			return fmt.Errorf("the local part %s has %s at byte %d; give the bare address, without name, comment or angle brackets",
				quote(s), quote(s[i:i+1]), i+1)
		}
	}
	return nil
}

// cutQuoted is cutLocal for a Quoted-string (RFC 5321, Section 4.1.2).
func cutQuoted(s string) (local, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			rest, found := strings.CutPrefix(s[i+1:], "@")
			if !found {
				return "", "", fmt.Errorf("the quoted local part %s must be followed by @", quote(s[:i+1]))
			}
			return b.String(), rest, checkQuoted(b.String())
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", fmt.Errorf("the quoted local part %s has no closing quote", quote(s))
}

// checkQuoted looks at what a quoted string means: blanks and ASCII graphics.
func checkQuoted(s string) error {
	if err := checkUTF8(s); err != nil {
		return err
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return fmt.Errorf("the local part %s has a control character, %s", quote(s), quote(s[i:i+1]))
		}
	}
	return nil
}

// checkUTF8 tells what no local part may be, ASCII or not (RFC 6531, Section 3.3).
func checkUTF8(s string) error {
	if ascii.Is(s) {
		return nil
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("the local part %s is neither ASCII nor UTF-8", quote(s))
	}
	for _, c := range s {
		if c >= utf8.RuneSelf && unicode.IsControl(c) {
			return fmt.Errorf("the local part %s has a control character, %s", quote(s), quote(string(c)))
		}
	}
	return nil
}

// wireLocal quotes a local part where it must be.
func wireLocal(s string) string {
	if checkDotString(s) == nil {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
	return b.String()
}

// isAtext is the atext of RFC 5322, which RFC 6531 widens to all that is not
// ASCII.
func isAtext(c byte) bool { return c >= utf8.RuneSelf || atext[c] }

// atext are the characters of an atom in ASCII (RFC 5322, Section 3.2.3).
var atext = func() (set [utf8.RuneSelf]bool) {
	for c := range byte(utf8.RuneSelf) {
		set[c] = isAlnum(c) || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
	}
	return set
}()

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
