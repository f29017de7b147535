package smtpclient

// doubts keeps verdicts of LMTP back that may not be whose they seem. A reply that a
// server does not end runs together with the next one of the same code: then each
// verdict behind it counts for the recipient before, and one is missing at the end. So
// what follows a reply of several lines is believed when all have come.
type doubts struct {
	s       *Session
	several bool // a reply had several lines
	held    []doubtful
}

type doubtful struct {
	r      *recipient
	status Status
	a      *Attempt
}

// settle records what a reply has decided, or keeps it back.
func (d *doubts) settle(rs []*recipient, reply Reply, status Status, a *Attempt) {
	for _, r := range rs {
		if d.several {
			d.held = append(d.held, doubtful{r, status, a})
			continue
		}
		r.settleAt(status, a, d.s.clock)
	}
	d.several = d.several || len(reply.Lines) > 1
}

// release records what was kept back: every recipient has had a reply.
func (d *doubts) release() {
	for _, v := range d.held {
		v.r.settleAt(v.status, v.a, d.s.clock)
	}
}
