// Package enum prints enumerations and sets of bits.
package enum

import (
	"strconv"
	"strings"
)

// Name is one of the names, or "Kind(9)" for a value that there is not.
func Name(kind string, i int, names ...string) string {
	if i < len(names) {
		return names[i]
	}
	return kind + "(" + strconv.Itoa(i) + ")"
}

// Set are the names of the bits that are set, from the lowest one on.
func Set(kind, zero string, bits int, names ...string) string {
	if bits == 0 {
		return zero
	}
	var set []string
	for i, name := range names {
		if bits&(1<<i) != 0 {
			set = append(set, name)
			bits &^= 1 << i
		}
	}
	if bits != 0 {
		set = append(set, kind+"("+strconv.Itoa(bits)+")")
	}
	return strings.Join(set, "|")
}
