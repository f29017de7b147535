package tlspolicy_test

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/tlspolicy"
)

// mad is a connection of which an operation panics at its nth time, and from then on.
type mad struct {
	net.Conn
	step func(op string)
}

func (c mad) Read(p []byte) (int, error) {
	c.step("read")
	return c.Conn.Read(p)
}

func (c mad) Write(p []byte) (int, error) {
	c.step("write")
	return c.Conn.Write(p)
}

func (c mad) Close() error {
	err := c.Conn.Close()
	c.step("close")
	return err
}

func (c mad) SetDeadline(t time.Time) error {
	c.step("deadline")
	return c.Conn.SetDeadline(t)
}

func (c mad) SetReadDeadline(t time.Time) error {
	c.step("deadline")
	return c.Conn.SetReadDeadline(t)
}

func (c mad) SetWriteDeadline(t time.Time) error {
	c.step("deadline")
	return c.Conn.SetWriteDeadline(t)
}

// net/http dials, reads and writes in goroutines of its own, where a panic of the
// caller's would end the program: it is an error, and the policy is fetched again
// later.
func TestMTASTSOutlivesItsConnections(t *testing.T) {
	for _, op := range []string{"dial", "read", "write", "close", "deadline"} {
		for nth := int32(1); nth < 9; nth++ {
			inSTSWorld(t, func(t *testing.T, w *stsWorld) {
				dial := w.sts.DialContext
				var steps atomic.Int32
				step := func(what string) {
					if what == op && steps.Add(1) >= nth {
						panic(op + " gone mad")
					}
				}
				w.sts.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					step("dial")
					conn, err := dial(ctx, network, addr)
					if err != nil {
						return nil, err
					}
					return mad{conn, step}, nil
				}
				_, err := w.sts.Decide(t.Context(), w.query("mx10.example.net"))
				if err != nil && !strings.Contains(err.Error(), "gone mad") {
					t.Errorf("%s %d: %v", op, nth, err)
				}
				w.sts.DialContext = dial
				time.Sleep(time.Hour)
				if p, err := w.sts.Decide(t.Context(), w.query("mx10.example.net")); err != nil || p.Level != tlspolicy.Verify {
					t.Errorf("after %s %d: %v, %v", op, nth, p.Level, err)
				}
			})
		}
	}
}
