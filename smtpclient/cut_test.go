package smtpclient_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// cutter is a connection that ends after so many bytes in one direction: what
// the peer writes is cut off, or our own write is taken only in part.
type cutter struct {
	net.Conn
	reads, writes int // bytes that still pass; negative: no bound
	err           error
}

func (c *cutter) Read(p []byte) (int, error) {
	if c.reads == 0 {
		return 0, c.err
	}
	if c.reads > 0 {
		p = p[:min(len(p), c.reads)]
	}
	n, err := c.Conn.Read(p)
	if c.reads > 0 {
		c.reads -= n
	}
	return n, err
}

func (c *cutter) Write(p []byte) (int, error) {
	if c.writes < 0 || len(p) <= c.writes {
		n, err := c.Conn.Write(p)
		if c.writes >= 0 {
			c.writes -= n
		}
		return n, err
	}
	n, _ := c.Conn.Write(p[:c.writes])
	c.writes = 0
	return n, &net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}
}

// golden are whole sessions that are cut at every byte.
var golden = []struct {
	name   string
	server *smtptest.Server
}{
	{"pipelined", &smtptest.Server{Extensions: pipelined}},
	{"lockstep", &smtptest.Server{Extensions: lockstep}},
	{"one refused", &smtptest.Server{Extensions: pipelined, Script: onRcpt("carol", "550 5.1.1 no")}},
	{"one greylisted, lockstep", &smtptest.Server{Extensions: lockstep, Script: onRcpt("bob", "451 4.7.1 wait")}},
	{"refused at the dot", &smtptest.Server{Extensions: pipelined, Script: on(smtptest.EndOfData, action{Reply: "554-5.7.1 spam\n554 5.7.1 really"})}},
	{"deferred at the dot", &smtptest.Server{Extensions: pipelined, Script: on(smtptest.EndOfData, action{Reply: "451 4.3.0 wait"})}},
	{"HELO", &smtptest.Server{Script: on("EHLO", action{Reply: "502 no"})}},
}

// TestCutAtEveryByte cuts the connection after every byte that the server sends,
// and after every byte that the client does, by FIN and by RST. What comes out
// must agree with what the server has (invariants 1 to 4), and for a cut of the
// server's words also with what its record says: whether the message was complete.
func TestCutAtEveryByte(t *testing.T) {
	for _, g := range golden {
		for _, direction := range []string{"reads", "writes"} {
			for name, fault := range map[string]error{"FIN": io.EOF, "RST": &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}} {
				if direction == "writes" && name == "FIN" {
					continue // a write that fails, fails in one way
				}
				t.Run(fmt.Sprintf("%s/%s/%s", g.name, direction, name), func(t *testing.T) {
					for at, more := 0, true; more; at++ {
						more = cutAt(t, g.server, at, direction, fault)
					}
				})
			}
		}
	}
}

// cutAt plays one session with a cut, and tells whether the cut was within it.
func cutAt(t *testing.T, like *smtptest.Server, at int, direction string, fault error) (within bool) {
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		mx := w.mx(10, &smtptest.Server{Extensions: like.Extensions, Script: like.Script})
		var conn *cutter
		w.client.TLS = tlspolicy.None
		w.client.Limits.Addresses = 1
		w.client.Dialer = &smtpclient.Dialer{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := w.net.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			conn = &cutter{Conn: c, reads: -1, writes: -1, err: fault}
			if direction == "reads" {
				conn.reads = at
			} else {
				conn.writes = at
			}
			return conn, nil
		}}
		report := w.deliver(t.Context(), fromAnn("bob@example.net", "carol@example.net"), hello)
		within = conn.reads == 0 || conn.writes == 0
		// The server has the message whole, and we did not read its verdict:
		// that, and nothing else, is Unknown.
		w.settle() // a cut read returns before the server has stored what it read
		messages := mx.Messages()
		for _, o := range report.Outcomes {
			if o.Status == smtpclient.Unknown && (direction == "writes" || len(messages) == 0) {
				t.Errorf("cut at %d: %s is unknown, but the server cannot have the message", at, o.Address)
			}
			if direction == "reads" && o.Status == smtpclient.Deferred && o.Stage == smtpclient.StageDataDone && o.Reply.Code == 0 {
				t.Errorf("cut at %d: %s is deferred after the end of the data", at, o.Address)
			}
		}
		if t.Failed() {
			t.Logf("cut at %d: %s", at, summary(report))
		}
	})
	return within && !t.Failed()
}
