package smtpclient_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// funcContent is a Content whose stream is made by a function, the scan's first.
type funcContent struct {
	opens int
	read  func(stream int, p []byte) (int, error)
}

type funcReader func(p []byte) (int, error)

func (f funcReader) Read(p []byte) (int, error) { return f(p) }

func (c *funcContent) Size() int64 { return -1 }
func (c *funcContent) Open() (io.ReadCloser, error) {
	c.opens++
	stream := c.opens
	return io.NopCloser(funcReader(func(p []byte) (int, error) { return c.read(stream, p) })), nil
}

// A reader that breaks the contract of io.Reader fails the scan, and nothing is
// looked up (B21).
func TestReaderBreaksTheContract(t *testing.T) {
	for name, tt := range map[string]struct {
		content smtpclient.Content
		want    string
	}{
		"too many":   {&funcContent{read: func(_ int, p []byte) (int, error) { return len(p) + 1, nil }}, "impossible count"},
		"negative":   {&funcContent{read: func(int, []byte) (int, error) { return -1, nil }}, "impossible count"},
		"nothing":    {&funcContent{read: func(int, []byte) (int, error) { return 0, nil }}, io.ErrNoProgress.Error()},
		"nil reader": {&lateContent{opened: true, open: func() (io.ReadCloser, error) { return nil, nil }}, "nil reader"},
		"panic":      {&funcContent{read: func(int, []byte) (int, error) { panic("reader gone mad") }}, "reader gone mad"},
		"typed nil":  {(*funcContent)(nil), "panic"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.untouched()
				report, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), tt.content)
				checkError(t, report, err)
				expect(t, report, "bob@example.net deferred input 4.3.0")
				if !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %q does not say %q", err, tt.want)
				}
			})
		})
	}
}

// A reader may give nothing now and then, and its last bytes together with EOF.
func TestHesitantReader(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{})
		at, turn := make(map[int]int), 0
		text := longMessage(500)
		content := &funcContent{read: func(stream int, p []byte) (int, error) {
			if turn++; turn%3 != 0 {
				return 0, nil
			}
			p[0] = text[at[stream]]
			if at[stream]++; at[stream] == len(text) {
				return 1, io.EOF
			}
			return 1, nil
		}}
		report, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), content)
		if err != nil {
			t.Fatal(err)
		}
		checkEnds(t, w.net, fromAnn("bob@example.net"), text, report)
		if len(mx.Messages()) != 1 {
			t.Error("no message")
		}
	})
}

// A reader without an end, or a slow one, holds a call no longer than ctx, in the
// scan as in the transaction.
func TestCancelOfEndlessReader(t *testing.T) {
	endless := &funcContent{read: func(_ int, p []byte) (int, error) {
		time.Sleep(time.Millisecond)
		return copy(p, "on and on\r\n"), nil
	}}
	inWorld(t, func(t *testing.T, w *world) {
		w.untouched()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		report, err := w.client.Deliver(ctx, fromAnn("bob@example.net"), endless)
		checkError(t, report, err)
		expect(t, report, "bob@example.net deferred input 4.3.0")
		if took := time.Since(start); took > time.Second+time.Millisecond || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("took %v: %v", took, err)
		}
	})
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		mx := w.mx(10, &smtptest.Server{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		later := &funcContent{read: func(stream int, p []byte) (int, error) {
			if stream == 1 {
				return copy(p, hello), io.EOF
			}
			time.Sleep(100 * time.Millisecond)
			return copy(p, "F"), nil
		}}
		start := time.Now()
		report, err := w.client.Deliver(ctx, fromAnn("bob@example.net"), later)
		checkError(t, report, err)
		expect(t, report, "bob@example.net deferred data-block 4.3.0")
		if took := time.Since(start); took > time.Second+100*time.Millisecond || !strings.Contains(err.Error(), "given up by the caller") {
			t.Errorf("took %v: %v", took, err)
		}
		if len(mx.Messages()) != 0 {
			t.Error("a message arrived")
		}
	})
}

// A call whose ctx has ended looks nothing up, for no group of recipients.
func TestNoLookupAfterCancel(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.untouched()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		report, err := w.client.Deliver(ctx, fromAnn("bob@example.net", "carol@example.com"), smtpclient.Bytes([]byte(hello)))
		checkError(t, report, err)
		expect(t, report, "bob@example.net deferred resolve 4.4.3", "carol@example.com deferred resolve 4.4.3")
	})
}

// Without a least rate the budget is one hour, whatever the size.
func TestBudgetWithoutRate(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		w.mx(10, &smtptest.Server{Script: silentAt("MAIL")})
		w.client.Dialer.Timeouts = smtpclient.Timeouts{MinRate: -1, Mail: -1}
		start := time.Now()
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), longMessage(100_000))
		expect(t, report, "bob@example.net deferred mail 4.4.2")
		if took := time.Since(start); took != time.Hour {
			t.Errorf("took %v, want an hour", took)
		}
	})
}
