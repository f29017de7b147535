package interop

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// Questions stands in front of a DNS server, on UDP and TCP, passes everything on
// and notes what was asked.
type Questions struct {
	Addr string

	server string
	udp    net.PacketConn
	tcp    *Front
	done   chan struct{} // closed when the UDP side has ended

	mu    sync.Mutex // guards asked
	asked []Asked
}

// Asked is one question and what the answer's header said.
type Asked struct {
	Network   string // "udp", "tcp"
	Name      string // in lower case without a final dot
	Type      uint16
	Truncated bool
}

// NewQuestions listens on a free port.
func NewQuestions(server string) (*Questions, error) {
	port, err := FreePort("127.0.0.1")
	if err != nil {
		return nil, err
	}
	q := &Questions{Addr: hostPort("127.0.0.1", port), server: server, done: make(chan struct{})}
	if q.udp, err = net.ListenPacket("udp", q.Addr); err != nil {
		return nil, err
	}
	if q.tcp, err = NewFront(q.Addr, q.serveTCP); err != nil {
		q.udp.Close()
		return nil, err
	}
	go q.serveUDP()
	return q, nil
}

// Close ends both sides.
func (q *Questions) Close() {
	q.udp.Close()
	q.tcp.Close()
	<-q.done
}

// Asked gives all questions of a name and type so far, in their order.
func (q *Questions) Asked(name string, typ uint16) []Asked {
	q.mu.Lock()
	defer q.mu.Unlock()
	var found []Asked
	for _, a := range q.asked {
		if a.Name == name && a.Type == typ {
			found = append(found, a)
		}
	}
	return found
}

func (q *Questions) serveUDP() {
	defer close(q.done)
	buf := make([]byte, 65535)
	for {
		n, from, err := q.udp.ReadFrom(buf)
		if err != nil {
			return
		}
		if answer, err := q.exchange("udp", buf[:n]); err == nil {
			q.udp.WriteTo(answer, from)
		}
	}
}

func (q *Questions) serveTCP(client net.Conn) {
	for {
		question, err := readMessage(client)
		if err != nil {
			return
		}
		answer, err := q.exchange("tcp", question)
		if err != nil || writeMessage(client, answer) != nil {
			return
		}
	}
}

func (q *Questions) exchange(network string, question []byte) ([]byte, error) {
	conn, err := net.DialTimeout(network, q.server, time.Minute)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	answer, err := ask(conn, network, question)
	if err != nil {
		return nil, err
	}
	if len(answer) < 12 {
		return nil, errors.New("answer without a whole header")
	}
	asked, err := parseQuestion(question)
	if err != nil {
		return nil, err
	}
	asked.Network, asked.Truncated = network, answer[2]&0x02 != 0
	q.mu.Lock()
	defer q.mu.Unlock()
	q.asked = append(q.asked, asked)
	return answer, nil
}

func ask(conn net.Conn, network string, question []byte) ([]byte, error) {
	if network == "tcp" {
		if err := writeMessage(conn, question); err != nil {
			return nil, err
		}
		return readMessage(conn)
	}
	if _, err := conn.Write(question); err != nil {
		return nil, err
	}
	buf := make([]byte, 65535)
	n, err := conn.Read(buf)
	return buf[:n], err
}

// Over TCP two bytes of length stand before each message (RFC 1035, Section
// 4.2.2).
func readMessage(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	msg := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(r, msg)
	return msg, err
}

func writeMessage(w io.Writer, msg []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...))
	return err
}

// parseQuestion reads the question that follows the header of 12 bytes.
func parseQuestion(msg []byte) (Asked, error) {
	short := errors.New("question cut off")
	var labels []string
	rest := msg[min(len(msg), 12):]
	for {
		if len(rest) == 0 || len(rest) < 1+int(rest[0]) {
			return Asked{}, short
		}
		n := int(rest[0])
		label := string(rest[1 : 1+n])
		rest = rest[1+n:]
		if n == 0 {
			break
		}
		labels = append(labels, strings.ToLower(label))
	}
	if len(rest) < 2 {
		return Asked{}, short
	}
	return Asked{Name: strings.Join(labels, "."), Type: binary.BigEndian.Uint16(rest)}, nil
}
