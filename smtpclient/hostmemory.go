package smtpclient

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/postrider/postrider/cache"
)

// hostMemory moves addresses that did not answer lately behind the others of a
// route, for all deliveries that share the cache. It only changes an order: no
// address is left out, so that the last one is always tried.
//
// An address rests for a minute after its first failure, twice as long after each
// further one, and at most a quarter of an hour. When its rest is over, one
// delivery tries it in its place; for the others it goes on to rest for another
// minute, or until that one has got through.
//
// A hostMemory belongs to one way; it is for one goroutine.
type hostMemory struct {
	cache cache.Cache
	seen  map[netip.AddrPort]rest // addresses asked for that have failed before
}

const (
	shortestRest = time.Minute
	longestRest  = 15 * time.Minute
)

// rest is what is kept of an address: how often it failed in a row, and until when
// it rests.
type rest struct {
	failures uint8
	until    time.Time
}

// rests tells whether addr should be tried after all others. Whoever asks first
// after its rest may try it in its place.
func (m *hostMemory) rests(ctx context.Context, addr netip.AddrPort) bool {
	b, ok, err := m.cache.Get(ctx, restKey(addr))
	if err != nil || !ok {
		return false
	}
	r, ok := parseRest(b)
	if !ok {
		return false
	}
	if m.seen == nil {
		m.seen = make(map[netip.AddrPort]rest)
	}
	m.seen[addr] = r
	if time.Now().Before(r.until) {
		return true
	}
	r.until = time.Now().Add(shortestRest)
	m.keep(ctx, addr, r)
	return false
}

// failed notes that no session came about with addr. An error that does not say
// that the host is down is passed over.
func (m *hostMemory) failed(ctx context.Context, addr netip.AddrPort, err *Error) {
	if !hostDown(err) {
		return
	}
	r := m.seen[addr]
	r.failures = min(r.failures+1, 8)
	r.until = time.Now().Add(min(shortestRest<<(r.failures-1), longestRest))
	m.keep(ctx, addr, r)
}

// ok notes that addr has answered.
func (m *hostMemory) ok(ctx context.Context, addr netip.AddrPort) {
	if _, seen := m.seen[addr]; seen {
		delete(m.seen, addr)
		_ = m.cache.Delete(ctx, restKey(addr))
	}
}

// hostDown tells that a host refused a connection or did not answer in time. What
// fails on our side, as a bind or a lack of descriptors, says nothing about it.
func hostDown(err *Error) bool {
	var call *os.SyscallError
	var timeout interface{ Timeout() bool }
	switch cause := err.Cause; {
	case err.Stage == StageGreeting:
		return err.Reply.Code == 0 && errors.As(cause, &timeout) && timeout.Timeout()
	case err.Stage != StageConnect:
		return false
	case errors.As(cause, &timeout) && timeout.Timeout():
		return true
	default:
		return errors.As(cause, &call) && strings.HasPrefix(call.Syscall, "connect") || errors.Is(cause, syscall.ECONNREFUSED)
	}
}

// keep holds the entry for longer than the rest, so that failures are counted.
func (m *hostMemory) keep(ctx context.Context, addr netip.AddrPort, r rest) {
	b := append(make([]byte, 0, 9), r.failures)
	b = binary.BigEndian.AppendUint64(b, uint64(r.until.UnixMilli()))
	_ = m.cache.Set(ctx, restKey(addr), b, time.Until(r.until)+longestRest)
}

func parseRest(b []byte) (r rest, ok bool) {
	if len(b) != 9 || b[0] == 0 {
		return rest{}, false
	}
	until := time.UnixMilli(int64(binary.BigEndian.Uint64(b[1:])))
	// A clock that was set back, or another machine's, must not let an address
	// rest for longer than any rest is.
	return rest{b[0], until}, time.Until(until) <= longestRest
}

// restKey has the version of the entry.
func restKey(addr netip.AddrPort) string { return "rest1:" + addr.String() }
