package smtpclient_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// over gives a client whose mail goes to one server over a real connection.
func over(t *testing.T, server *smtptest.Server, network string) *smtpclient.Client {
	t.Helper()
	addr, hop := "127.0.0.1:0", ""
	if network == "unix" {
		addr = t.TempDir() + "/s"
		hop = "unix:" + addr
	}
	at, err := server.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	if hop == "" {
		hop = "[127.0.0.1]:" + itoa(at.(*net.TCPAddr).Port)
	}
	return &smtpclient.Client{LocalName: "client.example.org", Resolver: resolve.Static{}, NextHops: []string{hop},
		TLS: tlspolicy.None, Dialer: &smtpclient.Dialer{}}
}

// dotty has a line with a dot among every so many.
func dotty(size, every int) string {
	var b strings.Builder
	b.WriteString(hello)
	for i := 0; b.Len() < size; i++ {
		if i%every == 0 {
			b.WriteString(".")
		}
		fmt.Fprintf(&b, "%0*d\r\n", i%70, i)
	}
	return b.String()
}

// Every message arrives over a real connection, where the pieces of memory and the
// file itself are handed to the system: with few dots, many, and lines of nothing
// else.
func TestContentArrivesOverSockets(t *testing.T) {
	texts := messages()
	texts["few dots"] = dotty(300_000, 100)
	texts["many dots"] = dotty(300_000, 3)
	texts["every line a dot"] = hello + strings.Repeat(".\r\n", 100_000)
	texts["dots, cut off"] = dotty(300_000, 50) + ".end"
	texts["dots, then one long line"] = dotty(100_000, 50) + "." + strings.Repeat("x", 200_000) + "\r\n.\r\n"
	texts["dots within a line"] = hello + strings.Repeat("x.", 100_000) + "\r\n.\r\n"
	texts["each block begins with a dot"] = strings.Repeat("."+strings.Repeat("x", 61)+"\r\n"+strings.Repeat(strings.Repeat("y", 62)+"\r\n", 1023), 4)
	texts["large file"] = longMessage(3 << 20)
	for _, network := range []string{"tcp", "unix"} {
		server := &smtptest.Server{Extensions: chunking}
		client, books := over(t, server, network), booksOf(t, server)
		for name, text := range texts {
			if strings.Contains(name, " at ") && !strings.Contains(name, " at 65536") {
				continue // a block's end is what counts here
			}
			file := newFile(t, text)
			for kind, content := range map[string]smtpclient.Content{
				"memory": smtpclient.Bytes([]byte(text)), "file": smtpclient.File(file),
			} {
				for _, mode := range []smtpclient.Chunking{smtpclient.ChunkingAuto, smtpclient.ChunkingAfter, smtpclient.ChunkingGrouped} {
					for i, header := range []string{"", "X-First: 1\r\n.X-Dot: 2\r\n"} {
						if i > 0 && mode != smtpclient.ChunkingAuto {
							continue
						}
						client.Dialer.Quirks = withQuirks(smtpclient.Quirks{Chunking: mode})
						client.Dialer.Rules.LongLines = smtpclient.Keep
						env := fromAnn("bob@example.net")
						env.Header = header
						before := len(server.Messages())
						if _, err := (&heldClient{*client, books}).Deliver(t.Context(), env, content); err != nil {
							t.Fatalf("%s, %s over %s, mode %d: %v", name, kind, network, mode, err)
						}
						m := server.Messages()[before]
						if string(m.Data) != header+arrives(text) {
							t.Errorf("%s, %s over %s, mode %d: another message arrived", name, kind, network, mode)
						}
						straight := kind == "file" && network == "tcp" && strings.HasPrefix(name, "large") && len(text) >= 1<<20 && !strings.Contains(name, "LF")
						if want := straight || mode != smtpclient.ChunkingAuto; m.BDAT != want {
							t.Errorf("%s, %s over %s, mode %d: BDAT %v, want %v", name, kind, network, mode, m.BDAT, want)
						}
					}
				}
			}
		}
		for _, v := range server.Violations() {
			t.Errorf("the client broke the rules: %s", v)
		}
	}
}

// Only a file that is large, clean and at rest goes by BDAT by itself, and only in
// plaintext.
func TestChunkingAuto(t *testing.T) {
	large := longMessage(3 << 20)
	for name, tt := range map[string]struct {
		text       string
		ago        time.Duration // of the last change
		level      tlspolicy.Level
		extensions []string
		want       bool
	}{
		"large":            {large, time.Hour, tlspolicy.None, chunking, true},
		"dots":             {large + ".\r\n", time.Hour, tlspolicy.None, chunking, true},
		"small":            {longMessage(1<<20 - 100), time.Hour, tlspolicy.None, chunking, false},
		"LF":               {strings.ReplaceAll(large, "\r\n", "\n"), time.Hour, tlspolicy.None, chunking, false},
		"cut off":          {large + "end", time.Hour, tlspolicy.None, chunking, false},
		"changed just now": {large, 0, tlspolicy.None, chunking, false},
		"TLS":              {large, time.Hour, tlspolicy.Encrypt, append([]string{"STARTTLS"}, chunking...), false},
		"not offered":      {large, time.Hour, tlspolicy.None, pipelined, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := &smtptest.Server{Extensions: tt.extensions}
			client := over(t, server, "tcp")
			client.TLS = tt.level
			file := newFile(t, tt.text)
			when := time.Now().Add(-tt.ago)
			if err := os.Chtimes(file, when, when); err != nil {
				t.Fatal(err)
			}
			if _, err := holdClient(t, *client, server).Deliver(t.Context(), fromAnn("bob@example.net"), smtpclient.File(file)); err != nil {
				t.Fatal(err)
			}
			if m := server.Messages()[0]; m.BDAT != tt.want || string(m.Data) != arrives(tt.text) {
				t.Errorf("BDAT %v, want %v; %d bytes of %d", m.BDAT, tt.want, len(m.Data), len(tt.text))
			}
		})
	}
}

// halfway is a server that takes one message by BDAT, and calls change once it has
// the first bytes of it. What it got is told to got, if the chunk came whole.
func halfway(t *testing.T, change func(), got func([]byte)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		conn.(*net.TCPConn).SetReadBuffer(64 << 10)
		in := bufio.NewReader(conn)
		fmt.Fprint(conn, "220 mx.example.net ESMTP\r\n")
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			var n int64
			switch _, err := fmt.Sscanf(line, "BDAT %d LAST", &n); {
			case err == nil:
				var chunk bytes.Buffer
				io.CopyN(&chunk, in, 1000)
				change()
				if _, err := io.CopyN(&chunk, in, n-1000); err != nil {
					return
				}
				got(chunk.Bytes())
				fmt.Fprint(conn, "250 2.0.0 ok\r\n")
			case strings.HasPrefix(line, "EHLO"):
				fmt.Fprint(conn, "250-mx.example.net\r\n250 CHUNKING\r\n")
			default:
				fmt.Fprint(conn, "250 2.0.0 ok\r\n")
			}
		}
	}()
	return l.Addr().String()
}

// A file that changes while the system sends it: what was scanned arrives whole, or
// the chunk is never completed.
func TestFileChangesWhileSent(t *testing.T) {
	text := strings.Repeat(longMessage(1<<20), 32) // more than the buffers of the system hold
	for name, tt := range map[string]struct {
		change func(name string)
		want   string
	}{
		"nothing": {func(string) {}, "delivered data-done 2.0.0"},
		"is cut": {func(name string) {
			if err := os.Truncate(name, 20<<20); err != nil {
				t.Error(err)
			}
		}, "deferred data-block 4.3.0"},
		"grows":       {func(name string) { appendTo(t, name, "more\r\n") }, "deferred data-block 4.3.0"},
		"other bytes": {func(name string) { overwrite(t, name, 31<<20, "OTHER") }, "deferred data-block 4.3.0"},
		"is replaced": {func(name string) { replace(t, name, hello, time.Hour) }, "delivered data-done 2.0.0"},
		"is removed":  {func(name string) { os.Remove(name) }, "delivered data-done 2.0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			file := newFile(t, text)
			var got [][]byte
			addr := halfway(t, func() { tt.change(file) }, func(b []byte) { got = append(got, b) })
			client := &smtpclient.Client{LocalName: "client.example.org", Resolver: resolve.Static{}, TLS: tlspolicy.None,
				NextHops: []string{"[127.0.0.1]:" + addr[strings.LastIndex(addr, ":")+1:]}}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			report, err := client.Deliver(ctx, fromAnn("bob@example.net"), smtpclient.File(file))
			checkError(t, report, err)
			expect(t, report, "bob@example.net "+tt.want)
			delivered := strings.HasPrefix(tt.want, "delivered")
			if delivered && (len(got) != 1 || string(got[0]) != text) || !delivered && len(got) != 0 {
				t.Errorf("the server has %d whole chunks", len(got))
			}
		})
	}
}

func appendTo(t *testing.T, name, text string) {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Error(err)
	}
}

func overwrite(t *testing.T, name string, at int64, text string) {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(text), at); err != nil {
		t.Error(err)
	}
}

// throughCopy hides from the client that a connection is a socket.
type throughCopy struct{ net.Conn }

// BenchmarkContent sends 4 MiB to a server that throws them away, from memory and
// from a file: in pieces of the memory, or straight from the file, and through the
// buffer, as where TLS or a proxy is between.
func BenchmarkContent(b *testing.B) {
	addr := discarding(b)
	for name, text := range map[string]string{"clean": longMessage(4 << 20), "dots/1000": dotty(4<<20, 1000), "dots/100": dotty(4<<20, 100),
		"dots/10": dotty(4<<20, 10), "dots/1": dotty(4<<20, 1)} {
		file := b.TempDir() + "/message"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		if err := os.Chtimes(file, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
			b.Fatal(err)
		}
		for kind, content := range map[string]smtpclient.Content{"memory": smtpclient.Bytes([]byte(text)), "file": smtpclient.File(file)} {
			if _, err := smtpclient.Scan(b.Context(), content); err != nil {
				b.Fatal(err)
			}
			for _, way := range []string{"socket", "buffer"} {
				b.Run(name+"/"+kind+"/"+way, func(b *testing.B) {
					dialer := &smtpclient.Dialer{LocalName: "client.example.org", DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
						conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
						if way == "buffer" && err == nil {
							conn = throughCopy{conn}
						}
						return conn, err
					}}
					s, err := dialer.Dial(b.Context(), smtpclient.Target{Addr: addr, Policy: tlspolicy.Policy{Level: tlspolicy.None}})
					if err != nil {
						b.Fatal(err)
					}
					defer s.Close()
					b.SetBytes(int64(len(text)))
					for b.Loop() {
						if _, err := s.Send(b.Context(), fromAnn("bob@example.net"), content); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}

// discarding is a server that takes everything, and looks at nothing but the end.
func discarding(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go discard(conn)
		}
	}()
	return l.Addr().String()
}

func discard(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 1<<20)
	fmt.Fprint(conn, "220 mx.example.net ESMTP\r\n")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		var n int64
		switch _, err := fmt.Sscanf(line, "BDAT %d LAST", &n); {
		case err == nil:
			io.CopyN(io.Discard, in, n)
			fmt.Fprint(conn, "250 ok\r\n")
		case strings.HasPrefix(line, "EHLO"):
			fmt.Fprint(conn, "250-mx.example.net\r\n250-PIPELINING\r\n250 CHUNKING\r\n")
		case line == "DATA\r\n":
			fmt.Fprint(conn, "354 go\r\n")
			skipData(in)
			fmt.Fprint(conn, "250 ok\r\n")
		default:
			fmt.Fprint(conn, "250 ok\r\n")
		}
	}
}

// skipData reads to the end of the data.
func skipData(in *bufio.Reader) {
	var last []byte
	for {
		in.Peek(1)
		p, err := in.Peek(in.Buffered())
		if err != nil {
			return
		}
		last = append(last[max(0, len(last)-5):], p[max(0, len(p)-5):]...)
		in.Discard(len(p))
		if bytes.HasSuffix(last, []byte("\r\n.\r\n")) {
			return
		}
	}
}
