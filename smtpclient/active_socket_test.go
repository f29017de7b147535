package smtpclient_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// deaf is a server that listens up to the begin of each content and never again. Its
// connections have little room, so that the client cannot write all of it.
type deaf struct {
	net.Listener
	config *tls.Config // nil: plaintext
	heard  sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

func newDeaf(t *testing.T, config *tls.Config) *deaf {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &deaf{Listener: l, config: config}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			d.mu.Lock()
			d.conns = append(d.conns, c)
			d.mu.Unlock()
			go d.listen(c.(*net.TCPConn))
		}
	}()
	return d
}

// listen ends within the content. Of the connection nothing is left but the socket.
func (d *deaf) listen(socket *net.TCPConn) {
	defer d.heard.Done()
	socket.SetReadBuffer(4 << 10)
	var c net.Conn = socket
	if d.config != nil {
		c = tls.Server(socket, d.config)
	}
	r := bufio.NewReader(c)
	io.WriteString(c, "220 mx.example.net ESMTP\r\n")
	for {
		line, err := r.ReadString('\n')
		verb, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case err != nil:
			return
		case verb == "EHLO":
			io.WriteString(c, "250-mx.example.net\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 CHUNKING\r\n")
		case verb == "DATA":
			io.WriteString(c, "354 go on\r\n")
			r.Discard(1)
			return
		case verb == "BDAT":
			r.Discard(1)
			return
		default:
			io.WriteString(c, "250 2.0.0 fine\r\n")
		}
	}
}

// each is what one of n goroutines has that write to the server and cannot go on. Where
// that is more than most it is measured anew, a few times: on a machine with other work
// some of them are on their way still, or others in this process are.
func (d *deaf) each(n, most int, write func()) (bytes int) {
	for range 5 {
		if bytes = d.once(n, write); bytes < most {
			return bytes
		}
	}
	return bytes
}

func (d *deaf) once(n int, write func()) int {
	before := living()
	d.heard.Add(n)
	var done sync.WaitGroup
	for range n {
		done.Go(write)
	}
	d.heard.Wait()
	now := living()
	d.mu.Lock()
	for _, c := range d.conns {
		c.Close()
	}
	d.conns = nil
	d.mu.Unlock()
	done.Wait()
	return (now - before) / n
}

// living is heap and stacks.
func living() int {
	var m runtime.MemStats
	for range 3 { // a stack shrinks by half each time
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + stacksCount*m.StackInuse)
}

// crowded has others use all large rooms, until it is given back.
func crowded(t *testing.T) (leave func()) {
	var arrived, done sync.WaitGroup
	proceed := make(chan bool)
	const others = 40
	arrived.Add(others)
	for range others {
		done.Go(func() {
			first := sync.OnceFunc(arrived.Done)
			_, err := smtpclient.Scan(t.Context(), &funcContent{read: func(int, []byte) (int, error) {
				first()
				<-proceed
				return 0, io.EOF
			}})
			if err != nil {
				t.Error(err)
			}
		})
	}
	arrived.Wait()
	return func() { close(proceed); done.Wait() }
}

// narrow dials sockets that take in little.
func (d *deaf) narrow(ctx context.Context, network, _ string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", d.Addr().String())
	if err == nil {
		c.(*net.TCPConn).SetWriteBuffer(8 << 10)
	}
	return c, err
}

// byDeliver and bySend are one session each with a message to the server, which does
// not take it.
func (d *deaf) byDeliver(t *testing.T, q smtpclient.Quirks, content smtpclient.Content) func() {
	return func() {
		client := &smtpclient.Client{LocalName: "client.example.org", NextHops: []string{"[192.0.2.1]"}, TLS: d.policy(),
			Dialer: &smtpclient.Dialer{DialContext: d.narrow, Quirks: withQuirks(q)}}
		if report, err := client.Deliver(t.Context(), fromAnn("bob@example.net"), content); err == nil {
			t.Errorf("delivered: %+v", report)
		}
	}
}

func (d *deaf) bySend(t *testing.T, q smtpclient.Quirks, content smtpclient.Content) func() {
	return func() {
		dialer := &smtpclient.Dialer{LocalName: "client.example.org", DialContext: d.narrow, Quirks: withQuirks(q)}
		s, err := dialer.Dial(t.Context(), smtpclient.Target{Addr: "192.0.2.1:25", Policy: d.policy()})
		if err != nil {
			t.Error(err)
			d.heard.Done()
			return
		}
		defer s.Close()
		if report, err := s.Send(t.Context(), fromAnn("bob@example.net"), content); err == nil {
			t.Errorf("delivered: %+v", report)
		}
	}
}

func (d *deaf) policy() tlspolicy.Policy {
	if d.config == nil {
		return tlspolicy.Policy{Level: tlspolicy.None}
	}
	return tlspolicy.Policy{Level: tlspolicy.Encrypt, Implicit: true}
}

// With its stack a session that sends through a socket has less than 40 KiB, whatever
// the message is and however it goes, by Client.Deliver, too.
func TestActiveSessionOnSocket(t *testing.T) {
	const n, most = 200 / allocationFactor, 40 << 10
	d := newDeaf(t, nil)
	defer d.Close()
	defer crowded(t)()
	clean := longMessage(1 << 20)
	dotty := strings.ReplaceAll(clean, "\r\n0", "\r\n.")
	broken := strings.ReplaceAll(dotty, "\r\n", "\n")
	for name, content := range map[string]smtpclient.Content{
		"memory":               smtpclient.Bytes([]byte(clean)),
		"memory, dots":         smtpclient.Bytes([]byte(dotty)),
		"memory, to be mended": smtpclient.Bytes([]byte(broken)),
		"file":                 smtpclient.File(newFile(t, clean)),
		"reader":               reader{clean, 1 << 20, -1},
		"reader, dots":         reader{dotty, 1 << 20, -1},
		"reader, to be mended": reader{broken, 1 << 20, -1},
	} {
		content, err := smtpclient.Scan(t.Context(), content) // else each session scans what it reads
		if err != nil {
			t.Fatal(err)
		}
		for chunking, how := range map[smtpclient.Chunking]string{smtpclient.ChunkingOff: "DATA", smtpclient.ChunkingAfter: "BDAT"} {
			t.Run(name+"/"+how, func(t *testing.T) {
				q := smtpclient.Quirks{Chunking: chunking}
				send, deliver := d.each(n, most, d.bySend(t, q, content)), d.each(n, most, d.byDeliver(t, q, content))
				t.Logf("%d bytes for each session by Send, %d by Deliver", send, deliver)
				if max(send, deliver) >= most {
					t.Errorf("%d bytes for each active session, want less than %d", max(send, deliver), most)
				}
				if least := min(send, deliver); least < 2<<10 {
					t.Errorf("%d bytes for each active session, which cannot be", least)
				}
			})
		}
	}
}

// Inside TLS there is what crypto/tls has besides: a record of 16 KiB on its way, and 8
// of keys, certificates and what was read.
func TestActiveSessionTLS(t *testing.T) {
	const n, most = 50, (40 + 24) << 10
	server := httptest.NewTLSServer(nil)
	server.Close()
	d := newDeaf(t, &tls.Config{Certificates: server.TLS.Certificates, SessionTicketsDisabled: true})
	defer d.Close()
	text := longMessage(1 << 20)
	scanned, err := smtpclient.Scan(t.Context(), reader{text, 1 << 20, -1})
	if err != nil {
		t.Fatal(err)
	}
	defer crowded(t)()
	for name, content := range map[string]smtpclient.Content{"memory": smtpclient.Bytes([]byte(text)), "reader": scanned} {
		q := smtpclient.Quirks{Chunking: smtpclient.ChunkingOff}
		send, deliver := d.each(n, most, d.bySend(t, q, content)), d.each(n, most, d.byDeliver(t, q, content))
		t.Logf("%s: %d bytes for each session by Send, %d by Deliver", name, send, deliver)
		if max(send, deliver) >= most {
			t.Errorf("%s: %d bytes for each active session, want less than %d", name, max(send, deliver), most)
		}
		if least := min(send, deliver); least < 16<<10 {
			t.Errorf("%s: %d bytes for each active session, which cannot be", name, least)
		}
	}
}
