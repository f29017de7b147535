package resolve

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
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
	tls      *tls.Config
	query    *dns.Msg
	wire     []byte
	mixCase  bool
	silent   bool // the last try brought no message
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
	x := &exchange{dial: d.dial, timeout: conf.timeout, question: q, tls: d.TLSConfig, query: new(dns.Msg), mixCase: d.MixCase}
	x.query.SetQuestion(dns.Fqdn(q.Name), uint16(q.Type))
	x.query.AuthenticatedData = true
	x.extend()
	return x, x.renew()
}

// extend puts EDNS into the query: room for larger answers, and extended errors.
func (x *exchange) extend() {
	x.query.Extra = nil
	x.query.SetEdns0(advertisedSize, true)
}

// renew draws a new ID, and with it the case of letters, which no earlier answer
// can match.
func (x *exchange) renew() error {
	x.query.Id = dns.Id()
	wire, err := x.query.Pack()
	if err != nil {
		return fmt.Errorf("this is no domain name: %s", quote(err.Error()))
	}
	x.wire = wire
	if name := x.name(); x.mixCase {
		for i, c := range name {
			if ('a' <= c && c <= 'z') && rand.Uint32()&1 == 0 { // the length of a label is no letter
				name[i] = c - 'a' + 'A'
			}
		}
	}
	return nil
}

// name is the name in the question as it goes out, as far as the first zero.
func (x *exchange) name() []byte {
	name, _, _ := bytes.Cut(x.wire[headerSize:], []byte{0})
	return name
}

// try asks one server. One that does not know EDNS is asked without it
// (RFC 6891).
func (x *exchange) try(ctx context.Context, server nameServer) (reply, *Error) {
	msg, err := x.messageOf(ctx, server)
	if err == nil && msg.Rcode == dns.RcodeFormatError && msg.IsEdns0() == nil {
		x.query.Extra = nil
		msg, err = x.messageOf(ctx, server)
		x.extend()
	}
	x.silent = false
	if err != nil {
		e := x.failure(server, err)
		x.silent = e.Kind == Timeout || e.Kind == Other
		return reply{}, e
	}
	if e := x.refusal(msg); e != nil {
		e.Question, e.Server = x.question, server.text
		return reply{}, e
	}
	return reply{msg: msg, server: server.text}, nil
}

// messageOf gets the whole answer, by TCP if UDP could not carry it.
func (x *exchange) messageOf(ctx context.Context, server nameServer) (*dns.Msg, error) {
	if err := x.renew(); err != nil {
		return nil, err
	}
	msg, err := x.over(ctx, server.network, server)
	if server.network == "udp" && errors.Is(err, errTruncated) {
		msg, err = x.over(ctx, "tcp", server)
	}
	return msg, err
}

// over asks once by network. The end of ctx or of the timeout closes the
// connection, and so ends any read or write.
func (x *exchange) over(ctx context.Context, network string, server nameServer) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, x.timeout)
	defer cancel()
	transport := "tcp"
	if network == "udp" {
		transport = "udp"
	}
	conn, err := x.dial(ctx, transport, server.addr)
	if err != nil {
		return nil, orContext(ctx, err)
	}
	defer conn.Close()
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		// What panics there is a connection of the caller's, and nobody is here who
		// could be told.
		defer func() { _ = recover() }()
		conn.Close()
	})
	msg, err := x.on(ctx, conn, network, server)
	if !stop() {
		<-closed
	}
	return msg, orContext(ctx, err)
}

// on asks on a connection.
func (x *exchange) on(ctx context.Context, conn net.Conn, network string, server nameServer) (*dns.Msg, error) {
	switch network {
	case "udp":
		return x.datagram(conn)
	case "tcp":
		return x.stream(conn)
	}
	config := &tls.Config{}
	if x.tls != nil {
		config = x.tls.Clone()
	}
	config.ServerName = server.name
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return x.stream(secured)
}

// orContext prefers the reason why a connection was closed to the fact.
func orContext(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && !errors.Is(err, errTruncated) {
		return ctx.Err()
	}
	return err
}

// datagram asks by UDP. What is no answer to the question may come from anybody
// and is ignored for as long as there is time (RFC 5452). Where the only fault was
// the case of the name, TCP will tell.
func (x *exchange) datagram(conn net.Conn) (*dns.Msg, error) {
	if _, err := conn.Write(x.wire); err != nil {
		return nil, err
	}
	buf := make([]byte, bufferSize)
	otherCase := false
	for {
		n, err := conn.Read(buf)
		switch {
		case err != nil && otherCase:
			return nil, errTruncated
		case err != nil:
			return nil, err
		}
		msg, err := x.parse(buf[:n])
		switch {
		case errors.Is(err, errForeign):
			continue
		case err == nil && len(msg.Question) > 0 && !bytes.HasPrefix(buf[headerSize:n], x.name()):
			otherCase = true
			continue
		case errors.Is(err, errMalformed):
			return nil, errTruncated // perhaps only larger than buf: TCP will tell
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
