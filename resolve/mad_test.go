package resolve_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/resolve"
)

// mad is a connection to a silent server that panics when it is closed.
type mad struct {
	net.Conn
	closed chan struct{}
}

func (c mad) Read([]byte) (int, error) {
	<-c.closed
	return 0, net.ErrClosed
}

func (c mad) Write(p []byte) (int, error) { return len(p), nil }

func (c mad) SetDeadline(time.Time) error { return nil }

func (c mad) Close() error {
	select {
	case <-c.closed:
	default:
		close(c.closed)
	}
	panic("gone mad")
}

// The end of the time for an answer comes in a goroutine of its own, where a panic of
// the caller's would end the program.
func TestDNSOutlivesItsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &resolve.DNS{Servers: []string{"192.0.2.53"}, DialContext: func(context.Context, string, string) (net.Conn, error) {
			return mad{closed: make(chan struct{})}, nil
		}}
		defer func() {
			if p := recover(); p != nil && !strings.Contains(p.(string), "gone mad") {
				t.Errorf("panic: %v", p)
			}
		}()
		if _, err := r.Lookup(t.Context(), resolve.Question{Name: "example.org", Type: resolve.TypeA}); err == nil {
			t.Error("an answer came from nowhere")
		}
	})
}
