package main

import (
	"net/mail"
	"regexp"
	"strings"
)

var (
	localName  = regexp.MustCompile(`^[\w.+-]+$`)
	emptyGroup = regexp.MustCompile(`^[^:<>@]*:\s*;$`) // as in "undisclosed-recipients:;"
)

// addresses reads a list of addresses, in which the names of local users may stand.
func addresses(list string) ([]string, error) {
	list = strings.TrimSpace(strings.NewReplacer("\r", "", "\n", " ").Replace(list))
	if list == "" || emptyGroup.MatchString(list) {
		return nil, nil
	}
	var to []string
	parsed, err := mail.ParseAddressList(list)
	for _, a := range parsed {
		to = append(to, a.Address)
	}
	if err == nil {
		return to, nil
	}
	for _, part := range split(list) {
		if a, broken := mail.ParseAddress(part); broken == nil {
			part = a.Address
		} else if !localName.MatchString(part) {
			return nil, err
		}
		to = append(to, part)
	}
	return to, nil
}

// split cuts a list at the commas that are not within quotes.
func split(list string) []string {
	quoted := false
	parts := strings.FieldsFunc(strings.ReplaceAll(list, `\"`, "''"), func(c rune) bool {
		quoted = quoted != (c == '"')
		return c == ',' && !quoted
	})
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}
