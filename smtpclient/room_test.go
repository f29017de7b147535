package smtpclient

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// Only so many rooms are large, whoever comes, and those that are given back can be
// had again.
func TestRoomsAreBounded(t *testing.T) {
	for range 2 {
		var rooms []*room
		for range mostLarge + 5 {
			rooms = append(rooms, largeRoom())
		}
		large := 0
		for _, r := range rooms {
			if r.large {
				large++
			}
			if len(r.in) == 0 || len(r.out) != 0 || cap(r.out) < r.tail+3*len(r.in) || cap(r.all) != cap(r.in)+cap(r.out) {
				t.Errorf("a room for %d bytes in and %d out", len(r.in), cap(r.out))
			}
			r.leave()
		}
		if large != mostLarge {
			t.Errorf("%d rooms are large, want %d", large, mostLarge)
		}
	}
	if r := smallRoom(); len(r.all) > 10<<10 {
		t.Errorf("a small room has %d bytes", len(r.all))
	}
}

// A socket that took a block in the time for one may go on with the next; nothing else
// forgives a timeout.
func TestWroteForgivesALateSocket(t *testing.T) {
	reset := errors.New("connection reset")
	for name, tt := range map[string]struct {
		conn net.Conn
		n    int64
		err  error
		want error
	}{
		"all went":            {&net.TCPConn{}, 10, nil, nil},
		"a block went":        {&net.TCPConn{}, maxBlock, os.ErrDeadlineExceeded, nil},
		"a block, unix":       {&net.UnixConn{}, maxBlock + 1, os.ErrDeadlineExceeded, nil},
		"less than a block":   {&net.TCPConn{}, maxBlock - 1, os.ErrDeadlineExceeded, os.ErrDeadlineExceeded},
		"nothing":             {&net.TCPConn{}, 0, os.ErrDeadlineExceeded, os.ErrDeadlineExceeded},
		"reset behind it":     {&net.TCPConn{}, maxBlock, reset, reset},
		"not a bare socket":   {struct{ net.Conn }{&net.TCPConn{}}, maxBlock, os.ErrDeadlineExceeded, os.ErrDeadlineExceeded},
		"reset, not a socket": {nil, 0, reset, reset},
	} {
		o := &outgoing{t: &transaction{s: &Session{conn: tt.conn}}}
		if err := o.wrote(tt.n, time.Now(), tt.err); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		if o.sent != tt.n {
			t.Errorf("%s: %d bytes count as sent, want %d", name, o.sent, tt.n)
		}
	}
}
