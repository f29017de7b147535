package smtpclient_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
)

// referee reads what both sides of each connection said and holds it against the
// reports. He knows replies by their count only: which command each answers.
type referee struct {
	t    *testing.T
	plan *plan
	// fates are what the server said at last about each recipient to whom the
	// message may have gone, or who was refused for good.
	fates map[string][]smtpclient.Status
}

// judge holds the invariants of DESIGN.md 8.
func (r *referee) judge() {
	for _, c := range r.plan.used {
		(&hearing{referee: r, tape: c, replies: hear(c.stream)}).run()
	}
	for i, report := range r.plan.reports {
		env := r.plan.sent[i]
		if len(report.Outcomes) != len(env.To) { // 1
			r.t.Fatalf("%d outcomes for %d recipients", len(report.Outcomes), len(env.To))
		}
		for k, o := range report.Outcomes {
			if o.Address != env.To[k].Address {
				r.t.Errorf("outcome %d is for %s, want %s", k, o.Address, env.To[k].Address)
			}
			r.outcome(&o)
		}
	}
}

// outcome holds one outcome against what the servers said: invariants 2 to 4.
func (r *referee) outcome(o *smtpclient.Outcome) {
	fates := r.fates[o.Address]
	last := smtpclient.Deferred
	for i, fate := range fates {
		if i > 0 && last != smtpclient.Deferred {
			r.t.Errorf("%s was %v, and then tried again", o.Address, last)
		}
		last = fate
	}
	if o.Status == last || last == smtpclient.Deferred && o.Status == smtpclient.Failed {
		return
	}
	r.t.Errorf("%s is %v, want %v: the servers said %v; %v", o.Address, o.Status, last, fates, o.Err())
}

// hearing is the case of one connection.
type hearing struct {
	*referee
	tape    *tape
	replies []heard

	at     int // in what the client wrote
	due    int // replies that the commands so far ask for
	broken int // the first reply that must end the session, or how many there are
	offers heard
	verbs  []string
	starts []int  // where commands begin
	marks  []mark // in order
	ends   []int  // where contents end

	// Of the mail transaction.
	open     bool // the server may have one
	refused  bool // MAIL was
	asked    []string
	accepted []string
	unheard  []string // those whom no reply to RCPT that counts speaks of
	odd      bool     // a recipient was accepted after MAIL had been refused
	chunks   int      // bytes of content that went by BDAT
	nobody   bool     // the last of them were for nobody, in LMTP: that has no reply, or a refusal
}

func (h *hearing) fault(format string, args ...any) {
	h.t.Helper()
	h.t.Errorf("%s\nthe client wrote %.2000q\nthe server said %.2000q", fmt.Sprintf(format, args...), h.tape.out, h.tape.stream)
}

// run goes through what the client wrote.
func (h *hearing) run() {
	for _, f := range h.tape.faults {
		h.fault("%s", f)
	}
	h.due, h.broken = 1, len(h.replies)
	greeting := h.reply(0)
	if greeting.code == 421 || greeting.code != 220 && !greeting.no() {
		h.breaks(0)
	}
	h.mark()
	for goOn := true; goOn && h.at < len(h.tape.out); h.mark() {
		h.starts = append(h.starts, h.at)
		line, ended := h.line()
		goOn = ended && h.command(line)
	}
	if greeting.no() && len(h.verbs) > 0 && h.verbs[0] != "QUIT" {
		h.fault("the client said %q after it was turned away", h.verbs)
	}
	if len(h.verbs) == 0 || h.verbs[len(h.verbs)-1] != "TLS" {
		h.checkWrites()
	}
}

// mark says how many replies what stands before a place asks for.
type mark struct{ at, due int }

func (h *hearing) mark() { h.marks = append(h.marks, mark{h.at, h.due}) }

// reply is the i-th reply, zero if there is none.
func (h *hearing) reply(i int) heard {
	if i < len(h.replies) {
		return h.replies[i]
	}
	return heard{}
}

// next is the reply to the command that was just read.
func (h *hearing) next() heard {
	h.due++
	reply := h.reply(h.due - 1)
	if reply.code == 421 {
		h.breaks(h.due - 1)
	}
	return reply
}

// breaks says that the i-th reply must end the session.
func (h *hearing) breaks(i int) { h.broken = min(h.broken, i) }

// answer is next for a command that is answered by yes or no.
func (h *hearing) answer() heard {
	reply := h.next()
	if !reply.yes() && !reply.no() {
		h.breaks(h.due - 1)
	}
	return reply
}

// line takes the next command line off. One that is not whole stands at the end,
// where the connection took no more.
func (h *hearing) line() (string, bool) {
	text, _, ended := bytes.Cut(h.tape.out[h.at:], []byte("\r\n"))
	h.at += len(text)
	if bytes.ContainsAny(text, "\r\n\x00") && ended {
		h.fault("the line %q", text)
	}
	if !ended {
		if h.tape.room > 0 {
			h.fault("the line %q has no end", text)
		}
		return "", false
	}
	h.at += 2
	return string(text), true
}

// command holds one line against the order of commands, and takes its replies. It
// tells whether another line may follow.
func (h *hearing) command(line string) bool {
	verb, arg, _ := strings.Cut(line, " ")
	before := h.verbs
	h.verbs = append(h.verbs, verb)
	if slices.Contains(before, "QUIT") {
		h.fault("%q stands behind QUIT", line)
	}
	switch verb {
	case "EHLO", "HELO", "LHLO":
		return h.hello(verb, arg, before)
	case "STARTTLS":
		return h.startTLS()
	case "RSET":
		h.skipForNobody()
		if reply := h.answer(); !reply.yes() {
			h.breaks(h.due - 1)
		}
		h.endTransaction()
	case "MAIL":
		h.mail(arg)
	case "RCPT":
		h.rcpt(arg)
	case "DATA":
		return h.data()
	case "BDAT":
		return h.bdat(arg)
	case "QUIT":
		h.next()
	default:
		h.fault("the line %q", line)
	}
	return true
}

func (h *hearing) hello(verb, arg string, before []string) bool {
	again := slices.Equal(before, []string{"EHLO"}) && verb == "HELO" && h.reply(1).code >= 500
	if len(before) > 0 && !again || (verb == "LHLO") != h.plan.lmtp() || arg != "client.example.org" {
		h.fault("%s %s stands behind %q", verb, arg, before)
	}
	h.offers = h.answer()
	if verb == "HELO" {
		h.offers.text = ""
	}
	return true
}

func (h *hearing) startTLS() bool {
	if !h.plan.is(mayTLS) || !h.offers.offers("STARTTLS") {
		h.fault("STARTTLS was not offered, or not wanted")
	}
	reply := h.next()
	if reply.code != 220 {
		if !reply.no() {
			h.breaks(h.due - 1)
		}
		return true
	}
	if rest := h.tape.out[h.at:]; len(rest) > 0 && rest[0] != 0x16 {
		h.fault("in place of TLS, the client wrote %.100q", rest)
	}
	h.verbs = append(h.verbs, "TLS")
	return false
}

// skipForNobody leaves out the refusal of content that was for nobody (RFC 2033, Section
// 4.2, has none). There is one at most.
func (h *hearing) skipForNobody() {
	if reply := h.reply(h.due); h.nobody && reply.no() && reply.code != 421 {
		h.due++
	}
	h.nobody = false
}

func (h *hearing) endTransaction() {
	h.open, h.refused, h.odd, h.chunks, h.asked, h.accepted, h.unheard = false, false, false, 0, nil, nil, nil
}

func (h *hearing) mail(arg string) {
	if h.open || !h.offers.yes() {
		h.fault("MAIL stands where none can be: %q", h.verbs)
	}
	h.endTransaction()
	if path, _, _ := strings.Cut(arg, " "); !h.isSender(path) {
		h.fault("MAIL %s is of nobody", arg)
	}
	reply := h.answer()
	h.open, h.refused = reply.yes(), reply.no()
}

func (h *hearing) isSender(path string) bool {
	return slices.ContainsFunc(h.plan.sent, func(env smtpclient.Envelope) bool { return path == "FROM:<"+env.From+">" })
}

func (h *hearing) rcpt(arg string) {
	address := strings.TrimSuffix(strings.TrimPrefix(arg, "TO:<"), ">")
	known := slices.ContainsFunc(h.plan.sent, func(env smtpclient.Envelope) bool {
		return slices.ContainsFunc(env.To, func(to smtpclient.Recipient) bool { return to.Address == address })
	})
	if arg != "TO:<"+address+">" || !known || slices.Contains(h.asked, address) || !slices.Contains(h.verbs, "MAIL") || h.chunks > 0 {
		h.fault("RCPT %s stands behind %q", arg, h.asked)
	}
	h.asked = append(h.asked, address)
	for _, fate := range h.fates[address] {
		if fate != smtpclient.Deferred {
			h.fault("RCPT %s, who is %v", arg, fate)
		}
	}
	switch reply := h.answer(); {
	case h.due-1 >= h.broken && !h.refused:
		h.unheard = append(h.unheard, address)
	case reply.yes() && h.refused:
		h.odd = true
	case reply.yes():
		h.accepted = append(h.accepted, address)
	case reply.final() && reply.code != 552 && !h.refused && !h.inShortWrite():
		h.fates[address] = append(h.fates[address], smtpclient.Failed)
	}
}

// inShortWrite tells that the line just read went out with a write that failed. Of
// the replies behind it one at most is looked for.
func (h *hearing) inShortWrite() bool {
	return slices.ContainsFunc(h.tape.writes, func(w writing) bool { return w.short && w.at < h.at && h.at <= w.at+w.n })
}
