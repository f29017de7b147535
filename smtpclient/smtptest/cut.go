package smtptest

import "math"

// Cut is something that happens to a session at a certain byte, whatever is
// under way there: in the midst of a reply, of the content, of a command.
//
// After 1000 bytes of content the server says that it has no room, and reads
// on:
//
//	Cut{Verb: "DATA", FromClient: true, After: 1000, Action: Action{Reply: "452 4.3.1 full"}}
type Cut struct {
	// Session is the one that it happens to. Zero: the first connection.
	Session int
	// Verb is the command or pseudo verb where the counting begins: with what
	// the client sends behind the first such command, or with the reply to it.
	// "": with the session.
	Verb string
	// FromClient counts the bytes that the server reads, instead of those that
	// it writes. With TLS they are those of the plaintext.
	FromClient bool
	// After is how many of these bytes still pass. What the last of them asks
	// for is done, but not answered any more.
	After int64
	// Action is what happens. A Reply or Raw is written there and then, and
	// the session goes on; as a Fault, DropAfter closes behind it. The zero
	// Action does nothing. Over a Wire without a window, the Reply to a client
	// that is in the midst of a Write holds both.
	Action Action
}

// pendingCut is a Cut of a session.
type pendingCut struct {
	Cut
	armed bool  // the counting has begun
	base  int64 // what had passed then
	done  bool
}

func pendingCuts(cuts []Cut, session int) []pendingCut {
	var pending []pendingCut
	for _, c := range cuts {
		if c.Session == session {
			pending = append(pending, pendingCut{Cut: c, armed: c.Verb == ""})
		}
	}
	return pending
}

// armCuts begins the counting of the cuts that are bound to a verb.
func (s *session) armCuts(verb string) {
	for i := range s.cuts {
		c := &s.cuts[i]
		if c.armed || c.Verb != verb {
			continue
		}
		// Replies to earlier commands are not counted. An error here comes again
		// at the next write.
		_ = s.flush()
		c.armed, c.base = true, s.written
		if c.FromClient {
			c.base = s.received - int64(s.in.Buffered())
		}
	}
}

// room does what is due, and gives how many bytes may pass in a direction until
// the next cut.
func (s *session) room(fromClient bool) (int64, error) {
	room := int64(math.MaxInt64)
	for i := range s.cuts {
		c := &s.cuts[i]
		if c.done || !c.armed {
			continue
		}
		passed := s.written
		if c.FromClient {
			passed = s.received
		}
		left := c.base + c.After - passed
		if left > 0 {
			if c.FromClient == fromClient {
				room = min(room, left)
			}
			continue
		}
		c.done = true
		if err := s.perform(c.Action); err != nil {
			return 0, err
		}
	}
	return room, nil
}

// perform carries out the Action of a cut.
func (s *session) perform(a Action) error {
	d := decision{Action: a, text: a.Reply}
	if a.Fault == Garbage {
		d.text = garbage
	}
	if err := s.stumble(d); err != nil {
		return err
	}
	if d.scripted() && (d.text != "" || d.Raw != nil) {
		due := append(s.out, d.wire()...)
		s.out = nil
		if err := s.put(due); err != nil {
			return err
		}
	}
	if a.Fault == DropAfter {
		return s.drop()
	}
	return nil
}
