package trial

import (
	"net"
	"sync"
	"time"
)

// proxy stands in front of a place, on sockets: it cuts connections, resets them,
// holds bytes back, hands them on in crumbs, and has small windows.
type proxy struct {
	trial    *Trial
	place    *place
	addr     string
	listener net.Listener
	running  sync.WaitGroup
}

// harm is what befalls one connection.
type harm struct {
	cut    [2]int // after so many bytes of the client, of the server; negative: never
	kind   int    // how it is cut: 0 closed, 1 reset, 2 silent and then closed
	crumb  int    // bytes that go on at a time; zero: all
	delay  time.Duration
	window int // of the socket to the client; zero: the system's
}

func newProxy(t *Trial, p *place) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	x := &proxy{trial: t, place: p, addr: listener.Addr().String(), listener: listener}
	x.running.Go(x.accept)
	return x, nil
}

func (x *proxy) close() {
	if x == nil {
		return
	}
	x.listener.Close()
	x.running.Wait()
}

func (x *proxy) accept() {
	for n := 0; ; n++ {
		conn, err := x.listener.Accept()
		if err != nil {
			return
		}
		h := x.harm(n)
		x.running.Go(func() { x.serve(conn.(*net.TCPConn), h) })
	}
}

// harm rolls what befalls the nth connection.
func (x *proxy) harm(n int) harm {
	d := x.trial.dice.about("harm", x.place.number, n)
	h := harm{cut: [2]int{-1, -1}, kind: d.IntN(3)}
	if d.oneIn(5) {
		h.cut[d.IntN(2)] = d.IntN(8000)
	}
	if d.oneIn(6) {
		h.crumb = 1 + d.IntN(100)
	}
	if d.oneIn(5) {
		h.delay = d.upTo(x.trial.Beat / 20)
	}
	if d.oneIn(5) {
		h.window = 1 + d.IntN(2000)
	}
	return h
}

// serve joins the client with the server that runs now.
func (x *proxy) serve(client *net.TCPConn, h harm) {
	defer client.Close()
	x.place.mu.Lock()
	socket := x.place.socket
	x.place.mu.Unlock()
	conn, err := net.Dial("tcp", socket)
	if socket == "" || err != nil {
		client.SetLinger(0)
		return
	}
	server := conn.(*net.TCPConn)
	defer server.Close()
	if h.window > 0 {
		client.SetReadBuffer(h.window)
		client.SetWriteBuffer(h.window)
	}
	var both sync.WaitGroup
	both.Go(func() { x.carry(server, client, h, h.cut[0]) })
	both.Go(func() { x.carry(client, server, h, h.cut[1]) })
	both.Wait()
}

// carry hands on what one side says, until it ends or is cut.
func (x *proxy) carry(to, from *net.TCPConn, h harm, left int) {
	buf := make([]byte, 4<<10)
	if h.crumb > 0 {
		buf = buf[:h.crumb]
	}
	for {
		n, err := from.Read(buf)
		if n > 0 && h.delay > 0 {
			time.Sleep(h.delay)
		}
		if left >= 0 && n > left {
			to.Write(buf[:left])
			x.cut(to, from, h.kind)
			return
		}
		if left >= 0 {
			left -= n
		}
		if _, failed := to.Write(buf[:n]); failed != nil {
			to.SetLinger(0)
			to.Close()
			from.SetLinger(0)
			from.Close()
			return
		}
		if err != nil {
			to.CloseWrite()
			return
		}
	}
}

func (x *proxy) cut(to, from *net.TCPConn, kind int) {
	if kind == 2 {
		time.Sleep(2 * x.trial.Beat)
	}
	for _, side := range []*net.TCPConn{to, from} {
		if kind == 1 {
			side.SetLinger(0)
		}
		side.Close()
	}
}
