package smtpclient_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// stalled is a connection that takes no content before it is let go.
type stalled struct {
	*echoing
	arrived func()
	proceed chan bool
}

func (c *stalled) Write(p []byte) (int, error) {
	if c.content {
		c.arrived()
		<-c.proceed
	}
	return c.echoing.Write(p)
}

// A session that sends has less than 40 KiB, however large the message is and wherever
// it comes from. The large rooms do not count: there are only so many in a process.
func TestActiveSession(t *testing.T) {
	clean := longMessage(256 << 10)
	dotty := strings.ReplaceAll(clean, "\r\n0", "\n.")
	for name, content := range map[string]smtpclient.Content{
		"memory":                 smtpclient.Bytes([]byte(clean)),
		"memory, to be repaired": smtpclient.Bytes([]byte(dotty)),
		"reader":                 reader{clean, 1 << 20, -1},
		"reader, to be repaired": reader{dotty, 1 << 20, -1},
	} {
		t.Run(name, func(t *testing.T) {
			const n, least = 1000, 4 << 10
			content, err := smtpclient.Scan(t.Context(), content)
			if err != nil {
				t.Fatal(err)
			}
			few := sendStalled(t, 40, content) // enough for all large rooms
			each := (sendStalled(t, n+40, content) - few) / n
			t.Logf("%d bytes for each session", each)
			if each >= 40<<10 || each < least {
				t.Errorf("%d bytes for each active session, want less than 40 KiB", each)
			}
		})
	}
}

// sendStalled sends a message on n sessions at once, and gives what lives while none
// of them can go on.
func sendStalled(t *testing.T, n int, content smtpclient.Content) int64 {
	var arrived, done sync.WaitGroup
	proceed := make(chan bool)
	arrived.Add(n)
	d := &smtpclient.Dialer{LocalName: "client.example.org", DialContext: func(context.Context, string, string) (net.Conn, error) {
		return &stalled{&echoing{replies: []byte("220 mx.example.net ESMTP\r\n")}, sync.OnceFunc(arrived.Done), proceed}, nil
	}}
	for range n {
		done.Go(func() {
			s, err := d.Dial(t.Context(), smtpclient.Target{Addr: "192.0.2.25:25", Policy: tlspolicy.Policy{Level: tlspolicy.None}})
			if err != nil {
				t.Error(err)
				arrived.Done()
				return
			}
			defer s.Close()
			if _, err := s.Send(t.Context(), fromAnn("bob@example.net"), content); err != nil {
				t.Error(err)
			}
		})
	}
	arrived.Wait()
	size := heap()
	close(proceed)
	done.Wait()
	return size
}
