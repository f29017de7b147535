package dnstest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// Listen answers on a socket: network is "udp", "tcp", or "udp+tcp" for both at
// the same port. addr is as "127.0.0.1:0"; the address that it became is
// returned. Zone text that cannot be parsed is an error that names the line.
func (s *Server) Listen(network, addr string) (net.Addr, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	switch network {
	case "udp":
		return s.listenUDP(addr)
	case "tcp":
		return s.listenTCP(addr)
	case "udp+tcp":
		return s.listenBoth(addr)
	}
	return nil, fmt.Errorf("dnstest: cannot listen on %q; use udp, tcp or udp+tcp", network)
}

// listenBoth lets the system choose a port for UDP, and tries again where it is
// taken for TCP.
func (s *Server) listenBoth(addr string) (net.Addr, error) {
	const tries = 20
	var err error
	for range tries {
		var packets net.PacketConn
		packets, err = net.ListenPacket("udp", addr)
		if err != nil {
			return nil, err
		}
		if _, err = s.listenTCP(packets.LocalAddr().String()); err == nil {
			return s.servePackets(packets)
		}
		packets.Close()
	}
	return nil, err
}

func (s *Server) listenUDP(addr string) (net.Addr, error) {
	packets, err := net.ListenPacket("udp", addr)
	if err != nil {
		return nil, err
	}
	return s.servePackets(packets)
}

func (s *Server) servePackets(packets net.PacketConn) (net.Addr, error) {
	err := s.start(packets, func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := packets.ReadFrom(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue // on some systems an earlier answer that nobody wanted
			}
			if answer := s.answer("udp", buf[:n]); answer != nil {
				packets.WriteTo(answer, from)
			}
		}
	})
	return packets.LocalAddr(), err
}

func (s *Server) listenTCP(addr string) (net.Addr, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	err = s.start(ln, func() {
		for {
			conn, err := ln.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				s.start(conn, func() { s.serveStream(conn) })
			}
		}
	})
	return ln.Addr(), err
}

// DialContext connects to the server in memory, whatever addr is: by "udp" with
// a net.PacketConn that keeps datagrams apart, or by "tcp". Close the connection,
// or the Server, when done. Zone text that cannot be parsed is an error that
// names the line.
func (s *Server) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.ready(); err != nil {
		return nil, err
	}
	client, server := net.Pipe()
	var err error
	switch strings.TrimRight(network, "46") {
	case "udp":
		err = s.start(server, func() { s.serveDatagrams(server) })
		client = &datagrams{Conn: client, remote: address(addr)}
	case "tcp":
		err = s.start(server, func() { s.serveStream(server) })
	default:
		err = fmt.Errorf("dnstest: cannot dial %q; use udp or tcp", network)
	}
	if err != nil {
		client.Close()
		server.Close()
		return nil, err
	}
	return client, nil
}

// serveDatagrams answers on a pipe, where every write is one datagram. Answers
// are written beside the loop, since a pipe holds the writer until someone
// reads.
func (s *Server) serveDatagrams(conn net.Conn) {
	buf := make([]byte, 1<<16)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if answer := s.answer("udp", buf[:n]); answer != nil {
			s.running.Go(func() { conn.Write(answer) })
		}
	}
}

// serveStream answers messages with two octets of length before them.
func (s *Server) serveStream(conn net.Conn) {
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		raw := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, raw); err != nil {
			return
		}
		answer := s.answer("tcp", raw)
		if answer == nil {
			continue
		}
		framed := binary.BigEndian.AppendUint16(nil, uint16(len(answer)))
		if _, err := conn.Write(append(framed, answer...)); err != nil {
			return
		}
	}
}

// start runs serve until it ends by itself or Close closes c.
func (s *Server) start(c io.Closer, serve func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.Close()
		return errors.New("dnstest: the server is closed")
	}
	if s.open == nil {
		s.open = make(map[io.Closer]bool)
	}
	s.open[c] = true
	s.running.Go(func() {
		serve()
		c.Close()
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
	})
	return nil
}

// Close closes all sockets and connections, and waits until nothing runs any
// more.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
}

// datagrams is a pipe with the methods that make clients send DNS messages
// without their length before them.
type datagrams struct {
	net.Conn
	remote net.Addr
}

func (d *datagrams) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := d.Read(b)
	return n, d.remote, err
}

func (d *datagrams) WriteTo(b []byte, _ net.Addr) (int, error) { return d.Write(b) }

func (d *datagrams) RemoteAddr() net.Addr { return d.remote }

// address is a "host:port" that no socket stands behind.
type address string

func (address) Network() string  { return "udp" }
func (a address) String() string { return string(a) }
