package smtpclient

import "github.com/postrider/postrider/internal/enum"

// String gives "bad credentials" and its like, and "" for zero.
func (v AuthFailure) String() string {
	return enum.Name("AuthFailure", int(v), "", "refused", "bad credentials", "temporary", "transition", "weak", "encryption required", "required", "not offered", "no mechanism", "broken", "unproven")
}

// String gives "8bit" and its like.
func (v Body) String() string {
	return enum.Name("Body", int(v), "auto", "7bit", "8bit", "binary")
}

// String gives "replace" and its like.
func (v CheckAction) String() string {
	return enum.Name("CheckAction", int(v), "keep", "info", "warn", "replace", "prepend", "strip", "ignore")
}

// String gives "grouped" and its like.
func (v Chunking) String() string {
	return enum.Name("Chunking", int(v), "auto", "off", "after", "grouped")
}

// String gives "worked" and its like.
func (v Feedback) String() string {
	return enum.Name("Feedback", int(v), "used", "worked", "broken")
}

// String gives "mime" and its like.
func (v HeaderClass) String() string {
	return enum.Name("HeaderClass", int(v), "primary", "mime", "nested")
}

// String gives "in use" and its like.
func (v PoolPhase) String() string {
	return enum.Name("PoolPhase", int(v), "dialing", "in use", "idle")
}

// String gives "headers" and its like.
func (v Return) String() string {
	return enum.Name("Return", int(v), "unset", "full", "headers")
}

// String gives "logged" and its like.
func (v TLSLogging) String() string {
	return enum.Name("TLSLogging", int(v), "not logged", "logged")
}

// String gives "undelivered" and its like.
func (v Transcript) String() string {
	return enum.Name("Transcript", int(v), "off", "undelivered", "all")
}

// String gives "refuse" and its like.
func (v Treatment) String() string {
	return enum.Name("Treatment", int(v), "repair", "refuse", "keep")
}

// String gives "rcpt" and its like.
func (v Verify) String() string {
	return enum.Name("Verify", int(v), "no", "rcpt", "data")
}

// String gives what is set, as "greeting|hello", and "none" for zero.
func (v Final) String() string {
	return enum.Set("Final", "none", int(v), "greeting", "hello", "starttls", "auth")
}

// String gives what is set, as "disable-esmtp|delay-dot", and "default" for zero.
func (v PIX) String() string {
	return enum.Set("PIX", "default", int(v), "disable-esmtp", "delay-dot", "none")
}

// String gives what is set, as "return-path|original-to", and "none" for zero.
func (v Stamps) String() string {
	return enum.Set("Stamps", "none", int(v), "return-path", "original-to", "delivered-to")
}
