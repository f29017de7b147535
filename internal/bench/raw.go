package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
)

// raw writes prebuilt bytes and counts replies: the floor of the protocol.
type raw struct {
	conn net.Conn
	r    *bufio.Reader
	mode rawMode
}

type rawMode int

const (
	rawData       rawMode = iota // two writes for each message
	rawBDAT                      // one
	rawOverlapped                // the next envelope goes with the end of the content
)

func rawSender(name string, mode rawMode) sender {
	return sender{name: name, open: func(s *sink, encrypted bool) (session, error) {
		c, err := dialRaw(s, encrypted)
		if err != nil {
			return nil, err
		}
		c.mode = mode
		return c, nil
	}}
}

func dialRaw(s *sink, encrypted bool) (*raw, error) {
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		return nil, err
	}
	c := &raw{conn: conn, r: bufio.NewReader(conn)}
	if err := c.replies(1); err != nil {
		return nil, err
	}
	if err := c.ask("EHLO client.example\r\n", 1); err != nil || !encrypted {
		return c, err
	}
	if err := c.ask("STARTTLS\r\n", 1); err != nil {
		return nil, err
	}
	c.conn = tls.Client(conn, s.tls())
	c.r.Reset(c.conn)
	return c, c.ask("EHLO client.example\r\n", 1)
}

func (c *raw) ask(command string, n int) error {
	if _, err := c.conn.Write([]byte(command)); err != nil {
		return err
	}
	return c.replies(n)
}

// replies reads n replies, of any number of lines.
func (c *raw) replies(n int) error {
	for n > 0 {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if line[0] != '2' && line[0] != '3' {
			return errors.New(string(line))
		}
		if line[3] == ' ' {
			n--
		}
	}
	return nil
}

// wire is a letter as raw writes it.
type wire struct {
	made sync.Once
	head []byte // MAIL, RCPT..., DATA
	data []byte // content with its end
	all  []byte // data and the next head, or for BDAT all in one
}

// wire is the same for all sessions.
func (l *letter) wire(mode rawMode) *wire {
	w := &l.wires[mode]
	w.made.Do(func() { w.make(l, mode) })
	return w
}

func (w *wire) make(l *letter, mode rawMode) {
	var head bytes.Buffer
	fmt.Fprintf(&head, "MAIL FROM:<%s>\r\n", l.from)
	for _, to := range l.to {
		fmt.Fprintf(&head, "RCPT TO:<%s>\r\n", to)
	}
	if mode == rawBDAT {
		fmt.Fprintf(&head, "BDAT %d LAST\r\n", len(l.body))
		w.all = append(head.Bytes(), l.body...)
		return
	}
	head.WriteString("DATA\r\n")
	w.head = head.Bytes()
	w.data = bytes.ReplaceAll(bytes.ReplaceAll(l.body, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
	w.data = append(bytes.ReplaceAll(w.data, []byte("\n."), []byte("\n..")), ".\r\n"...)
	if mode == rawOverlapped {
		w.all = append(bytes.Clone(w.data), w.head...)
	}
}

func (c *raw) stream(n int, l *letter) error {
	w := l.wire(c.mode)
	write := func(p []byte, replies int) error {
		if _, err := c.conn.Write(p); err != nil {
			return err
		}
		return c.replies(replies)
	}
	head := len(l.to) + 2
	switch c.mode {
	case rawBDAT:
		for range n {
			if err := write(w.all, head); err != nil {
				return err
			}
		}
		return nil
	case rawOverlapped:
		if err := write(w.head, head); err != nil {
			return err
		}
		for range n - 1 {
			if err := write(w.all, head+1); err != nil {
				return err
			}
		}
		return write(w.data, 1)
	}
	for range n {
		if err := write(w.head, head); err != nil {
			return err
		}
		if err := write(w.data, 1); err != nil {
			return err
		}
	}
	return nil
}

func (c *raw) close() {
	c.ask("QUIT\r\n", 1)
	c.conn.Close()
}
