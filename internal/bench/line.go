package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// far is the sink behind a line with a round trip time.
func (h *hall) far() (*sink, error) {
	key := h.rtt.String()
	if h.lines[key] != nil {
		return h.lines[key], nil
	}
	p, out, err := startRole("line", h.sink.addr, key)
	if err != nil {
		return nil, err
	}
	h.procs = append(h.procs, p)
	addr, err := out.ReadString('\n')
	if err != nil {
		return nil, errors.New("the line did not start")
	}
	h.lines[key] = h.sink.at(addr[:len(addr)-1])
	return h.lines[key], nil
}

// playLine is the process of a line: what comes in at one end goes out at the other
// half a round trip later, with any amount on its way.
func playLine(to, trip string, ended <-chan struct{}) error {
	rtt, err := time.ParseDuration(trip)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	os.Stdout.Close()
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go connect(near, to, rtt)
		}
	}()
	<-ended
	return nil
}

// connect joins two connections. The far server has one when the third packet of
// TCP's handshake is there, which is one and a half round trips after the first.
func connect(near net.Conn, to string, rtt time.Duration) {
	time.Sleep(rtt * 3 / 2)
	far, err := net.Dial("tcp", to)
	if err != nil {
		near.Close()
		return
	}
	go carry(far, near, rtt/2)
	carry(near, far, rtt/2)
}

// parcel is what came in at one time.
type parcel struct {
	data []byte
	due  time.Time
}

// carry takes what comes from one side to the other, each a while later, and then
// the end.
func carry(from, to net.Conn, later time.Duration) {
	way := make(chan parcel, 4096)
	go func() {
		defer close(way)
		for {
			data := make([]byte, 64<<10)
			n, err := from.Read(data)
			if err != nil {
				return
			}
			way <- parcel{data[:n], time.Now().Add(later)}
		}
	}()
	for p := range way {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.data); err != nil {
			break
		}
	}
	to.Close()
	for range way { // the reader must not wait for us
	}
}
