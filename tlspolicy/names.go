package tlspolicy

import "github.com/postrider/postrider/internal/enum"

// String gives "every hop" and "not required", and "" for zero.
func (r Requirement) String() string {
	return enum.Name("Requirement", int(r), "", "every hop", "not required")
}

// String gives "encrypted" and its like.
func (r RequireTLS) String() string {
	return enum.Name("RequireTLS", int(r), "enforce", "encrypted", "offered", "ignore")
}
