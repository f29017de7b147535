package trial

import (
	"slices"
	"sync"
	"time"

	"github.com/postrider/postrider/smtpclient/smtptest"
)

// mood is how a server is from one start to the next.
type mood struct {
	extensions []string
	unknown    bool // it shows the certificate that nobody trusts
	wire       smtptest.Wire
	cuts       []smtptest.Cut
	odd        *sessions // those in which the server went its own way, and takes what is right for wrong
}

// sessions is a set of sessions.
type sessions struct{ sync.Map }

func (s *sessions) add(n int) { s.Store(n, true) }

func (s *sessions) has(n int) bool {
	_, ok := s.Load(n)
	return ok
}

// fates are what may become of a command, each as likely as the other.
type fates []smtptest.Action

var (
	silent = smtptest.Action{Fault: smtptest.Stall}
	gone   = smtptest.Action{Reply: "421 4.3.2 going away"}
	drop   = smtptest.Action{Fault: smtptest.Drop}
)

// fatesOf gives for a verb how rarely something happens, and what.
func fatesOf(verb string) (oneIn int, of fates) {
	switch verb {
	case smtptest.Connect:
		return 50, fates{gone, {Reply: "554 5.3.2 not today"}, drop, silent, {Fault: smtptest.Garbage}, {Fault: smtptest.Reset}, {Fault: smtptest.Lines}}
	case "EHLO", "LHLO":
		return 80, fates{gone, {Reply: "502 5.5.1 what?"}, {Reply: "450 4.3.2 later"}, drop, {Fault: smtptest.MixedCodes}, {Fault: smtptest.Trickle}}
	case "STARTTLS":
		return 40, fates{{Reply: "454 4.7.0 no TLS now"}, {Fault: smtptest.BreakTLS}, {Fault: smtptest.IgnoreTLS}, drop, {Raw: []byte("220 go\r\n250 injected\r\n")}}
	case "AUTH":
		return 20, fates{{Reply: "454 4.7.0 later"}, drop, silent}
	case "MAIL":
		return 60, fates{{Reply: "450 4.1.8 later"}, {Reply: "550 5.7.1 not from you"}, gone, drop, {Fault: smtptest.Reset}, {Fault: smtptest.EmptyLine}}
	case "RCPT":
		return 25, fates{{Reply: "450 4.2.1 later"}, {Reply: "550 5.1.1 who?"}, {Reply: "452 4.5.3 too many"}, {Reply: "552 5.2.2 full"}, {Reply: "251 2.1.5 elsewhere"},
			gone, drop, silent, {Fault: smtptest.Garbage}, {Fault: smtptest.Drip}}
	case "DATA", "BDAT":
		return 80, fates{{Reply: "451 4.3.0 later"}, {Reply: "554 5.6.0 no"}, gone, drop, silent, {Fault: smtptest.ResetAfter}}
	case smtptest.EndOfData:
		return 14, fates{{Reply: "450 4.3.0 later"}, {Reply: "550 5.7.1 spam"}, {Reply: "452 4.3.1 full"}, gone, drop, {Fault: smtptest.Reset}, silent,
			{Fault: smtptest.Garbage}, {Fault: smtptest.DropAfter}, {Fault: smtptest.ResetAfter}, {Fault: smtptest.MixedCodes},
			{Fault: smtptest.EmptyLine}, {Fault: smtptest.Lines}, {Reply: "221 2.0.0 bye"}, {Reply: "354 go on"}}
	case "RSET", "NOOP", "QUIT":
		return 60, fates{gone, drop, silent, {Reply: "500 5.5.1 no"}}
	}
	return 0, nil
}

// blurred are replies that melt into the next one, or come twice. Where a 250 to RCPT may
// stand in the place of that to the last chunk nobody could tell which is which, so that
// they are for others only. In LMTP, where verdicts follow each other, the count shows
// one that was not ended, if its lines do (TestVerdictsThatRunTogether of smtpclient);
// one that comes twice, or without its line end, gives each recipient behind it the
// verdict of another, in replies that are all well formed
// (TestVerdictsOfOthers).
var (
	blurred     = fates{{Fault: smtptest.Twice}, {Fault: smtptest.Unterminated}, {Raw: []byte("250 2.0")}}
	blurredLMTP = fates{{Fault: smtptest.Unterminated}}
)

// newMood rolls the mood of one start of a server.
func (p *place) newMood(d throws, beat time.Duration) mood {
	m := mood{odd: &sessions{}, extensions: []string{"SIZE 1000000", "8BITMIME", "ENHANCEDSTATUSCODES"}}
	if !d.oneIn(4) {
		m.extensions = append(m.extensions, "PIPELINING")
	}
	if d.oneIn(3) {
		m.extensions = append(m.extensions, "CHUNKING")
	}
	if !d.oneIn(5) || p.password {
		m.extensions = append(m.extensions, "STARTTLS")
	}
	if d.oneIn(4) {
		m.extensions = append(m.extensions, "LIMITS RCPTMAX=2 MAILMAX=7")
	}
	m.unknown = d.oneIn(8) && !p.password
	m.wire = smtptest.Wire{Window: pick(d, []int{0, 1, 500, 5000, 64 << 10}), Delay: 1 + d.upTo(beat/1000)}
	if m.wire.Window == 1 {
		m.wire.Window = 1 + d.IntN(64)
	}
	if d.oneIn(4) {
		m.wire.MaxRead = 1 + d.IntN(40)
	}
	if d.oneIn(4) {
		m.wire.MaxWrite = 1 + d.IntN(200)
	}
	for session := range cutSessions {
		if d.oneIn(6) {
			m.cuts = append(m.cuts, newCut(d, session))
		}
	}
	return m
}

// cutSessions is how many connections to a server may be cut by it: it starts again
// before there are many more.
const cutSessions = 100

func newCut(d throws, session int) smtptest.Cut {
	after := int64(d.IntN(300))
	if d.oneIn(2) {
		after = int64(d.IntN(6000))
	}
	fault := pick(d, []smtptest.Fault{smtptest.Drop, smtptest.Reset, smtptest.Stall})
	return smtptest.Cut{Session: session, FromClient: d.oneIn(2), After: after, Action: smtptest.Action{Fault: fault}}
}

// script is what the server does about each command.
func (p *place) script(d dice, start int, m mood, beat time.Duration) func(smtptest.Command) smtptest.Action {
	chunks := slices.Contains(m.extensions, "CHUNKING")
	return func(c smtptest.Command) smtptest.Action {
		matter := c.Verb + c.Args
		if c.Message != nil {
			matter += c.Message.From
		}
		t := d.about(matter, start, c.Session, p.number)
		rarely, of := fatesOf(c.Verb)
		if rarely == 0 || !t.oneIn(rarely) {
			if t.oneIn(30) {
				return smtptest.Action{Delay: t.upTo(beat / 10)}
			}
			return smtptest.Action{}
		}
		if c.Verb == smtptest.EndOfData && !chunks && t.oneIn(6) {
			if p.lmtp {
				return pick(t, blurredLMTP)
			}
			return pick(t, blurred)
		}
		a := pick(t, of)
		if a.Fault == smtptest.IgnoreTLS && p.proxy == nil {
			a.Fault = smtptest.BreakTLS // what a ClientHello means as commands is left to its random bytes, and cannot be repeated
		}
		if c.Verb == "STARTTLS" || c.Verb == "RSET" {
			m.odd.add(c.Session) // it reads on in plaintext, or has the last transaction still open
		}
		return a
	}
}
