package resolve

import "github.com/postrider/postrider/internal/enum"

// String gives "servfail" and its like.
func (v ErrorKind) String() string {
	return enum.Name("ErrorKind", int(v), "other", "servfail", "refused", "timeout", "bogus", "malformed", "filtered")
}

// String gives "mx" and its like.
func (v Kind) String() string {
	return enum.Name("Kind", int(v), "mx", "host", "socket")
}

// String gives what is set, as "IPv4|IPv6", and "unset" for zero.
func (v Families) String() string {
	return enum.Set("Families", "unset", int(v), "IPv4", "IPv6")
}

// String gives what is set, as "missing|fails", and "none" for zero.
func (v SRVFailure) String() string {
	return enum.Set("SRVFailure", "none", int(v), "missing", "fails")
}

// String gives what is set, as "single|dotted", and "none" for zero.
func (v Search) String() string {
	return enum.Set("Search", "none", int(v), "single", "dotted")
}
