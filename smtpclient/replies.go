package smtpclient

// positive tells that reply says yes to a mail command. Any 2yz counts (RFC
// 5321, Section 4.3.2), but not the codes that belong to other commands: one of
// those here means that replies and commands are out of step.
func positive(reply Reply) bool {
	switch reply.Code {
	case 211, 214, 220, 221, 235:
		return false
	}
	return reply.Code/100 == 2
}

// negative tells that reply says no: 4yz for now, 5yz for good.
func negative(reply Reply) bool { return reply.Code >= 400 }

// judge is the error of a reply that is not the wished one: a refusal, or a
// protocol error, which breaks the session.
func (s *Session) judge(stage Stage, reply Reply) *Error {
	if negative(reply) {
		return s.refused(stage, reply)
	}
	return s.misplaced(stage, reply)
}

// verdict is what a refusal means for a recipient or a message.
func verdict(reply Reply) Status {
	if reply.Code >= 500 && unauthenticated(reply) == nil {
		return Failed
	}
	return Deferred
}

// enhancedFor is the enhanced code of an outcome that a reply decided. Where the
// status is milder than the reply, as after a 5yz greeting, the class says so.
func enhancedFor(status Status, reply Reply) string {
	none := unspecified[status]
	if reply.Enhanced == "" {
		return none
	}
	if reply.Enhanced[0] == none[0] {
		return reply.Enhanced
	}
	return none[:1] + reply.Enhanced[1:]
}

// unspecified are the codes that say no more than the status.
var unspecified = [...]string{Unknown: "4.0.0", Delivered: "2.0.0", Deferred: "4.0.0", Failed: "5.0.0"}
