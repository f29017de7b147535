package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/internal/eavesdrop"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// Each server is started by the first test that needs it, and stopped when all
// tests are over.
var (
	startPostfix = sync.OnceValues(func() (*Postfix, error) {
		p, err := StartPostfix()
		if err == nil {
			atEnd(p.Stop)
		}
		return p, err
	})
	startUnbound = sync.OnceValues(func() (*Unbound, error) {
		u, err := StartUnbound()
		if err == nil {
			atEnd(u.Stop)
		}
		return u, err
	})

	// heard is all that the library says in deliveries.
	heard = eavesdrop.New(Password, Token)

	endings   []func()
	endingsMu sync.Mutex
)

func atEnd(f func()) {
	endingsMu.Lock()
	defer endingsMu.Unlock()
	endings = append(endings, f)
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, end := range endings {
		end()
	}
	for _, leak := range heard.Leaks() {
		fmt.Printf("a secret was told: %.500s\n", leak)
		code = 1
	}
	os.Exit(code)
}

func postfix(t *testing.T) *Postfix {
	t.Helper()
	p, err := startPostfix()
	present(t, err)
	return p
}

// questions puts a counter of its own before unbound.
func questions(t *testing.T) *Questions {
	t.Helper()
	u, err := startUnbound()
	present(t, err)
	q, err := NewQuestions(u.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	return q
}

// present lets a test go on where the server runs. A server that is missing is
// a failure only where every server has to be there.
func present(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, ErrMissing) && os.Getenv("POSTRIDER_CI") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// clientFor finds the hosts of the zone at Postfix's port.
func clientFor(p *Postfix, q *Questions) *smtpclient.Client {
	return &smtpclient.Client{
		LocalName: "client.example.org",
		Resolver:  &resolve.DNS{Servers: []string{q.Addr}},
		Routing:   resolve.Routing{Local: true, Port: p.Port},
		TLS:       tlspolicy.None,
		Cache:     &cache.Memory{}, // what one test learns is nothing for another
	}
}

// clientTo sends everything to one of a server's addresses.
func clientTo(s server, door string) *smtpclient.Client { return clientAt(s.Addr(door)) }

// clientAt sends everything to one address with a port.
func clientAt(addr string) *smtpclient.Client {
	host, port, _ := strings.Cut(addr, ":")
	return &smtpclient.Client{
		LocalName: "client.example.org",
		NextHops:  []string{"[" + host + "]:" + port},
		Resolver:  resolve.Static{},
		Routing:   resolve.Routing{Local: true},
		TLS:       tlspolicy.None,
		Cache:     &cache.Memory{}, // what one test learns is nothing for another
	}
}

// withQuirks has the client treat every server so.
func withQuirks(c *smtpclient.Client, q smtpclient.Quirks) *smtpclient.Client {
	c.Dialer = &smtpclient.Dialer{Quirks: func(smtpclient.Target) smtpclient.Quirks { return q }}
	return c
}

// deliver sends content to all addresses.
func deliver(t *testing.T, c *smtpclient.Client, content []byte, to ...string) smtpclient.Report {
	t.Helper()
	return deliverTo(t, c, envelope(to...), smtpclient.Bytes(content))
}

func deliverTo(t *testing.T, c *smtpclient.Client, env smtpclient.Envelope, content smtpclient.Content) smtpclient.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	report, err := c.Deliver(heard.Context(ctx), env, content)
	heard.Report(report, err)
	if len(report.Outcomes) != len(env.To) {
		t.Fatalf("%d outcomes for %d recipients; error %v", len(report.Outcomes), len(env.To), err)
	}
	return report
}

func envelope(to ...string) smtpclient.Envelope {
	env := smtpclient.Envelope{From: "ann@example.org"}
	for _, a := range to {
		env.To = append(env.To, smtpclient.Recipient{Address: a})
	}
	return env
}

func wantDelivered(t *testing.T, r smtpclient.Report) {
	t.Helper()
	for _, o := range r.Outcomes {
		if o.Status != smtpclient.Delivered {
			t.Fatalf("%s: %v, %v", o.Address, o.Status, o.Err())
		}
	}
}

// wantOutcome checks a verdict with its code and stage.
func wantOutcome(t *testing.T, o smtpclient.Outcome, status smtpclient.Status, enhanced string, stage smtpclient.Stage) {
	t.Helper()
	if o.Status != status || o.Enhanced != enhanced || o.Stage != stage {
		t.Errorf("%s: got %v %s at %v, want %v %s at %v; %v", o.Address, o.Status, o.Enhanced, o.Stage, status, enhanced, stage, o.Err())
	}
}

// listen puts a helper at one of the addresses for the length of a test.
func listen(t *testing.T, f *Front, err error) *Front {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// simple is a message that says its name.
func simple(name string) []byte { return body(name, "hello\r\n") }

// stored waits for the one message that has come to an address, and takes it
// apart into what the server put in front and the message as we sent it.
func stored(t *testing.T, s server, address string) (front string, message []byte) {
	t.Helper()
	files, err := s.Stored(address, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 1 {
		t.Fatalf("%s got %d messages, want one", address, len(files))
	}
	start := bytes.Index(files[0], []byte("\nFrom: ")) + 1
	if start == 0 {
		t.Fatalf("%s: no From: in %.500q", address, files[0])
	}
	return string(files[0][:start]), files[0][start:]
}

var receivedID = regexp.MustCompile(`\sid ([\w-]+)`)

// queueID is the name that the server gave to the transaction.
func queueID(t *testing.T, front string) string {
	t.Helper()
	found := receivedID.FindStringSubmatch(front)
	if found == nil {
		t.Fatalf("no Received: with id in %q", front)
	}
	return found[1]
}
