package smtpclient_test

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// slowConn takes what is written at a rate, in bytes per second, and keeps to
// its deadline.
type slowConn struct {
	net.Conn
	rate     int
	deadline time.Time
}

func (c *slowConn) SetDeadline(t time.Time) error {
	c.deadline = t
	return c.Conn.SetDeadline(t)
}

func (c *slowConn) Write(p []byte) (int, error) {
	if len(p) < 10_000 { // commands
		return c.Conn.Write(p)
	}
	need := time.Duration(len(p)) * time.Second / time.Duration(c.rate)
	if left := time.Until(c.deadline); !c.deadline.IsZero() && left < need {
		time.Sleep(max(0, left))
		return 0, os.ErrDeadlineExceeded
	}
	time.Sleep(need)
	return c.Conn.Write(p)
}

// A block of content has DataBlock, and all of it has to go at MinRate after one
// DataBlock of grace: a server that stays just below the timeout of a block
// cannot hold a call for ever (B18, B19).
func TestContentTimeouts(t *testing.T) {
	message := longMessage(1 << 20)
	size := time.Duration(len(message))
	const block = 64 << 10
	tests := []struct {
		name     string
		rate     int
		timeouts smtpclient.Timeouts
		want     string
		took     time.Duration // until it is over, to the minute
	}{
		{"fast enough", 520, smtpclient.Timeouts{}, "delivered data-done 2.0.0", size * time.Second / 520},
		{"below the rate", 400, smtpclient.Timeouts{}, "deferred data-block 4.4.2", 14 * 3 * time.Minute},
		{"below the block's time", 300, smtpclient.Timeouts{}, "deferred data-block 4.4.2", 3 * time.Minute},
		{"its own rate", 400, smtpclient.Timeouts{MinRate: 300}, "delivered data-done 2.0.0", size * time.Second / 400},
		{"no rate", 400, smtpclient.Timeouts{MinRate: -1}, "delivered data-done 2.0.0", size * time.Second / 400},
		{"its own block time", 300, smtpclient.Timeouts{DataBlock: 5 * time.Minute, MinRate: -1}, "delivered data-done 2.0.0", size * time.Second / 300},
		{"no block time", 100, smtpclient.Timeouts{DataBlock: -1, Transaction: -1}, "delivered data-done 2.0.0", size * time.Second / 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				w.mx(10, &smtptest.Server{Extensions: pipelined})
				w.client.Dialer = &smtpclient.Dialer{Timeouts: tt.timeouts, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
					conn, err := w.net.DialContext(ctx, network, addr)
					return &slowConn{Conn: conn, rate: tt.rate}, err
				}}
				start := time.Now()
				report := w.deliver(t.Context(), fromAnn("bob@example.net"), message)
				took := time.Since(start)
				expect(t, report, "bob@example.net "+tt.want)
				if strings.HasPrefix(tt.want, "deferred") {
					// The rule, block by block: each has DataBlock, and the sum has
					// one DataBlock and the time at 500 bytes a second.
					var rule time.Duration
					for n := 1; ; n++ {
						end := min(rule+3*time.Minute, 3*time.Minute+time.Duration(n)*block*time.Second/500)
						if rule += block * time.Second / time.Duration(tt.rate); rule > end {
							rule = end
							break
						}
					}
					if took != rule {
						t.Errorf("given up after %v, want %v", took, rule)
					}
				} else if took < tt.took-time.Minute || took > tt.took+time.Minute {
					t.Errorf("took %v, want about %v", took, tt.took)
				}
			})
		})
	}
}

// A Content that is slow to read is not a server that is slow to take it.
func TestSlowContentIsNotTheServersFault(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{Extensions: pipelined})
		text := longMessage(200_000)
		offsets := make(map[int]int)
		slow := &funcContent{read: func(stream int, p []byte) (int, error) {
			if stream > 1 {
				time.Sleep(2 * time.Minute) // 32 KiB each: below 500 bytes a second
			}
			n := copy(p, text[offsets[stream]:])
			offsets[stream] += n
			if n == 0 {
				return 0, io.EOF
			}
			return n, nil
		}}
		report, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), slow)
		checkError(t, report, err)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
	})
}
