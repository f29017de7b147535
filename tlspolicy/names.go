package tlspolicy

import "strconv"

// String gives "every hop" and "not required", and "" for zero.
func (r Requirement) String() string {
	return nameOf("Requirement", int(r), "", "every hop", "not required")
}

// String gives "encrypted" and its like.
func (r RequireTLS) String() string {
	return nameOf("RequireTLS", int(r), "enforce", "encrypted", "offered", "ignore")
}

// nameOf is one of the names, or "Kind(9)" for a value that there is not.
func nameOf(kind string, i int, names ...string) string {
	if i < len(names) {
		return names[i]
	}
	return kind + "(" + strconv.Itoa(i) + ")"
}
