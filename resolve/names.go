package resolve

import (
	"strconv"
	"strings"
)

// String gives "servfail" and its like.
func (v ErrorKind) String() string {
	return nameOf("ErrorKind", int(v), "other", "servfail", "refused", "timeout", "bogus", "malformed", "filtered")
}

// String gives "mx" and its like.
func (v Kind) String() string {
	return nameOf("Kind", int(v), "mx", "host", "socket")
}

// String gives what is set, as "IPv4|IPv6", and "unset" for zero.
func (v Families) String() string {
	return setOf("Families", "unset", int(v), "IPv4", "IPv6")
}

// String gives what is set, as "missing|fails", and "none" for zero.
func (v SRVFailure) String() string {
	return setOf("SRVFailure", "none", int(v), "missing", "fails")
}

// String gives what is set, as "single|dotted", and "none" for zero.
func (v Search) String() string {
	return setOf("Search", "none", int(v), "single", "dotted")
}

// nameOf is one of the names, or "Kind(9)" for a value that there is not.
func nameOf(kind string, i int, names ...string) string {
	if i < len(names) {
		return names[i]
	}
	return kind + "(" + strconv.Itoa(i) + ")"
}

// setOf are the names of the bits that are set, from the lowest one on.
func setOf(kind, zero string, bits int, names ...string) string {
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
