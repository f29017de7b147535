package smtpclient_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/internal/eavesdrop"
	"github.com/postrider/postrider/internal/oracle"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// world is a small internet in fake time: the domain example.net with mail
// exchangers mx10, mx20, ... at 192.0.2.10, 192.0.2.20, ..., and a client.
type world struct {
	t      *testing.T
	net    smtptest.Network
	dns    resolve.Static
	client heldClient
	books  oracle.Books       // of all deliveries
	gone   []*smtptest.Server // that were in net before others
	// unruly says that the test makes the client look bad by what it does, as
	// by cutting it off in the middle of a command.
	unruly  bool
	sent    int // by reuse
	letters int // that another has sent
	ear     *eavesdrop.Listener
	store   cache.Cache // below the client's Cache, where that is sealed; nil: it is not
	wires   *wires
}

// inWorld runs a test in a bubble. At its end every server is closed, and what
// they recorded is held against every report that deliver gave.
func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, net: smtptest.Network{}, dns: resolve.Static{}, ear: eavesdrop.New().Keep(), wires: &wires{}}
		w.client = heldClient{smtpclient.Client{
			LocalName: "client.example.org",
			Resolver:  w.dns,
			Dialer:    &smtpclient.Dialer{DialContext: w.wires.tapping(w.net.DialContext)},
			Cache:     &cache.Memory{}, // a world remembers nothing of another
		}, &w.books}
		defer w.net.Close()
		test(t, w)
		w.settle()
		w.net.Close()
		w.books.Check(t, w.servers()...)
		w.findShown()
		w.wires.check(t)
		for addr, s := range w.net {
			if s == nil || w.unruly {
				continue
			}
			for _, v := range s.Violations() {
				t.Errorf("%s: the client broke the rules: %s", addr, v)
			}
		}
	})
}

// heldClient enters each delivery into the books, which are closed at the end of the
// world.
type heldClient struct {
	smtpclient.Client
	books *oracle.Books
}

func (c *heldClient) Deliver(ctx context.Context, env smtpclient.Envelope, content smtpclient.Content) (smtpclient.Report, error) {
	return c.books.Hold(env, textOfContent(content), func() (smtpclient.Report, error) { return c.Client.Deliver(ctx, env, content) })
}

// send is Session.Send, entered into the books.
func (w *world) send(ctx context.Context, s *smtpclient.Session, env smtpclient.Envelope, content smtpclient.Content) (smtpclient.Report, error) {
	return (&heldSession{s, &w.books}).Send(ctx, env, content)
}

// heldSession enters each message into the books.
type heldSession struct {
	*smtpclient.Session
	books *oracle.Books
}

func (s *heldSession) Send(ctx context.Context, env smtpclient.Envelope, content smtpclient.Content) (smtpclient.Report, error) {
	return s.books.Hold(env, textOfContent(content), func() (smtpclient.Report, error) { return s.Session.Send(ctx, env, content) })
}

// hold enters what a session outside of a world sends; the books are closed with the
// test.
func hold(t *testing.T, s *smtpclient.Session, servers ...*smtptest.Server) *heldSession {
	return &heldSession{s, booksOf(t, servers...)}
}

// holdClient is hold for a client.
func holdClient(t *testing.T, c smtpclient.Client, servers ...*smtptest.Server) *heldClient {
	return &heldClient{c, booksOf(t, servers...)}
}

func booksOf(t *testing.T, servers ...*smtptest.Server) *oracle.Books {
	books := &oracle.Books{}
	t.Cleanup(func() {
		for _, s := range servers {
			s.Close()
		}
		books.Check(t, servers...)
	})
	return books
}

var memoryContent = reflect.TypeOf(smtpclient.Bytes(nil))

// textOfContent is content in memory; nil if it is elsewhere, where reading it may be
// what the test is about.
func textOfContent(content smtpclient.Content) []byte {
	if content == nil || reflect.TypeOf(content) != memoryContent {
		return nil
	}
	r, _ := content.Open()
	text, _ := io.ReadAll(r)
	return append([]byte{}, text...)
}

// servers are those of the world, each once.
func (w *world) servers() (all []*smtptest.Server) {
	for _, s := range append(slices.Collect(maps.Values(w.net)), w.gone...) {
		if s != nil && !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// mx adds a mail exchanger of example.net and gives its server; nil never
// answers.
func (w *world) mx(preference int, s *smtptest.Server) *smtptest.Server {
	q := resolve.Question{Name: "example.net", Type: resolve.TypeMX}
	host, addr := fmt.Sprintf("mx%d.example.net", preference), fmt.Sprintf("192.0.2.%d", preference)
	a := w.dns[q]
	a.MX = append(a.MX, resolve.MX{Preference: uint16(preference), Host: host})
	w.dns[q] = a
	w.dns[resolve.Question{Name: host, Type: resolve.TypeA}] = resolve.Answer{Addrs: []netip.Addr{netip.MustParseAddr(addr)}}
	w.net[addr+":25"] = s
	return s
}

// absentMX adds a mail exchanger that refuses connections.
func (w *world) absentMX(preference int) {
	w.mx(preference, nil)
	delete(w.net, fmt.Sprintf("192.0.2.%d:25", preference))
}

// deliver sends a message and holds both ends against each other.
func (w *world) deliver(ctx context.Context, env smtpclient.Envelope, message string) smtpclient.Report {
	w.t.Helper()
	ctx = overheard.Context(ctx)
	if w.client.Auth != nil {
		ctx = w.ear.Context(ctx)
	}
	report, err := w.client.Deliver(ctx, env, smtpclient.Bytes([]byte(message)))
	overheard.Report(report, err)
	if w.client.Auth != nil {
		w.ear.Report(report, err)
	}
	checkError(w.t, report, err)
	checkEnds(w.t, w.net, env, message, report)
	return report
}

// settle lets what is still on the wire arrive: the client does not wait for the
// reply to QUIT. The second passes in fake time.
func (w *world) settle() { time.Sleep(time.Second) }

const hello = "From: ann@example.org\r\nSubject: hello\r\n\r\nHello.\r\n"

// from ann is an envelope from ann@example.org.
func fromAnn(to ...string) smtpclient.Envelope {
	return smtpclient.Envelope{From: "ann@example.org", To: smtpclient.To(to...)}
}

// checkError holds the error of a call against its report.
func checkError(t *testing.T, report smtpclient.Report, err error) {
	t.Helper()
	delivered := len(report.Outcomes) > 0
	for _, o := range report.Outcomes {
		delivered = delivered && o.Status == smtpclient.Delivered
		if (o.Err() == nil) != (o.Status == smtpclient.Delivered) {
			t.Errorf("%s is %v, but its error is %v", o.Address, o.Status, o.Err())
		}
		if o.Enhanced == "" || o.Action == "" {
			t.Errorf("%s: outcome without enhanced code or action: %+v", o.Address, o)
		}
		if o.Status != smtpclient.Delivered && o.Cause == nil && o.Reply.Code == 0 {
			t.Errorf("%s: nothing says why it is %v", o.Address, o.Status)
		}
		if want := (map[smtpclient.Status]byte{smtpclient.Delivered: '2', smtpclient.Failed: '5', smtpclient.Deferred: '4', smtpclient.Unknown: '4'})[o.Status]; o.Enhanced != "" && o.Enhanced[0] != want {
			t.Errorf("%s is %v with enhanced code %s", o.Address, o.Status, o.Enhanced)
		}
	}
	if (err == nil) != delivered {
		t.Errorf("error %v does not fit the report", err)
	}
}

// checkEnds is the oracle for invariants 1 to 4: it takes nothing from the
// client but its report.
func checkEnds(t *testing.T, servers smtptest.Network, env smtpclient.Envelope, message string, report smtpclient.Report) {
	t.Helper()
	if len(report.Outcomes) != len(env.To) { // invariant 1
		t.Fatalf("%d outcomes for %d recipients", len(report.Outcomes), len(env.To))
	}
	seen := make(map[string]int) // how often a server said yes, or nothing, to a whole message, by path
	sure := make(map[string]int) // how often it said yes
	for _, s := range servers {
		if s == nil {
			continue
		}
		for _, m := range s.Messages() {
			for i, to := range m.To {
				reply := m.Replies[min(i, len(m.Replies)-1)]
				if reply == "" || reply[0] == '2' {
					seen[to]++
				}
				if reply != "" && reply[0] == '2' {
					sure[to]++
					if got, want := string(m.Data), folds(arrives(message)); got != want { // invariant 2
						t.Errorf("%s got %.2000q, want %.2000q", to, got, want)
					}
				}
			}
		}
	}
	twins := make(map[string]int)
	for i, o := range report.Outcomes {
		if o.Address != env.To[i].Address {
			t.Errorf("outcome %d is for %s, want %s", i, o.Address, env.To[i].Address)
		}
		twins[o.Address]++
		switch {
		case o.Status == smtpclient.Delivered && sure[o.Address] == 0: // invariant 2
			t.Errorf("%s is delivered, but no server accepted it", o.Address)
		case (o.Status == smtpclient.Deferred || o.Status == smtpclient.Failed) && sure[o.Address] > 0: // invariant 3
			t.Errorf("%s is %v, but a server accepted it", o.Address, o.Status)
		case seen[o.Address] > 1: // invariant 4
			t.Errorf("%s was sent %d times", o.Address, seen[o.Address])
		}
	}
}

// arrives is what a message becomes on its way, written from the rule: lines end
// in CRLF, a CR alone is a space.
func arrives(message string) string {
	message = strings.ReplaceAll(message, "\r\n", "\n")
	message = strings.ReplaceAll(message, "\r", " ")
	if message != "" && !strings.HasSuffix(message, "\n") {
		message += "\n"
	}
	return strings.ReplaceAll(message, "\n", "\r\n")
}

// folds is what becomes of lines of more than 998 bytes, as far as they are in a
// body and in ASCII.
func folds(message string) string {
	var b strings.Builder
	for line := range strings.Lines(message) {
		for line = strings.TrimSuffix(line, "\r\n"); len(line) > 998; line = " " + line[998:] {
			b.WriteString(line[:998] + "\r\n")
		}
		b.WriteString(line + "\r\n")
	}
	return b.String()
}

// summary is a report in a few words for each recipient.
func summary(report smtpclient.Report) string {
	var lines []string
	for _, o := range report.Outcomes {
		lines = append(lines, fmt.Sprintf("%s %v %v %s", o.Address, o.Status, o.Stage, o.Enhanced))
	}
	return strings.Join(lines, "\n")
}

// expect compares the summary.
func expect(t *testing.T, report smtpclient.Report, want ...string) {
	t.Helper()
	if got, want := summary(report), strings.Join(want, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
		for _, o := range report.Outcomes {
			t.Logf("%s: %v", o.Address, o.Err())
		}
	}
}
