package resolve

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// advertisedSize keeps answers in one packet on every usual path.
	advertisedSize = 1232
	// bufferSize is more, since some servers send more than they were asked
	// for.
	bufferSize = 4096
	headerSize = 12
)

var (
	errForeign   = errors.New("not an answer to this question")
	errTruncated = errors.New("the answer was cut short")
	errMalformed = errors.New("not a DNS message")
)

// exchange is one question, put to one server after the other.
type exchange struct {
	dial     func(ctx context.Context, network, addr string) (net.Conn, error)
	timeout  time.Duration
	question Question
	query    *dns.Msg
	wire     []byte
}

// reply is a message that answers: NOERROR or NXDOMAIN.
type reply struct {
	msg    *dns.Msg
	server string
	secure bool
}

func (d *DNS) newExchange(conf config, q Question) (*exchange, error) {
	if _, ok := dns.IsDomainName(dns.Fqdn(q.Name)); !ok {
		return nil, errors.New("this is no domain name")
	}
	x := &exchange{dial: d.dial, timeout: conf.timeout, question: q, query: new(dns.Msg)}
	x.query.SetQuestion(dns.Fqdn(q.Name), uint16(q.Type))
	x.query.AuthenticatedData = true
	x.query.SetEdns0(advertisedSize, true)
	return x, x.renew()
}

// renew draws a new ID, which no earlier answer can match.
func (x *exchange) renew() error {
	x.query.Id = dns.Id()
	wire, err := x.query.Pack()
	if err != nil {
		return fmt.Errorf("this is no domain name: %s", quote(err.Error()))
	}
	x.wire = wire
	return nil
}

// try asks one server, by TCP too if UDP could not carry the answer.
func (x *exchange) try(ctx context.Context, server string) (reply, *Error) {
	if err := x.renew(); err != nil {
		return reply{}, x.failure(server, err)
	}
	msg, err := x.over(ctx, "udp", server)
	if errors.Is(err, errTruncated) {
		msg, err = x.over(ctx, "tcp", server)
	}
	if err != nil {
		return reply{}, x.failure(server, err)
	}
	if e := x.refusal(msg); e != nil {
		e.Question, e.Server = x.question, server
		return reply{}, e
	}
	return reply{msg: msg, server: server}, nil
}

// over asks once by network. The end of ctx or of the timeout closes the
// connection, and so ends any read or write.
func (x *exchange) over(ctx context.Context, network, server string) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, x.timeout)
	defer cancel()
	conn, err := x.dial(ctx, network, server)
	if err != nil {
		return nil, orContext(ctx, err)
	}
	defer conn.Close()
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		conn.Close()
	})
	var msg *dns.Msg
	if network == "udp" {
		msg, err = x.datagram(conn)
	} else {
		msg, err = x.stream(conn)
	}
	if !stop() {
		<-closed
	}
	return msg, orContext(ctx, err)
}

// orContext prefers the reason why a connection was closed to the fact.
func orContext(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// datagram asks by UDP. What is no answer to the question may come from anybody
// and is ignored for as long as there is time (RFC 5452).
func (x *exchange) datagram(conn net.Conn) (*dns.Msg, error) {
	if _, err := conn.Write(x.wire); err != nil {
		return nil, err
	}
	buf := make([]byte, bufferSize)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		msg, err := x.parse(buf[:n])
		switch {
		case errors.Is(err, errForeign):
			continue
		case errors.Is(err, errMalformed), n == len(buf):
			return nil, errTruncated // perhaps only too large: TCP will tell
		}
		return msg, err
	}
}

// stream asks by TCP, where two octets of length go before each message
// (RFC 1035).
func (x *exchange) stream(conn net.Conn) (*dns.Msg, error) {
	framed := binary.BigEndian.AppendUint16(nil, uint16(len(x.wire)))
	if _, err := conn.Write(append(framed, x.wire...)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	raw := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, raw); err != nil {
		return nil, err
	}
	msg, err := x.parse(raw)
	if errors.Is(err, errTruncated) {
		return nil, fmt.Errorf("%w, even by TCP", err)
	}
	return msg, err
}

// parse reads a message and checks that it answers the query.
func (x *exchange) parse(raw []byte) (*dns.Msg, error) {
	if !x.isReply(raw) {
		return nil, errForeign
	}
	msg := new(dns.Msg)
	err := msg.Unpack(raw)
	switch {
	case err == nil && !x.matches(msg):
		return nil, errForeign
	case raw[2]&0x02 != 0: // TC
		return nil, errTruncated
	case err != nil:
		return nil, fmt.Errorf("%w: %s", errMalformed, quote(err.Error()))
	case int(binary.BigEndian.Uint16(raw[6:])) != len(msg.Answer),
		int(binary.BigEndian.Uint16(raw[8:])) != len(msg.Ns):
		// Cut between two records, which Unpack does not notice.
		return nil, fmt.Errorf("%w: there are fewer records than announced", errMalformed)
	}
	return msg, nil
}

// isReply looks at the ID, the QR bit and the opcode.
func (x *exchange) isReply(raw []byte) bool {
	return len(raw) >= headerSize && binary.BigEndian.Uint16(raw) == x.query.Id &&
		raw[2]&0x80 != 0 && raw[2]&0x78 == 0
}

// matches compares the question. Some servers leave it out when they refuse.
func (x *exchange) matches(msg *dns.Msg) bool {
	if len(msg.Question) == 0 {
		return msg.Rcode != dns.RcodeSuccess && msg.Rcode != dns.RcodeNameError
	}
	want, got := x.query.Question[0], msg.Question[0]
	return len(msg.Question) == 1 && got.Qtype == want.Qtype && got.Qclass == want.Qclass &&
		strings.EqualFold(got.Name, want.Name)
}
