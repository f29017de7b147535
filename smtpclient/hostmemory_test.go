package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/cache"
)

var (
	refused  = &Error{Attempt: Attempt{Stage: StageConnect, Cause: &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}}}
	silence  = &Error{Attempt: Attempt{Stage: StageConnect, Cause: fmt.Errorf("no connection: %w", os.ErrDeadlineExceeded)}}
	noBanner = &Error{Attempt: Attempt{Stage: StageGreeting, Cause: os.ErrDeadlineExceeded}}
)

func addrPorts(s string) (list []netip.AddrPort) {
	for f := range strings.FieldsSeq(s) {
		list = append(list, netip.MustParseAddrPort(f))
	}
	return list
}

// expectOrder asks as a delivery of its own would do.
func expectOrder(t *testing.T, c cache.Cache, addrs, want string) *hostMemory {
	t.Helper()
	m := &hostMemory{cache: c}
	var awake, resting []netip.AddrPort
	for _, a := range addrPorts(addrs) {
		if m.rests(t.Context(), a) {
			resting = append(resting, a)
		} else {
			awake = append(awake, a)
		}
	}
	if got := fmt.Sprint(append(awake, resting...)); got != "["+want+"]" {
		t.Errorf("%v is tried in the order %v, want %s", addrs, got, want)
	}
	return m
}

const three, threeMoved = "192.0.2.1:25 192.0.2.2:25 [2001:db8::3]:25", "192.0.2.2:25 [2001:db8::3]:25 192.0.2.1:25"

// An address that failed goes to the end for a minute. Then one delivery tries
// it; the others wait for how that ends.
func TestHostMemoryRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cache.Memory{}
		first := addrPorts(three)[0]
		m := expectOrder(t, c, three, three)
		m.failed(t.Context(), first, refused)
		expectOrder(t, c, three, threeMoved)
		time.Sleep(time.Minute - time.Millisecond)
		expectOrder(t, c, three, threeMoved)

		time.Sleep(time.Millisecond)
		probe := expectOrder(t, c, three, three)
		expectOrder(t, c, three, threeMoved)
		probe.ok(t.Context(), first)
		expectOrder(t, c, three, three)
	})
}

// Each further failure doubles the rest, up to a quarter of an hour.
func TestHostMemoryDoubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cache.Memory{}
		m := &hostMemory{cache: c}
		for _, minutes := range []time.Duration{1, 2, 4, 8, 15, 15, 15, 15, 15, 15} {
			m.failed(t.Context(), addrPorts(three)[0], silence)
			time.Sleep(minutes*time.Minute - time.Millisecond)
			expectOrder(t, c, three, threeMoved)
			time.Sleep(time.Millisecond)
			m = expectOrder(t, c, three, three)
		}
	})
}

// A probe that never ends (its process was killed) is not the last one.
func TestHostMemoryLostProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cache.Memory{}
		(&hostMemory{cache: c}).failed(t.Context(), addrPorts(three)[0], noBanner)
		for range 5 {
			time.Sleep(time.Minute)
			expectOrder(t, c, three, three)
			expectOrder(t, c, three, threeMoved)
		}
	})
}

// After a long time without mail nothing is known.
func TestHostMemoryForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cache.Memory{}
		(&hostMemory{cache: c}).failed(t.Context(), addrPorts(three)[0], refused)
		time.Sleep(time.Hour)
		expectOrder(t, c, three, three)
		expectOrder(t, c, three, three)
	})
}

// No address is ever left out, not even if all have failed, nor the only one.
func TestHostMemoryKeepsAll(t *testing.T) {
	c := &cache.Memory{}
	m := &hostMemory{cache: c}
	for _, a := range addrPorts(three) {
		m.failed(t.Context(), a, refused)
	}
	expectOrder(t, c, three, three)
	expectOrder(t, c, "192.0.2.9:25 "+three, "192.0.2.9:25 "+three)
	expectOrder(t, c, "192.0.2.1:25", "192.0.2.1:25")
	expectOrder(t, c, "", "")
}

// Another port is another server.
func TestHostMemoryByPort(t *testing.T) {
	c := &cache.Memory{}
	(&hostMemory{cache: c}).failed(t.Context(), netip.MustParseAddrPort("192.0.2.1:25"), refused)
	expectOrder(t, c, "192.0.2.1:25 192.0.2.1:587", "192.0.2.1:587 192.0.2.1:25")
	expectOrder(t, c, "192.0.2.1:587 192.0.2.2:587", "192.0.2.1:587 192.0.2.2:587")
}

func TestHostMemoryPassesOver(t *testing.T) {
	at := func(stage Stage, cause error) *Error { return &Error{Attempt: Attempt{Stage: stage, Cause: cause}} }
	tests := []struct {
		name string
		err  *Error
		down bool
	}{
		{"refused", refused, true},
		{"no answer", silence, true},
		{"no greeting", noBanner, true},
		{"host unreachable", at(StageConnect, os.NewSyscallError("connect", syscall.EHOSTUNREACH)), true},
		{"refused on Windows", at(StageConnect, os.NewSyscallError("connectex", errors.New("10061"))), true},
		{"bind", at(StageConnect, os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)), false},
		{"no descriptor left", at(StageConnect, os.NewSyscallError("socket", syscall.EMFILE)), false},
		{"proxy says no", at(StageConnect, errors.New("proxy: authentication required")), false},
		{"cancelled", at(StageConnect, context.Canceled), false},
		{"closed before the greeting", at(StageGreeting, io.ErrUnexpectedEOF), false},
		{"greeting 554", &Error{Attempt: Attempt{Stage: StageGreeting, Reply: Reply{Code: 554}}}, false},
		{"timeout later", at(StageMail, os.ErrDeadlineExceeded), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &cache.Memory{}
			(&hostMemory{cache: c}).failed(t.Context(), addrPorts(three)[0], tt.err)
			want := three
			if tt.down {
				want = threeMoved
			}
			expectOrder(t, c, three, want)
		})
	}
}

// brokenCache fails, or has what nobody has put there.
type brokenCache struct {
	value []byte
	err   error
}

func (c brokenCache) Get(context.Context, string) ([]byte, bool, error) {
	return c.value, c.err == nil, c.err
}
func (c brokenCache) Set(context.Context, string, []byte, time.Duration) error { return c.err }
func (c brokenCache) Delete(context.Context, string) error                     { return c.err }

// What the cache says wrongly is as if it said nothing (N34).
func TestHostMemoryN34BrokenCache(t *testing.T) {
	for name, c := range map[string]cache.Cache{
		"error":       brokenCache{err: errors.New("down")},
		"empty":       brokenCache{value: nil},
		"foreign":     brokenCache{value: []byte("something")},
		"no failures": brokenCache{value: make([]byte, 9)},
		"for ever":    brokenCache{value: []byte{1, 0x7f, 255, 255, 255, 255, 255, 255, 255}},
		"too long":    brokenCache{value: []byte("\x01\x00\x00\xff\xff\xff\xff\xff\xff\xff")},
	} {
		t.Run(name, func(t *testing.T) {
			m := expectOrder(t, c, three, three)
			m.failed(t.Context(), addrPorts(three)[0], refused)
			m.ok(t.Context(), addrPorts(three)[0])
		})
	}
}
