package wire

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// AppendXtext adds s to b as xtext (RFC 3461, Section 4):
//
//	xtext = *( xchar / hexchar )    hexchar = "+" 2 upper case hexadecimal digits
//
// where xchar is printable ASCII without "+" and "=".
func AppendXtext(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; c > ' ' && c <= '~' && c != '+' && c != '=' {
			b = append(b, c)
		} else {
			b = append(b, '+', hex[c>>4], hex[c&15])
		}
	}
	return b
}

// AppendUTF8Address adds an internationalized address to b, for the address type
// utf-8 (RFC 6533, Section 3): code points that are not ASCII stand as they are
// where raw (utf-8-addr-unitext), else as \x{HEX} (utf-8-addr-xtext). s is valid
// UTF-8.
func AppendUTF8Address(b []byte, s string, raw UTF8Form) []byte {
	for _, c := range s {
		switch {
		case c > ' ' && c <= '~' && !strings.ContainsRune(`\+=`, c):
			b = append(b, byte(c))
		case c >= utf8.RuneSelf && raw == Unitext:
			b = utf8.AppendRune(b, c)
		default:
			b = fmt.Appendf(b, `\x{%X}`, c)
		}
	}
	return b
}

// UTF8Form is a way to write an internationalized address.
type UTF8Form uint8

// The forms: ASCII only, and with UTF-8, which needs SMTPUTF8.
const (
	ASCIIOnly UTF8Form = iota
	Unitext
)
