package interop

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/postrider/postrider/lmtp"
	"github.com/postrider/postrider/smtpclient"
)

// Many messages go through few sessions, from many goroutines, and each has a
// content of its own. POSTRIDER_BULK is how many, for those who have the time.
const (
	bulkSessions   = 4
	bulkGoroutines = 32
)

func bulkSize(t *testing.T) int {
	t.Helper()
	text := os.Getenv("POSTRIDER_BULK")
	if text == "" {
		return 1000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 100 {
		t.Fatalf("POSTRIDER_BULK is %q; it takes a number of messages, 100 or more", text)
	}
	return n
}

// bulkMessage is message n: most are of some hundred bytes, and some do not fit into
// one write.
func bulkMessage(n int) []byte {
	lines := n % 30
	if n%50 == 0 {
		lines = 1000
	}
	var text strings.Builder
	for line := range lines {
		fmt.Fprintf(&text, ".line %d of message %d\r\n", line, n)
	}
	fmt.Fprintf(&text, "the end of message %d\r\n", n)
	return body(fmt.Sprintf("bulk %d", n), text.String())
}

var bulkNumber = regexp.MustCompile(`\nSubject: bulk (\d+)\r?\n`)

// bulkPool is a pool of few sessions, which holds nothing at the end of the test.
func bulkPool(t *testing.T) *smtpclient.Pool {
	pool := &smtpclient.Pool{PerDestination: bulkSessions}
	t.Cleanup(func() {
		if err := pool.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if s := pool.Stats(); s.Idle+s.InUse+s.Waiting != 0 {
			t.Errorf("after Close: %+v", s)
		}
	})
	return pool
}

// sendBulk has many goroutines send n messages through a pool, and holds it to its
// bound.
func sendBulk(t *testing.T, pool *smtpclient.Pool, n int, send func(number int)) {
	var last atomic.Int64
	var senders sync.WaitGroup
	for range bulkGoroutines {
		senders.Go(func() {
			for i := last.Add(1); i <= int64(n); i = last.Add(1) {
				send(int(i))
				if s := pool.Stats(); s.Idle+s.InUse > bulkSessions {
					t.Errorf("more than %d sessions: %+v", bulkSessions, s)
				}
			}
		})
	}
	senders.Wait()
}

// dialogue stands before a server.
func dialogue(t *testing.T, server string) *Dialogue {
	t.Helper()
	d, err := NewDialogue(server)
	listen(t, d.Front, err)
	return d
}

// wantOverlap checks how the transactions followed each other.
func (d *Dialogue) wantOverlap(t *testing.T, n int, some bool) {
	t.Helper()
	got := d.Overlapped()
	t.Logf("%d messages in %d sessions, %d with the end of another one", n, d.Front.Connections.Load(), got)
	if some && got < n/2 || !some && got > 0 {
		t.Errorf("%d of %d transactions began with the end of another one; is that expected: %v", got, n, some)
	}
}

// wantFlown checks that many transactions did not wait for the one before.
func (d *Dialogue) wantFlown(t *testing.T, least int) {
	t.Helper()
	got := d.Flown()
	t.Logf("%d in %d sessions did not wait for the one before", got, d.Front.Connections.Load())
	if got < least {
		t.Errorf("%d transactions did not wait for the one before, want %d at least", got, least)
	}
}

// bulkBoxes are mailboxes that the messages are spread over.
func bulkBoxes(s server) []string {
	boxes := make([]string, 8)
	for i := range boxes {
		boxes[i] = s.NewMailbox("example.test")
	}
	return boxes
}

// bulkStored gives what lies in the mailboxes by the numbers of the messages: the
// names that the server gave to the copies. Each copy is checked to be whole.
func bulkStored(t *testing.T, m *maildirs, boxes []string, stored func(sent []byte) []byte) map[int]map[string]int {
	t.Helper()
	found := map[int]map[string]int{}
	for i, box := range boxes {
		files, err := m.stored(box)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			number := bulkNumber.FindSubmatch(file)
			start := bytes.Index(file, []byte("\nFrom: ")) + 1
			if number == nil || start == 0 {
				t.Fatalf("%s has %.500q", box, file)
			}
			n, _ := strconv.Atoi(string(number[1]))
			if want := stored(bulkMessage(n)); n%len(boxes) != i || !bytes.Equal(file[start:], want) {
				t.Fatalf("%s has as message %d\n%.1000q\nwant\n%.1000q", box, n, file[start:], want)
			}
			if found[n] == nil {
				found[n] = map[string]int{}
			}
			found[n][queueID(t, string(file[:start]))]++
		}
	}
	return found
}

// Each message is stored once and whole, and with overlap off none begins before the
// one before it is answered.
func TestBulk(t *testing.T) {
	for _, c := range []struct {
		name     string
		start    func(t *testing.T) (server, *maildirs)
		whole    fs.FileMode
		queue    []string
		stored   func(sent []byte) []byte
		overlap  bool // PIPELINING is offered
		chunking bool
	}{
		{"Postfix", func(t *testing.T) (server, *maildirs) {
			p := ownPostfix(t, PostfixSettings{})
			return p, p.maildirs
		}, postfixWhole, postfixQueue, asStored, true, true},
		{"Exim", func(t *testing.T) (server, *maildirs) {
			// Without it Exim only queues what comes after the tenth message of a session.
			e := ownExim(t, EximSettings{Main: "smtp_accept_queue_per_connection = 0"})
			return e, e.maildirs
		}, 0, []string{"spool/input"}, asEximStores, true, true},
		{"OpenSMTPD", func(t *testing.T) (server, *maildirs) {
			o := openSMTPD(t)
			return o, o.maildirs
		}, 0, openSMTPDQueue, asStored, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, m := c.start(t) // one after the other: they look for free ports
			t.Parallel()
			for _, way := range []struct {
				name   string
				n      int
				quirks smtpclient.Quirks
			}{
				{"overlap on", bulkSize(t), smtpclient.Quirks{}},
				{"overlap off", 100, smtpclient.Quirks{NoOverlap: true}},
				{"grouped", bulkSize(t), smtpclient.Quirks{Chunking: smtpclient.ChunkingGrouped}},
			} {
				flies := way.quirks.Chunking == smtpclient.ChunkingGrouped
				if flies && !c.chunking {
					continue
				}
				t.Run(way.name, func(t *testing.T) {
					d := dialogue(t, s.Addr(PostfixFull))
					client := withQuirks(clientAt(d.Addr()), way.quirks)
					client.Pool = bulkPool(t)
					boxes := bulkBoxes(s)
					sendBulk(t, client.Pool, way.n, func(n int) {
						if _, err := client.Deliver(t.Context(), envelope(boxes[n%len(boxes)]), smtpclient.Bytes(bulkMessage(n))); err != nil {
							t.Errorf("message %d: %v", n, err)
						}
					})
					d.wantOverlap(t, way.n, c.overlap && !way.quirks.NoOverlap && !flies)
					if flies {
						d.wantFlown(t, way.n/4)
					}
					if err := m.Drain(c.whole, c.queue...); err != nil {
						t.Fatal(err)
					}
					found := bulkStored(t, m, boxes, c.stored)
					for n := range way.n {
						if copies := found[n+1]; len(copies) != 1 {
							t.Errorf("message %d is stored %d times: %v", n+1, len(copies), copies)
						}
					}
				})
			}
		})
	}
}

// A file of Postfix's queue may be executed once it is whole. One whose writing was
// cut off stays for half a day; nobody was told that it was taken.
const postfixWhole = 0o100

var postfixQueue = []string{"queue/incoming", "queue/active", "queue/deferred"}

var openSMTPDQueue = []string{"var/spool/smtpd/incoming", "var/spool/smtpd/queue"}

// A server is restarted twice, in the midst of everything: what was taken is not
// lost, and only what was reported as unknown may be there twice. What is not
// delivered is sent again, as a queue does.
func TestBulkWithRestarts(t *testing.T) {
	for name, quirks := range map[string]smtpclient.Quirks{"overlap": {}, "grouped": {Chunking: smtpclient.ChunkingGrouped}} {
		t.Run("Postfix, "+name, func(t *testing.T) {
			p := ownPostfix(t, PostfixSettings{Main: "queue_run_delay = 1s\nminimal_backoff_time = 1s\nmaximal_backoff_time = 1s\n"})
			bulkWithRestarts(t, restarted{p, p.maildirs, p.process, postfixWhole, postfixQueue, asStored}, quirks)
		})
		t.Run("Exim, "+name, func(t *testing.T) {
			e := ownExim(t, EximSettings{Main: "smtp_accept_queue_per_connection = 0", Runs: "1s"})
			bulkWithRestarts(t, restarted{e, e.maildirs, e.process, 0, []string{"spool/input"}, asEximStores}, quirks)
		})
	}
	t.Run("OpenSMTPD", func(t *testing.T) { // which offers neither PIPELINING nor CHUNKING
		o, err := StartOpenSMTPD()
		present(t, err)
		t.Cleanup(o.Stop)
		bulkWithRestarts(t, restarted{o, o.maildirs, o.process, 0, openSMTPDQueue, asStored}, smtpclient.Quirks{NoOverlap: true})
	})
}

// restarted is a server that comes back.
type restarted struct {
	server interface {
		server
		Restart() error
	}
	mail    *maildirs
	process *process
	whole   fs.FileMode
	queue   []string
	stored  func(sent []byte) []byte
}

func bulkWithRestarts(t *testing.T, p restarted, quirks smtpclient.Quirks) {
	d := dialogue(t, p.server.Addr(PostfixFull))
	client := withQuirks(clientAt(d.Addr()), quirks)
	client.Pool = bulkPool(t)
	boxes := bulkBoxes(p.server)
	n := bulkSize(t)

	var delivered, deferred, restarts atomic.Int64
	var unknown sync.Map // numbers of messages
	sendBulk(t, client.Pool, n, func(number int) {
		for {
			report, err := client.Deliver(t.Context(), envelope(boxes[number%len(boxes)]), smtpclient.Bytes(bulkMessage(number)))
			switch report.Outcomes[0].Status {
			case smtpclient.Delivered:
				if count := int(delivered.Add(1)); count == n/3 || count == n*2/3 {
					if err := p.server.Restart(); err != nil {
						t.Error(err)
					}
					restarts.Add(1)
				}
				return
			case smtpclient.Deferred:
				deferred.Add(1)
			case smtpclient.Unknown:
				unknown.Store(number, true)
			default:
				t.Errorf("message %d: %v", number, err)
				return
			}
			if err := p.process.waitUntil("the server", func() error { return answers(p.server.Addr(PostfixFull)) }); err != nil {
				t.Error(err)
				return
			}
		}
	})
	if quirks.Chunking == smtpclient.ChunkingGrouped {
		d.wantFlown(t, n/4)
	} else {
		d.wantOverlap(t, n, !quirks.NoOverlap)
	}
	if restarts.Load() != 2 {
		t.Errorf("the server was restarted %d times, want 2", restarts.Load())
	}
	if err := p.mail.Drain(p.whole, p.queue...); err != nil {
		t.Fatal(err)
	}
	found := bulkStored(t, p.mail, boxes, p.stored)
	doubts, twice := 0, 0
	for number := 1; number <= n; number++ {
		// The server itself may store a message again whose storing was cut off; that
		// has the same name.
		_, doubt := unknown.Load(number)
		copies := len(found[number])
		if copies == 0 || copies > 1 && !doubt {
			t.Errorf("message %d is stored %d times; it was reported as unknown: %v", number, copies, doubt)
		}
		if doubt {
			doubts++
			twice += copies - 1
		}
	}
	t.Logf("%d times deferred, %d unknown, %d stored twice", deferred.Load(), doubts, twice)
}

// go-smtp's server, in this process.
func TestBulkGoSMTP(t *testing.T) {
	g, err := StartGoSMTP()
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	d := dialogue(t, g.Addr)
	client := clientAt(d.Addr())
	client.Pool = bulkPool(t)
	n := bulkSize(t)
	sendBulk(t, client.Pool, n, func(number int) {
		if _, err := client.Deliver(t.Context(), envelope(fmt.Sprintf("box%d@example.test", number)), smtpclient.Bytes(bulkMessage(number))); err != nil {
			t.Errorf("message %d: %v", number, err)
		}
	})
	d.wantOverlap(t, n, true)
	found := map[string]int{}
	for _, m := range g.Taken() {
		var number int
		fmt.Sscanf(m.To[0], "box%d@", &number)
		if len(m.To) != 1 || !bytes.Equal(m.Content, bulkMessage(number)) {
			t.Fatalf("%q got %.1000q", m.To, m.Content)
		}
		found[m.To[0]]++
	}
	for number := 1; number <= n; number++ {
		if got := found[fmt.Sprintf("box%d@example.test", number)]; got != 1 {
			t.Errorf("message %d was taken %d times", number, got)
		}
	}
}

// Dovecot answers for each recipient by itself; some messages have one who does not
// exist, one whose mailbox is full, or nobody else.
func TestBulkDovecot(t *testing.T) {
	for name, quirks := range map[string]smtpclient.Quirks{"overlap": {}, "grouped": {Chunking: smtpclient.ChunkingGrouped}} {
		t.Run(name, func(t *testing.T) { bulkDovecot(t, quirks) })
	}
}

func bulkDovecot(t *testing.T, quirks smtpclient.Quirks) {
	s := dovecotStore(t)
	_, port, _ := net.SplitHostPort(s.Addr("127.0.0.1"))
	d := dialogue(t, "127.0.0.1:"+port)
	client := &lmtp.Client{Servers: []string{"inet:" + d.Addr()}, Final: true, LocalName: "relay.example.test", Pool: bulkPool(t)}
	client.Dialer = &smtpclient.Dialer{Quirks: func(smtpclient.Target) smtpclient.Quirks { return quirks }}
	boxes := bulkBoxes(s)
	n := bulkSize(t)
	others := [...][]string{nil, {"nobody@example.test"}, {"full@example.test"}, {"nobody@example.test", "full@example.test"}}
	sendBulk(t, client.Pool, n, func(number int) {
		box := boxes[number%len(boxes)]
		to := append([]string{box}, others[number%len(others)]...)
		if number%5 == 0 {
			to = append(to[1:], box)
		}
		if number%97 == 0 {
			to = []string{"nobody@example.test"}
		}
		report, _ := client.Deliver(t.Context(), envelope(to...), smtpclient.Bytes(bulkMessage(number)))
		for _, o := range report.Outcomes {
			if want := bulkVerdicts[o.Address]; o.Status.String()+" "+o.Stage.String() != want && (want != "" || o.Status != smtpclient.Delivered) {
				t.Errorf("message %d: %s: %v at %v: %v", number, o.Address, o.Status, o.Stage, o.Err())
			}
		}
	})
	// Nothing goes behind a content for which there are several verdicts: half of the
	// messages have one recipient who is accepted.
	if quirks.Chunking == smtpclient.ChunkingGrouped {
		d.wantFlown(t, n/30) // a quarter of the messages has one recipient
	} else {
		d.wantOverlap(t, n/2, true)
	}
	found := map[int]int{}
	for i, box := range boxes {
		files, err := s.stored(box)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			start := bytes.Index(file, []byte("From: Ann "))
			number := bulkNumber.FindSubmatch(file)
			if number == nil || start < 0 {
				t.Fatalf("%s has %.500q", box, file)
			}
			k, _ := strconv.Atoi(string(number[1]))
			if k%len(boxes) != i || !bytes.Equal(asStored(file[start:]), asStored(bulkMessage(k))) {
				t.Fatalf("%s has as message %d\n%.1000q", box, k, file[start:])
			}
			found[k]++
		}
	}
	for number := 1; number <= n; number++ {
		want := 1
		if number%97 == 0 {
			want = 0
		}
		if found[number] != want {
			t.Errorf("message %d is stored %d times, want %d", number, found[number], want)
		}
	}
}

// bulkVerdicts are those of recipients who do not get the message.
var bulkVerdicts = map[string]string{"nobody@example.test": "failed rcpt", "full@example.test": "failed data-done"}
