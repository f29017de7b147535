package smtpclient_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
)

// listener reads a session of a dialogue as somebody between the two ends would,
// and finds whether a whole message was taken for a recipient. It shares no code
// with the client, so that a report in a file that was written by mistake, or by
// -update, is found out.
type listener struct {
	lmtp     bool
	owed     []string // commands that are not answered; "." is the end of a message
	accepted []string // of the transaction
	answered int      // of them, in LMTP
	content  bool     // until the dot
	skip     int      // bytes of a chunk that are still to come
	text     string   // of a reply that is not complete
	yes      map[string]int
	open     map[string]int // no answer that can be believed
}

// checkDialogueEnds holds a report against what was said: invariants 2 to 4.
func checkDialogueEnds(t *testing.T, sessions []string, protocol smtpclient.Protocol, report smtpclient.Report) {
	t.Helper()
	yes, open := make(map[string]int), make(map[string]int)
	for _, text := range sessions {
		l := &listener{lmtp: protocol == smtpclient.LMTP, owed: []string{"greeting"}, yes: yes, open: open}
		l.listen(text)
	}
	delivered, unknown := make(map[string]int), make(map[string]int)
	for _, o := range report.Outcomes {
		switch o.Status {
		case smtpclient.Delivered:
			delivered[o.Address]++
		case smtpclient.Unknown:
			unknown[o.Address]++
		}
	}
	if got, want := fmt.Sprint(delivered, unknown), fmt.Sprint(yes, open); got != want {
		t.Errorf("delivered and unknown are %s by the report, and %s by the dialogue", got, want)
	}
}

// sessionsOf are the sessions in the text of a dialogue.
func sessionsOf(text string) (sessions []string) {
	_, rest, found := strings.Cut(text, "-- session --\n")
	for found {
		var session string
		session, rest, found = strings.Cut(rest, "-- session --\n")
		session, _, _ = strings.Cut(session, "\n-- ")
		sessions = append(sessions, session)
	}
	return sessions
}

func (l *listener) listen(text string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if said, ok := spoken(line, "S"); ok {
			if !l.server(said) {
				break
			}
		}
		if said, ok := spoken(line, "C"); ok {
			l.client(said)
		}
	}
	for _, command := range l.owed {
		if command == "." {
			l.leave()
		}
	}
}

// client hears a line of the client.
func (l *listener) client(said string) {
	line := strings.TrimSuffix(said, "\r\n")
	verb, arg, _ := strings.Cut(line, " ")
	switch {
	case l.skip > 0:
		l.skip -= len(said)
	case l.content && line == ".":
		l.content = false
		l.owed = append(l.owed, ".")
	case l.content:
	case verb == "BDAT":
		size, last, _ := strings.Cut(arg, " ")
		l.skip, _ = strconv.Atoi(size)
		if last == "LAST" {
			verb = "."
		}
		l.owed = append(l.owed, verb)
	default:
		l.owed = append(l.owed, line)
	}
}

// server hears some bytes of the server, and tells whether it makes sense to
// listen on.
func (l *listener) server(said string) bool {
	l.text += said
	first := ""
	for {
		line, rest, whole := strings.Cut(l.text, "\n")
		if !whole {
			return true
		}
		code, more := "", byte(' ')
		if line = strings.TrimSuffix(line, "\r"); len(line) >= 3 {
			code = line[:3]
		}
		if len(line) > 3 {
			more = line[3]
		}
		if first == "" {
			first = code
		}
		if code != first || strings.Trim(code, "0123456789") != "" || len(code) != 3 {
			return false
		}
		if more == '-' && !strings.Contains(rest, "\n") {
			return true // the rest is still to come
		}
		l.text = rest
		if more != '-' {
			first = ""
			if !l.reply(code) {
				return false
			}
		}
	}
}

// reply hears a reply and gives it to the command that it is owed to.
func (l *listener) reply(code string) bool {
	if len(l.owed) == 0 {
		return false
	}
	command := l.owed[0]
	yes := code[0] == '2' && !strings.Contains("211 214 220 221 235", code)
	if command == "." {
		if !yes && code[0] < '4' {
			return false // it stays open
		}
		l.settle(yes)
		return true
	}
	l.owed = l.owed[1:]
	switch {
	case strings.HasPrefix(command, "MAIL "):
		l.accepted, l.answered = nil, 0
	case strings.HasPrefix(command, "RCPT ") && yes:
		path, _, _ := strings.Cut(strings.TrimPrefix(command, "RCPT TO:<"), ">")
		l.accepted = append(l.accepted, path)
	case command == "DATA" && code == "354":
		l.content = true
	}
	return true
}

// settle takes an answer to the end of a message: for all, or in LMTP for the
// next.
func (l *listener) settle(yes bool) {
	now := l.accepted[l.answered:]
	if l.lmtp && len(now) > 1 {
		now = now[:1]
	}
	l.answered += len(now)
	for _, path := range now {
		if yes {
			l.yes[path]++
		}
	}
	if l.answered == len(l.accepted) {
		l.owed = l.owed[1:]
	}
}

// leave ends a message that was not answered, or not for all.
func (l *listener) leave() {
	for _, path := range l.accepted[l.answered:] {
		l.open[path]++
	}
	l.answered = len(l.accepted)
}
