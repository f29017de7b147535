package smtpclient

import (
	"strconv"
	"strings"
)

// String gives "bad credentials" and its like, and "" for zero.
func (v AuthFailure) String() string {
	return nameOf("AuthFailure", int(v), "", "refused", "bad credentials", "temporary", "transition", "weak", "encryption required", "required", "not offered", "no mechanism", "broken", "unproven")
}

// String gives "8bit" and its like.
func (v Body) String() string {
	return nameOf("Body", int(v), "auto", "7bit", "8bit", "binary")
}

// String gives "replace" and its like.
func (v CheckAction) String() string {
	return nameOf("CheckAction", int(v), "keep", "info", "warn", "replace", "prepend", "strip", "ignore")
}

// String gives "grouped" and its like.
func (v Chunking) String() string {
	return nameOf("Chunking", int(v), "auto", "off", "after", "grouped")
}

// String gives "worked" and its like.
func (v Feedback) String() string {
	return nameOf("Feedback", int(v), "used", "worked", "broken")
}

// String gives "mime" and its like.
func (v HeaderClass) String() string {
	return nameOf("HeaderClass", int(v), "primary", "mime", "nested")
}

// String gives "in use" and its like.
func (v PoolPhase) String() string {
	return nameOf("PoolPhase", int(v), "dialing", "in use", "idle")
}

// String gives "headers" and its like.
func (v Return) String() string {
	return nameOf("Return", int(v), "unset", "full", "headers")
}

// String gives "logged" and its like.
func (v TLSLogging) String() string {
	return nameOf("TLSLogging", int(v), "not logged", "logged")
}

// String gives "undelivered" and its like.
func (v Transcript) String() string {
	return nameOf("Transcript", int(v), "off", "undelivered", "all")
}

// String gives "refuse" and its like.
func (v Treatment) String() string {
	return nameOf("Treatment", int(v), "repair", "refuse", "keep")
}

// String gives "rcpt" and its like.
func (v Verify) String() string {
	return nameOf("Verify", int(v), "no", "rcpt", "data")
}

// String gives what is set, as "greeting|hello", and "none" for zero.
func (v Final) String() string {
	return setOf("Final", "none", int(v), "greeting", "hello", "starttls", "auth")
}

// String gives what is set, as "disable-esmtp|delay-dot", and "default" for zero.
func (v PIX) String() string {
	return setOf("PIX", "default", int(v), "disable-esmtp", "delay-dot", "none")
}

// String gives what is set, as "return-path|original-to", and "none" for zero.
func (v Stamps) String() string {
	return setOf("Stamps", "none", int(v), "return-path", "original-to", "delivered-to")
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
