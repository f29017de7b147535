package smtpclient_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// foretell says what may become of recipient i of a letter, from the letter alone:
// d(elivered), D(eferred), f(ailed), u(nknown).
func (l modelLetter) foretell(i int, p modelPlan) string {
	may := l.usually(i, p)
	if p.grouped && slices.ContainsFunc(p.letters, modelLetter.breaks) {
		may += "u" // its content was on its way in a session that the server has broken
	}
	if l.cancelAt > 0 {
		may += "Du"
	}
	return may
}

func (l modelLetter) usually(i int, p modelPlan) string {
	lmtp := p.lmtp
	switch l.content {
	case "open fails", "open panics", "read fails", "read panics":
		return "D"
	case "open fails once", // the first opening may be for an envelope that is not used
		"close panics": // on a session that proves gone, when nothing was sent
		return "dD"
	}
	f := l.fault
	mine := i == f.rcpt
	lost := f.what == "drop" || f.what == "reset" || f.what == "stall" || f.what == "garbage"
	may := "d"
	switch {
	case f.what == "" || f.what == "delay" || p.grouped && f.verb == "DATA":
	case f.what == "450" || f.what == "452":
		if f.verb != "RCPT" || mine {
			may = "D"
		}
	case f.what == "550":
		if f.verb != "RCPT" || mine {
			may = "f"
		}
	case f.verb != smtptest.EndOfData:
		may = "D"
		if f.verb == "DATA" && f.what == "dropafter" || p.grouped {
			may = "Du" // the content may have left
		}
	case lost:
		may = "u"
	case f.what == "421":
		may = "D"
		if lmtp && i > 0 { // nothing was said about this one
			may = "u"
		}
	case f.what == "dropafter" && lmtp && i > 0:
		may = "u"
	}
	if f.once { // it may have met an envelope that was written ahead in vain, or another address
		may += "d"
	}
	if f.once && f.verb == "RCPT" && f.what == "452" || lmtp && f.once && i > 0 {
		may += "dD"
	}
	return may
}

// breaks tells that the server ends the session over it.
func (l modelLetter) breaks() bool {
	return l.fault.what != "" && l.fault.what != "delay" && l.fault.what[0] != '5' && l.fault.what[:2] != "45"
}

// disturbed tells that what befalls a letter may be another's doing: connections are
// lost, or the pool is closed.
func (p modelPlan) disturbed() bool { return len(p.kills) > 0 || p.closeAt > 0 }

// calm tells that the client had no reason to behave badly.
func (p modelPlan) calm() bool {
	for _, l := range p.letters {
		answered := l.fault.what == "" || l.fault.what == "delay" || l.fault.what[0] == '4' || l.fault.what[0] == '5'
		// A chunk goes on its way before its envelope can be refused.
		if l.cancelAt > 0 || l.content != "" || !answered || p.grouped && l.fault.what != "" {
			return false
		}
	}
	return !p.disturbed()
}

// arrival is what the servers know of a recipient.
type arrival struct{ yes, perhaps int }

// check holds both ends against each other and against what was foretold.
func (r *modelRun) check() {
	got := map[string]arrival{}
	for server, s := range r.srv {
		r.checkServer(server, s, got)
	}
	for n, l := range r.plan.letters {
		report := r.reports[n]
		if len(report.Outcomes) != l.rcpts { // invariant 1
			r.errorf("letter %d: %d outcomes for %d recipients", n, len(report.Outcomes), l.rcpts)
			continue
		}
		if l.cancelAt > 0 && r.ended[n] > l.cancelAt { // invariant 8
			r.errorf("letter %d ended %v after its cancel", n, r.ended[n]-l.cancelAt)
		}
		for i, o := range report.Outcomes {
			at := got[o.Address]
			status := map[smtpclient.Status]string{smtpclient.Delivered: "d", smtpclient.Deferred: "D", smtpclient.Failed: "f", smtpclient.Unknown: "u"}[o.Status]
			may := l.foretell(i, r.plan)
			if r.plan.disturbed() {
				may += "Du"
			}
			switch {
			case !strings.Contains(may, status):
				r.errorf("letter %d, recipient %d: %s, want one of %s: %v", n, i, status, may, o.Err())
			case status == "d" && l.fault.what == "" && !strings.HasSuffix(o.Reply.String(), fmt.Sprint(" letter ", n)):
				r.errorf("letter %d, recipient %d: delivered by a reply to something else: %v", n, i, o.Reply)
			case status == "d" && at.yes == 0: // invariant 2
				r.errorf("letter %d, recipient %d: delivered, but no server took it", n, i)
			case strings.Contains("Df", status) && at.yes+at.perhaps > 0: // invariant 3
				r.errorf("letter %d, recipient %d: %s, but %+v: %v", n, i, status, at, o.Err())
			case at.yes+at.perhaps > 1: // invariant 4
				r.errorf("letter %d, recipient %d: %+v", n, i, at)
			case len(o.Earlier) > 0 && r.plan.stagger == 0: // there is one host: one attempt is told
				r.errorf("letter %d, recipient %d: earlier attempts %v", n, i, o.Earlier)
			}
		}
	}
}

func (r *modelRun) checkServer(server int, s *smtptest.Server, got map[string]arrival) {
	kinds := map[int]string{}
	for _, m := range s.Messages() {
		n := -1
		fmt.Sscanf(m.From, "from%d@", &n)
		l := r.plan.letters[n]
		if string(m.Data) != textOf(n) { // invariants 2 and 5
			r.errorf("letter %d arrived as %.80q", n, m.Data)
		}
		// Invariants 6 and 7: who says so, in what channel, by which name.
		login := map[string]string{"ann": "ann", "eve": "eve"}[l.kind]
		if m.Login != login || (m.TLS != nil) != (l.kind == "tls") {
			r.errorf("letter %d of kind %s came from %q, TLS %v", n, l.kind, m.Login, m.TLS != nil)
		}
		said := dialogueOf(s, m.Session)
		if strings.Contains(said, " named.") != (l.kind == "named") {
			r.errorf("letter %d of kind %s: %.30q", n, l.kind, said)
		}
		if k, ok := kinds[m.Session]; ok && k != l.kind {
			r.errorf("session %d of server %d served kinds %s and %s", m.Session, server, k, l.kind)
		}
		kinds[m.Session] = l.kind
		for i, to := range m.To {
			at := got[to]
			switch reply := m.Replies[min(i, len(m.Replies)-1)]; {
			case reply == "":
				at.perhaps++
			case reply[0] == '2':
				at.yes++
			}
			got[to] = at
			if !strings.HasPrefix(to, fmt.Sprintf("box%d-", n)) {
				r.errorf("letter %d went to %s", n, to)
			}
		}
	}
	most := r.plan.pool.uses
	if most == 0 {
		most = 100
	}
	if limit := r.plan.servers[server].mailMax; limit > 0 && (most < 0 || limit < most) {
		most = limit
	}
	for i := range s.Sessions() {
		said := dialogueOf(s, i)
		if strings.Contains(said, "STARTTLS") || strings.HasPrefix(said, "HELO ") {
			continue // it cannot be read; it was told of no limit
		}
		// One delivery may take several transactions on a session of any age.
		if n := strings.Count(said, "MAIL FROM:"); most > 0 && n > most && !strings.Contains(fmt.Sprint(r.plan.letters), "452") {
			r.errorf("session %d of server %d had %d transactions, want %d at most", i, server, n, most)
		}
	}
	if r.plan.calm() {
		for _, v := range s.Violations() {
			r.errorf("server %d: the client broke the rules: %s", server, v)
		}
	}
}
