package content

import (
	"bytes"
	"mime"
	"strings"
)

// fieldName is the name of a header field in lower case, or "" if line does not
// begin one (RFC 5322, Section 2.2; blanks before the colon, Section 4.5).
func fieldName(line []byte) string {
	i := bytes.IndexByte(line, ':')
	if i < 0 {
		return ""
	}
	name := bytes.TrimRight(line[:i], " \t")
	if len(name) == 0 {
		return ""
	}
	for _, c := range name {
		if c <= ' ' || c > '~' {
			return ""
		}
	}
	return strings.ToLower(string(name))
}

// fieldValue is what follows the colon, in one line and without comments.
func fieldValue(field []byte) string {
	_, value, _ := bytes.Cut(field, []byte{':'})
	var text []byte
	depth, quoted := 0, false
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case c == '\r' || c == '\n':
			continue
		case c == '\\' && (quoted || depth > 0) && i+1 < len(value):
			if depth == 0 {
				text = append(text, c, value[i+1])
			}
			i++
			continue
		case c == '"' && depth == 0:
			quoted = !quoted
		case c == '(' && !quoted:
			depth++
		case c == ')' && !quoted && depth > 0:
			depth--
			continue
		}
		if depth == 0 {
			text = append(text, c)
		}
	}
	return strings.TrimSpace(string(text))
}

// mediaType is what a Content-Type field says: type/subtype in lower case, and
// the boundary. Both are "" where the field is not valid; RFC 2045, Section 5.2
// then takes the default.
func mediaType(field []byte) (typ, boundary string) {
	value := fieldValue(field)
	typ, params, _ := strings.Cut(value, ";")
	typ = strings.ToLower(strings.TrimSpace(typ))
	if major, minor, ok := strings.Cut(typ, "/"); !ok || !isToken(major) || !isToken(minor) {
		return "", ""
	}
	if boundary, ok := parameter(params, "boundary"); ok {
		return typ, boundary
	}
	// It may be in the forms of RFC 2231.
	if _, p, err := mime.ParseMediaType(value); err == nil {
		return typ, p["boundary"]
	}
	return typ, ""
}

// parameter finds one of the parameters of a Content-Type. Many programs write
// them in ways that mime.ParseMediaType refuses.
func parameter(params, name string) (value string, ok bool) {
	for params != "" {
		attribute, rest, found := strings.Cut(params, "=")
		if !found {
			return "", false
		}
		// A ; before the = ends a parameter that has no value.
		if i := strings.LastIndexByte(attribute, ';'); i >= 0 {
			attribute = attribute[i+1:]
		}
		value, params = cutValue(strings.TrimLeft(rest, " \t"))
		if strings.EqualFold(strings.TrimSpace(attribute), name) {
			return value, true
		}
	}
	return "", false
}

// cutValue takes a token or a quoted string off.
func cutValue(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, ";")
		return strings.TrimRight(value, " \t"), rest
	}
	var text []byte
	i := 1
	for ; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		text = append(text, s[i])
	}
	_, rest, _ = strings.Cut(s[min(i+1, len(s)):], ";")
	return string(text), rest
}

// isToken tells whether s is a token of RFC 2045, Section 5.1.
func isToken(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || strings.IndexByte(`()<>@,;:\"/[]?=`, s[i]) >= 0 {
			return false
		}
	}
	return s != ""
}

// encodingName is what a Content-Transfer-Encoding field says, in lower case.
func encodingName(field []byte) string {
	value := fieldValue(field)
	if i := strings.IndexAny(value, " \t;"); i >= 0 {
		value = value[:i]
	}
	return strings.ToLower(value)
}
