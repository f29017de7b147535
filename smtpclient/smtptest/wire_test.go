package smtptest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// bubble runs a test in fake time.
func bubble(t *testing.T, name string, test func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

func wantN(t *testing.T, what string, n, want int) {
	t.Helper()
	if n != want {
		t.Errorf("%s: n = %d, want %d", what, n, want)
	}
}

// write starts a Write and returns what waits for its result.
func write(c net.Conn, p []byte) func() (int, error) {
	var n int
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		n, err = c.Write(p)
	}()
	return func() (int, error) {
		<-done
		return n, err
	}
}

func TestWireCarriesBytesBothWays(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789"), 10_000)
	wires := map[string]Wire{
		"as net.Pipe":   {},
		"one byte":      {Window: 1},
		"window":        {Window: 1000},
		"short writes":  {Window: 1000, MaxWrite: 7},
		"short, pipe":   {MaxWrite: 7},
		"short reads":   {Window: 1000, MaxRead: 3},
		"delay":         {Window: 1000, Delay: time.Second},
		"delay, pipe":   {Delay: time.Millisecond},
		"larger window": {Window: 1 << 20},
	}
	for name, w := range wires {
		bubble(t, name, func(t *testing.T) {
			client, server := Pipe(w)
			for _, dir := range []struct{ from, to *Conn }{{client, server}, {server, client}} {
				go func() {
					if n, err := dir.from.Write(big); n != len(big) || err != nil {
						t.Errorf("Write: %d, %v", n, err)
					}
					dir.from.CloseWrite()
				}()
				got, err := io.ReadAll(dir.to)
				if err != nil || !bytes.Equal(got, big) {
					t.Errorf("read %d bytes, %v; want %d", len(got), err, len(big))
				}
			}
		})
	}
}

func TestWireWithoutWindowHoldsTheWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := Pipe(Wire{})
		result := write(client, []byte("abcdef"))
		synctest.Wait()
		wantN(t, "Buffered", server.Buffered(), 6)
		p := make([]byte, 4)
		server.Read(p)
		client.SetWriteDeadline(time.Now().Add(time.Minute))
		n, err := result()
		wantN(t, "Write", n, 4)
		wantErr(t, "Write", err, os.ErrDeadlineExceeded)
		wantN(t, "Buffered after the bytes were taken back", server.Buffered(), 0)
	})
}

func TestWireShortWrites(t *testing.T) {
	interruptions := map[string]struct {
		do   func(client, server *Conn)
		want error
	}{
		"deadline": {func(client, _ *Conn) { client.SetWriteDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		"close":    {func(client, _ *Conn) { client.Close() }, net.ErrClosed},
		"peer":     {func(_, server *Conn) { server.Close() }, syscall.EPIPE},
		"reset":    {func(_, server *Conn) { server.Reset() }, syscall.ECONNRESET},
	}
	for name, in := range interruptions {
		bubble(t, name, func(t *testing.T) {
			client, server := Pipe(Wire{Window: 10, MaxWrite: 3})
			result := write(client, make([]byte, 100))
			synctest.Wait()
			wantN(t, "Buffered", server.Buffered(), 10)
			p := make([]byte, 64)
			n, _ := server.Read(p)
			wantN(t, "Read of one piece", n, 3)
			synctest.Wait()
			in.do(client, server)
			n, err := result()
			wantN(t, "Write", n, 13)
			wantErr(t, "Write", err, in.want)
		})
	}
}

func TestWireEnds(t *testing.T) {
	bubble(t, "close", func(t *testing.T) {
		client, server := Pipe(Wire{Window: 100})
		server.Write([]byte("bye"))
		server.Close()
		got, err := io.ReadAll(client)
		if string(got) != "bye" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		n, err := client.Write([]byte("lost"))
		if n != 4 || err != nil {
			t.Errorf("first Write: %d, %v; want it taken and lost", n, err)
		}
		_, err = client.Write([]byte("x"))
		wantErr(t, "second Write", err, syscall.EPIPE)
		_, err = server.Read(make([]byte, 1))
		wantErr(t, "Read at the closed end", err, net.ErrClosed)
		_, err = server.Write([]byte("x"))
		wantErr(t, "Write at the closed end", err, net.ErrClosed)
		wantErr(t, "second Close", server.Close(), net.ErrClosed)
		wantErr(t, "SetDeadline", server.SetDeadline(time.Time{}), net.ErrClosed)
	})
	bubble(t, "close without a window", func(t *testing.T) {
		client, server := Pipe(Wire{})
		server.Close()
		n, err := client.Write([]byte("x"))
		wantN(t, "Write", n, 0)
		wantErr(t, "Write", err, syscall.EPIPE)
	})
	bubble(t, "reset", func(t *testing.T) {
		client, server := Pipe(Wire{Window: 100})
		server.Write([]byte("552"))
		server.Reset()
		_, err := client.Write([]byte("x"))
		wantErr(t, "Write", err, syscall.ECONNRESET)
		p := make([]byte, 3)
		if n, err := client.Read(p); n != 3 || err != nil {
			t.Errorf("Read: %d, %v; want what was sent before", n, err)
		}
		_, err = client.Read(p)
		wantErr(t, "Read", err, syscall.ECONNRESET)
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "read" || op.Addr.String() != "192.0.2.25:25" {
			t.Errorf("error is %#v", err)
		}
	})
	bubble(t, "half close", func(t *testing.T) {
		client, server := Pipe(Wire{})
		client.CloseWrite()
		if _, err := server.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("Read: %v, want io.EOF", err)
		}
		_, err := client.Write([]byte("x"))
		wantErr(t, "Write after CloseWrite", err, syscall.EPIPE)
		result := write(server, []byte("still here"))
		p := make([]byte, 10)
		if _, err := io.ReadFull(client, p); err != nil || string(p) != "still here" {
			t.Errorf("read %q, %v", p, err)
		}
		if n, err := result(); n != 10 || err != nil {
			t.Errorf("Write: %d, %v", n, err)
		}
		wantErr(t, "second CloseWrite", client.CloseWrite(), net.ErrClosed)
		if err := client.Close(); err != nil {
			t.Errorf("Close after CloseWrite: %v", err)
		}
	})
}

func TestWireDeadlines(t *testing.T) {
	bubble(t, "exact", func(t *testing.T) {
		client, _ := Pipe(Wire{})
		start := time.Now()
		client.SetReadDeadline(start.Add(5 * time.Minute))
		_, err := client.Read(make([]byte, 1))
		wantErr(t, "Read", err, os.ErrDeadlineExceeded)
		if took := time.Since(start); took != 5*time.Minute {
			t.Errorf("took %v, want 5m0s", took)
		}
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%v is no timeout", err)
		}
	})
	bubble(t, "in the past", func(t *testing.T) {
		client, server := Pipe(Wire{Window: 100})
		server.Write([]byte("here"))
		client.SetDeadline(time.Unix(1, 0))
		_, err := client.Read(make([]byte, 1))
		wantErr(t, "Read", err, os.ErrDeadlineExceeded)
		n, err := client.Write([]byte("x"))
		wantN(t, "Write", n, 0)
		wantErr(t, "Write", err, os.ErrDeadlineExceeded)
		client.SetDeadline(time.Time{})
		if n, err := client.Read(make([]byte, 9)); n != 4 || err != nil {
			t.Errorf("Read without deadline: %d, %v", n, err)
		}
	})
	bubble(t, "moved while blocked", func(t *testing.T) {
		client, _ := Pipe(Wire{})
		start := time.Now()
		client.SetReadDeadline(start.Add(time.Hour))
		time.AfterFunc(time.Second, func() { client.SetReadDeadline(start.Add(time.Minute)) })
		time.AfterFunc(2*time.Second, func() { client.SetReadDeadline(start.Add(2 * time.Minute)) })
		_, err := client.Read(make([]byte, 1))
		wantErr(t, "Read", err, os.ErrDeadlineExceeded)
		if took := time.Since(start); took != 2*time.Minute {
			t.Errorf("took %v, want 2m0s", took)
		}
	})
	bubble(t, "set while blocked", func(t *testing.T) {
		client, _ := Pipe(Wire{Window: 1})
		client.Write([]byte("x"))
		time.AfterFunc(time.Second, func() { client.SetWriteDeadline(time.Unix(1, 0)) })
		n, err := client.Write([]byte("y"))
		wantN(t, "Write", n, 0)
		wantErr(t, "Write", err, os.ErrDeadlineExceeded)
	})
}

func TestWireDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := Pipe(Wire{Window: 100, Delay: 20 * time.Millisecond})
		start := time.Now()
		client.Write([]byte("a"))
		client.Close()
		wantN(t, "Buffered at once", server.Buffered(), 0)
		p := make([]byte, 1)
		server.Read(p)
		if took := time.Since(start); took != 20*time.Millisecond {
			t.Errorf("the byte took %v", took)
		}
		if _, err := server.Read(p); err != io.EOF {
			t.Errorf("Read: %v, want io.EOF", err)
		}
		if took := time.Since(start); took != 20*time.Millisecond {
			t.Errorf("the end took %v", took)
		}
	})
}

func TestWireCloseEndsWhatIsBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := Pipe(Wire{})
		var blocked sync.WaitGroup
		for range 3 {
			blocked.Go(func() {
				_, err := client.Read(make([]byte, 1))
				wantErr(t, "Read", err, net.ErrClosed)
			})
			blocked.Go(func() {
				_, err := client.Write([]byte("x"))
				wantErr(t, "Write", err, net.ErrClosed)
			})
			blocked.Go(func() {
				if _, err := server.Read(make([]byte, 0)); err != nil {
					t.Errorf("empty Read: %v", err)
				}
			})
		}
		synctest.Wait()
		client.Close()
		blocked.Wait()
	})
}

// Writers that share a connection must not mix their bytes.
func TestWireWritesAreWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := Pipe(Wire{Window: 3, MaxWrite: 2})
		var writers sync.WaitGroup
		for _, c := range "abc" {
			writers.Go(func() { client.Write(bytes.Repeat([]byte(string(c)), 50)) })
		}
		go func() {
			writers.Wait()
			client.Close()
		}()
		got, _ := io.ReadAll(server)
		changes := 0
		for i := 1; i < len(got); i++ {
			if got[i] != got[i-1] {
				changes++
			}
		}
		if len(got) != 150 || changes != 2 {
			t.Errorf("mixed: %s", got)
		}
	})
}

func TestWireAddresses(t *testing.T) {
	for _, tc := range []struct{ network, addr, want string }{
		{"tcp", "192.0.2.7:587", "192.0.2.7:587"},
		{"tcp6", "[2001:db8::7]:25", "[2001:db8::7]:25"},
		{"tcp", "mx.example.net:25", "192.0.2.25:25"},
		{"unix", "/run/lmtp", "/run/lmtp"},
	} {
		if got := address(tc.network, tc.addr).String(); got != tc.want {
			t.Errorf("address of %s is %s, want %s", tc.addr, got, tc.want)
		}
	}
}

// What mark forbids is found however late the bytes are looked at.
func TestWireKnowsWhoDidNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := Pipe(Wire{Window: 100})
		client.Write([]byte("EHLO"))
		server.Read(make([]byte, 4))
		server.Write([]byte("250"))
		server.mark()
		client.Read(make([]byte, 2))
		client.Write([]byte("MAIL"))
		client.Read(make([]byte, 1))
		client.Write([]byte("RCPT"))
		server.Read(make([]byte, 4))
		if !server.early() {
			t.Error("MAIL was written before the reply was read, and not found")
		}
		server.Read(make([]byte, 4))
		if server.early() {
			t.Error("RCPT was written after the reply was read, and blamed")
		}
	})
}
