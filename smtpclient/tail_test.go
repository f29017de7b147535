package smtpclient_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// All but the last 16 KiB of a message are written before the write that holds
// its end, whatever kind of content it is: the later the commit point, the less
// is Unknown.
func TestTailIsShort(t *testing.T) {
	for name, size := range map[string]int{"short": 10_000, "below a block": 60_000, "between": 79_000, "long": 300_000} {
		text := longMessage(size)
		for kind, content := range map[string]smtpclient.Content{
			"memory":         smtpclient.Bytes([]byte(text)),
			"memory with LF": smtpclient.Bytes([]byte(strings.ReplaceAll(text, "\r\n", "\n"))),
			"reader":         reader{text, 1 << 20, -1},
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					w.mx(10, &smtptest.Server{Extensions: pipelined})
					var last int
					w.client.Dialer = &smtpclient.Dialer{DialContext: w.tapped(func(p []byte) {
						if kind == "memory" && len(p) < len("QUIT\r\n") {
							t.Errorf("%q was written alone", p)
						}
						if i := bytes.LastIndex(p, []byte("\r\n.\r\n")); i >= 0 {
							last = i + 2
						}
					})}
					if _, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), content); err != nil {
						t.Fatal(err)
					}
					if most := 16 << 10; last == 0 || last > most {
						t.Errorf("%d bytes of content were written with the end of the data, want %d at most", last, most)
					}
					if least := min(len(text), 12<<10); last < least { // or the end is a small segment of its own
						t.Errorf("only %d bytes of content were written with the end of the data, want %d", last, least)
					}
				})
			})
		}
	}
}

// A group of commands is at most 4 KiB, as it is handed to the connection.
func TestGroupsAreShort(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{Extensions: pipelined})
		w.client.Limits.Recipients = -1
		groups, longest := 0, 0
		w.client.Dialer = &smtpclient.Dialer{DialContext: w.tapped(func(p []byte) {
			groups++
			longest = max(longest, len(p))
		})}
		var to []string
		for i := range 500 {
			to = append(to, "user-with-a-longer-name-"+strings.Repeat("x", i%31)+itoa(i)+"@example.net")
		}
		w.deliver(t.Context(), fromAnn(to...), hello)
		if longest > 4096 || longest < 3900 || groups > 20 {
			t.Errorf("%d groups, the longest of %d bytes, want 4096 at most and not much less", groups, longest)
		}
	})
}

// badWriter breaks the contract of io.Writer from the first write of content on.
type badWriter struct {
	net.Conn
	lie func(c net.Conn, p []byte) (int, error)
}

func (c *badWriter) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("From: ")) {
		return c.lie(c.Conn, p)
	}
	return c.Conn.Write(p)
}

// What a connection says of a write is believed only as far as it can be true: a
// count that is impossible may mean that all was sent, one that is too small is
// an error.
func TestConnectionBreaksTheContract(t *testing.T) {
	for name, tt := range map[string]struct {
		lie  func(c net.Conn, p []byte) (int, error)
		want string
	}{
		"too many":             {func(c net.Conn, p []byte) (int, error) { c.Write(p); return len(p) + 1, nil }, "delivered data-done 2.0.0"},
		"negative":             {func(c net.Conn, p []byte) (int, error) { c.Write(p); return -1, nil }, "delivered data-done 2.0.0"},
		"all, and an error":    {func(c net.Conn, p []byte) (int, error) { c.Write(p); return len(p), os.ErrDeadlineExceeded }, "delivered data-done 2.0.0"},
		"fewer, and no error":  {func(c net.Conn, p []byte) (int, error) { c.Write(p[:3]); return 3, nil }, "deferred data-block 4.4.2"},
		"negative and nothing": {func(c net.Conn, p []byte) (int, error) { return -1, nil }, "unknown data-done 4.4.2"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				w.mx(10, &smtptest.Server{Extensions: pipelined})
				w.client.Dialer.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					conn, err := w.net.DialContext(ctx, network, addr)
					return &badWriter{conn, tt.lie}, err
				}
				report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
				expect(t, report, "bob@example.net "+tt.want)
			})
		})
	}
	inWorld(t, func(t *testing.T, w *world) { // a command that is cut short waits for no reply
		w.unruly = true
		w.mx(10, &smtptest.Server{})
		w.client.Dialer.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := w.net.DialContext(ctx, network, addr)
			return &tap{conn, func(c net.Conn, p []byte) (int, error) { return c.Write(p[:3]) }}, err
		}
		start := time.Now()
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net deferred hello 4.4.2")
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
		if o := report.Outcomes[0]; errors.Is(o.Cause, os.ErrDeadlineExceeded) {
			t.Errorf("%v", o.Err())
		}
	})
}
