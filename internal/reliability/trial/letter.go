package trial

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// letter is one message: all that is known of it beforehand, and what is learned.
type letter struct {
	id      int
	env     smtpclient.Envelope
	content []byte
	how     int           // which of the clients
	patient time.Duration // until its sender gives up; zero: never

	mu     sync.Mutex
	dials  int
	levels map[string]tlspolicy.Level // the least that was decided, by host
	taken  []took                     // by recipient
	report []smtpclient.Outcome       // nil: none yet
	err    error
}

// took is what servers have of a letter for one recipient.
type took struct {
	yes   int // they said so
	maybe int // they were silent, or made no sense
	said  []string
}

// letter makes the nth one.
func (t *Trial) letter(n int) *letter {
	d := t.dice.about("letter", n)
	l := &letter{id: n, how: d.IntN(len(t.clients)), levels: make(map[string]tlspolicy.Level)}
	l.env = smtpclient.Envelope{From: fmt.Sprintf("s%d@sender.example.org", n)}
	home := d.IntN(domains)
	for i := range 1 + d.IntN(3) {
		if d.oneIn(6) {
			home = d.IntN(domains)
		}
		l.env.To = append(l.env.To, smtpclient.Recipient{Address: fmt.Sprintf("r%d.%d@d%d.example", n, i, home)})
	}
	l.taken = make([]took, len(l.env.To))
	l.content = content(d, n)
	if d.oneIn(50) {
		l.patient = d.upTo(t.Beat)
	}
	return l
}

// content is a message with what content can have that needs care: dots at the
// beginning of lines, bare LF, no line end at the end; sometimes it is long.
func content(d throws, n int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: s%d@sender.example.org\r\nSubject: letter %d\r\nMessage-ID: <%d@sender.example.org>\r\n\r\n", n, n, n)
	lines := d.IntN(12)
	if d.oneIn(400) {
		lines = 3000
	}
	for range lines {
		b.WriteString(pick(d, []string{"", ".", "..", "a line of the usual length, with nothing in it that needs care", "QUIT", ".\n", ". x\r", "RSET\n"}))
		b.WriteString(pick(d, []string{"\r\n", "\r\n", "\r\n", "\n"}))
	}
	if d.oneIn(5) {
		b.WriteString("no end")
	}
	return b.Bytes()
}

// arrived is what a server has to get, written from the rules: CRLF ends lines, and
// a CR alone is a space.
func arrived(content []byte) string {
	text := strings.ReplaceAll(string(content), "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", " ")
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return strings.ReplaceAll(text, "\n", "\r\n")
}

// decided notes a level. A later one for the same host counts only if it is lower.
func (l *letter) decided(host string, level tlspolicy.Level) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if old, ok := l.levels[host]; !ok || level < old {
		l.levels[host] = level
	}
}

// dialled counts the connections that were asked for.
func (l *letter) dialled() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dials++
	return l.dials
}

// numberOf is the letter that a reverse path belongs to.
func numberOf(path string) (int, bool) {
	local, _, _ := strings.Cut(path, "@")
	n, err := strconv.Atoi(strings.TrimPrefix(local, "s"))
	return n, err == nil
}
