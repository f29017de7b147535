package interop

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// firsts are what a client wrote first on each of its connections.
type firsts struct {
	mu     sync.Mutex
	writes []string
}

// recorded notes the first write. It is not for what looks at sockets.
type recorded struct {
	net.Conn
	to   *firsts
	said bool
}

func (c *recorded) Write(p []byte) (int, error) {
	if !c.said {
		c.said = true
		c.to.mu.Lock()
		c.to.writes = append(c.to.writes, string(p))
		c.to.mu.Unlock()
	}
	return c.Conn.Write(p)
}

func (f *firsts) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &recorded{Conn: conn, to: f}, nil
}

// Exim takes the envelope that comes with EHLO, before it has greeted, and says so in
// its log: L is pipelining, a dot that it could have been early, and a star that it
// was. It takes its time to greet, so that it sees that. The first connection waits.
func TestPipeConnectToExim(t *testing.T) {
	e := ownExim(t, EximSettings{Main: "acl_smtp_connect = acl_slow", ACL: "acl_slow:\n  accept delay = 1s"})
	for _, level := range []tlspolicy.Level{tlspolicy.None, tlspolicy.Encrypt} {
		for _, chunking := range []smtpclient.Chunking{smtpclient.ChunkingAuto, smtpclient.ChunkingGrouped} {
			t.Run(fmt.Sprint(level, " ", chunking), func(t *testing.T) {
				said := &firsts{}
				client := withQuirks(clientTo(e, EximFull), smtpclient.Quirks{PipeConnect: true, Chunking: chunking})
				client.TLS, client.Cache, client.Dialer.DialContext = level, &cache.Memory{}, said.dial
				for i := range 2 {
					box := e.NewMailbox("example.test")
					report := deliver(t, client, simple("early"), box)
					wantDelivered(t, report)
					if tls := report.Outcomes[0].TLS; tls.Reached != level {
						t.Errorf("TLS %v, want %v", tls.Reached, level)
					}
					_, message := stored(t, e, box)
					if len(message) == 0 {
						t.Error("an empty message was stored")
					}
					tag := map[bool]string{false: " L. ", true: " L* "}[i > 0]
					line, err := e.WaitForLog(" <= ann@example.org ", box)
					if err != nil || !strings.Contains(line, tag) {
						t.Errorf("message %d: Exim's log says %q, want the tag %q; %v", i, line, tag, err)
					}
				}
				if len(said.writes) != 2 {
					t.Fatalf("%d connections", len(said.writes))
				}
				second := map[tlspolicy.Level]string{tlspolicy.None: "MAIL FROM:", tlspolicy.Encrypt: "STARTTLS"}[level]
				for i, first := range said.writes {
					if early := strings.Contains(first, "\r\n"+second); early != (i > 0) {
						t.Errorf("connection %d began with %q", i, first)
					}
				}
			})
		}
	}
}

// An Exim that has come to refuse what was remembered gets the message on another
// connection that waits for each word.
func TestPipeConnectToChangedExim(t *testing.T) {
	e := ownExim(t, EximSettings{Early: "!127.0.0.51"})
	memory := &cache.Memory{}
	for i, local := range []string{"127.0.0.50", "127.0.0.51", "127.0.0.50", "127.0.0.50"} {
		said := &firsts{}
		client := withQuirks(clientTo(e, EximFull), smtpclient.Quirks{PipeConnect: true})
		client.Cache = memory
		client.Dialer.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &recorded{Conn: conn, to: said}, nil
		}
		box := e.NewMailbox("example.test")
		report := deliver(t, client, simple("changed"), box)
		wantDelivered(t, report)
		stored(t, e, box)
		early := 0
		for _, first := range said.writes {
			if strings.Contains(first, "MAIL") {
				early++
			}
		}
		// At first nothing is known; then Exim does not offer it to this address of ours
		// any more, and refuses us; then nothing is known again.
		if want := []int{0, 1, 0, 1}[i]; early != want || len(said.writes) != max(1, []int{1, 2, 1, 1}[i]) {
			t.Errorf("delivery %d from %s: %d of %d connections began early, want %d", i, local, early, len(said.writes), want)
		}
	}
}
