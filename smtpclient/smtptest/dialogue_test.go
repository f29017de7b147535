package smtptest

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/textproto"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// play has a client talk to a dialogue and gives what Close reports.
func play(t *testing.T, text string, client func(d *dialogist)) error {
	t.Helper()
	dialogue, err := ParseDialogue([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dialogue.DialContext(t.Context(), "tcp", "192.0.2.25:25")
	if err != nil {
		t.Fatal(err)
	}
	client(&dialogist{t, conn, textproto.NewConn(conn)})
	return dialogue.Close()
}

const twoRecipients = `
# The second recipient is refused; the message still goes.
S: 220 mx.example ESMTP
C* EHLO 
S: 250-mx.example
S: 250 PIPELINING
C: MAIL FROM:<a@client.example>
C: RCPT TO:<b@mx.example>
C: RCPT TO:<c@mx.example>
C: DATA
S: 250 ok
S: 250 ok
S: 550 5.1.1 no such user
S: 354 go
C: hi
C:
C> ..\r\n.\r
C> \n
S> 250 o
S> k\r\n
C: QUIT
S: 221 bye
-- report --
b delivered

c failed
`

func TestDialogue(t *testing.T) {
	for _, lineEnd := range []string{"\n", "\r\n"} {
		for name, wire := range map[string]Wire{"usual": {}, "short": {Window: 10, MaxWrite: 1, MaxRead: 1},
			"delay": {Delay: time.Second}} {
			bubble(t, name, func(t *testing.T) {
				d, err := ParseDialogue([]byte(strings.ReplaceAll(twoRecipients, "\n", lineEnd)))
				if err != nil {
					t.Fatal(err)
				}
				if got := d.Section("report"); got != "b delivered\n\nc failed\n" {
					t.Errorf("report %q", got)
				}
				d.Wire = wire
				conn, err := d.DialContext(t.Context(), "tcp", "192.0.2.25:25")
				if err != nil {
					t.Fatal(err)
				}
				c := &dialogist{t, conn, textproto.NewConn(conn)}
				c.hello()
				c.send("MAIL FROM:<a@client.example>", "RCPT TO:<b@mx.example>", "RCPT TO:<c@mx.example>", "DATA")
				c.want("250 ok", "250 ok", "550 5.1.1", "354")
				c.send("hi", "", "..", ".")
				c.want("250 ok")
				c.ask("QUIT", "221")
				c.wantEnd(io.EOF)
				c.conn.Close()
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestDialogueMismatch(t *testing.T) {
	const hello = "S: 220 hi\nC: EHLO x\nS: 250 ok\n"
	for name, tc := range map[string]struct {
		text   string
		client func(d *dialogist)
		want   string // "" for none
	}{
		"nothing wrong": {hello, func(d *dialogist) { d.want("220"); d.ask("EHLO x", "250"); d.conn.Close() }, ""},
		"another line": {hello, func(d *dialogist) { d.want("220"); d.send("EHLO y") },
			`dialogue: line 2: want "C: EHLO x", got "EHLO y\r\n"`},
		"only LF": {hello, func(d *dialogist) { d.want("220"); io.WriteString(d.conn, "EHLO x\n") },
			`line 2: want "C: EHLO x", got "EHLO x\n"`},
		"half a line": {hello, func(d *dialogist) { d.want("220"); io.WriteString(d.conn, "EHLO") },
			`line 2: want "C: EHLO x", got "EHLO" and nothing more`},
		"closed": {hello, func(d *dialogist) { d.want("220"); io.WriteString(d.conn, "EH"); d.conn.Close() },
			`line 2: want "C: EHLO x", got "EH" and then EOF`},
		"no such beginning": {"S: 220 hi\nC* EHLO \n", func(d *dialogist) { d.want("220"); d.send("HELO x") },
			`line 2: want "C* EHLO ", got "HELO x\r\n"`},
		"one more line": {hello, func(d *dialogist) { d.want("220"); d.ask("EHLO x", "250"); d.send("NOOP") },
			`line 3: want "the end", got "NOOP\r\n"`},
		"did not wait for the greeting": {hello, func(d *dialogist) { d.send("EHLO x") },
			`line 1: client did not wait before "S: 220 hi": sent "EHLO x\r\n"`},
		"did not wait, in one write": {hello + "C: MAIL\n", func(d *dialogist) { d.want("220"); d.send("EHLO x", "MAIL") },
			`line 3: client did not wait before "S: 250 ok": sent "MAIL\r\n"`},
		"did not wait, in two writes": {hello + "C: MAIL\n", func(d *dialogist) { d.want("220"); d.send("EHLO x"); d.send("MAIL") },
			`line 3: client did not wait before "S: 250 ok": sent "MAIL\r\n"`},
		"did not wait for all of it": {"S: 220-hi\nS: 220 ho\nC: NOOP\n", func(d *dialogist) {
			d.conn.Read(make([]byte, 10))
			d.send("NOOP")
		}, `line 1: client did not wait before "S: 220-hi": sent "NOOP\r\n"`},
		"waited, and then closed": {hello + "C: QUIT\nS: 221 bye\n", func(d *dialogist) {
			d.want("220")
			d.ask("EHLO x", "250")
			d.send("QUIT")
			d.conn.Close()
		}, ""},
		"did not wait for what came before a close": {"S: 220 hi\nC: MAIL\nS: 421 bye\n!close\n", func(d *dialogist) {
			d.want("220")
			d.send("MAIL")
			synctest.Wait()
			d.send("RCPT")
		}, `line 3: client did not wait before "S: 421 bye": sent more`},
		"early on purpose": {"S: 220 hi\nC: a\n!early\nS: 552 stop\nC: b\n", func(d *dialogist) {
			d.want("220")
			d.send("a", "b")
			d.want("552")
			d.conn.Close()
		}, ""},
		"early only once": {"S: 220 hi\nC: a\n!early\nS: 552 stop\nC: b\nS: 250 ok\nC: c\n", func(d *dialogist) {
			d.want("220")
			d.send("a", "b", "c")
			d.want("552")
			d.wantEnd(io.EOF)
		}, `line 6: client did not wait before "S: 250 ok": sent "c\r\n"`},
		"close":      {"S: 220 hi\nC: EHLO x\n!close\n", func(d *dialogist) { d.want("220"); d.send("EHLO x"); d.wantEnd(io.EOF) }, ""},
		"reset":      {"S: 220 hi\nC: EHLO x\n!reset\n", func(d *dialogist) { d.want("220"); d.send("EHLO x"); d.wantEnd(syscall.ECONNRESET) }, ""},
		"not waited": {"S: 220 hi\nC: EHLO x\n!close\n", func(d *dialogist) { d.want("220"); d.send("EHLO x", "MAIL") }, `client did not wait before "!close": sent "MAIL\r\n"`},
		"eof":        {"S: 220 hi\n!eof\n", func(d *dialogist) { d.want("220"); d.conn.Close() }, ""},
		"no eof":     {"S: 220 hi\n!eof\n", func(d *dialogist) { d.want("220") }, "line 2: the client did not close"},
		"more, eof":  {"S: 220 hi\n!eof\n", func(d *dialogist) { d.want("220"); d.send("QUIT"); d.conn.Close() }, `line 2: want "!eof", got "QUIT\r\n"`},
		"stall": {"!stall\n", func(d *dialogist) {
			d.conn.SetDeadline(time.Now().Add(time.Hour))
			d.wantEnd(os.ErrDeadlineExceeded)
			d.conn.Close()
		}, ""},
		"words in a stall": {"!stall\n", func(d *dialogist) { d.send("QUIT"); d.conn.Close() }, `line 1: want "!stall", got "QUIT\r\n"`},
		"wait": {"S: 220 hi\nC: EHLO x\n!wait 90s\nS: 250 ok\n", func(d *dialogist) {
			d.want("220")
			start := time.Now()
			d.ask("EHLO x", "250")
			if took := time.Since(start); took != 90*time.Second {
				t.Errorf("took %v", took)
			}
		}, ""},
		"impatient in a wait": {"S: 220 hi\nC: EHLO x\n!wait 90s\nS: 250 ok\nC: QUIT\n", func(d *dialogist) {
			d.want("220")
			d.send("EHLO x")
			time.Sleep(time.Minute)
			d.send("QUIT")
			d.wantEnd(io.EOF)
		}, `line 4: client did not wait before "S: 250 ok": sent "QUIT\r\n"`},
		"over in a wait": {"!wait 90s\n", func(d *dialogist) {}, `line 1: the test ended during "!wait 90s"`},
		"second session": {"S: 220 hi\n-- session --\nS: 220 ho\n", func(d *dialogist) { d.want("220"); d.conn.Close() }, "session 2 of 2 never came"},
	} {
		bubble(t, name, func(t *testing.T) {
			err := play(t, tc.text, tc.client)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("Close: %v, want %q", err, tc.want)
			}
		})
	}
}

// Close waits for what is on its way.
func TestDialogueCloseWithDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := ParseDialogue([]byte("S: 220 hi\nC: QUIT\n!eof\n"))
		if err != nil {
			t.Fatal(err)
		}
		d.Wire.Delay = time.Second
		conn, err := d.DialContext(t.Context(), "tcp", "192.0.2.25:25")
		if err != nil {
			t.Fatal(err)
		}
		c := &dialogist{t, conn, textproto.NewConn(conn)}
		c.want("220")
		c.send("QUIT")
		time.Sleep(time.Second / 2)
		conn.Close()
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestDialogueClientIsNotLeftHanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := play(t, "S: 220 hi\nC: EHLO x\nS: 250 ok\n", func(d *dialogist) {
			d.want("220")
			d.send("HELO x")
			d.wantEnd(io.EOF)
		})
		if err == nil {
			t.Error("no mismatch")
		}
	})
}

// Outside of a bubble, too, it is known whether the client waited.
func TestDialogueInRealTime(t *testing.T) {
	const text = "S: 220 hi\nC: EHLO x\nS: 250 ok\nC: QUIT\n"
	if err := play(t, text, func(d *dialogist) {
		d.want("220")
		d.ask("EHLO x", "250")
		d.send("QUIT")
		d.conn.Close()
	}); err != nil {
		t.Error(err)
	}
	if err := play(t, text, func(d *dialogist) {
		d.want("220")
		d.send("EHLO x")
		d.send("QUIT")
		d.conn.Close()
	}); err == nil || !strings.Contains(err.Error(), `did not wait before "S: 250 ok"`) {
		t.Errorf("Close: %v", err)
	}
}

func TestDialogueSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := ParseDialogue([]byte("# why\n-- session --\nS: 220 one\n-- note --\nC: no step\n-- session --\nS: 220 two\n"))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"220 one", "220 two"} {
			conn, err := d.DialContext(t.Context(), "tcp", "192.0.2.25:25")
			if err != nil {
				t.Fatal(err)
			}
			c := &dialogist{t, conn, textproto.NewConn(conn)}
			c.want(want)
			conn.Close()
		}
		if _, err := d.DialContext(t.Context(), "tcp", "192.0.2.25:25"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("third connection: %v", err)
		}
		for range 2 {
			if err := d.Close(); err == nil || !strings.Contains(err.Error(), "connection 3 was opened") {
				t.Errorf("Close: %v", err)
			}
		}
	})
}

func TestDialogueSTARTTLS(t *testing.T) {
	const text = "S: 220 hi\nC: STARTTLS\nS: 220 go\n!starttls\nC: EHLO x\nS: 250 ok\nC: QUIT\nS: 221 bye\n"
	for name, early := range map[string]bool{"waits": false, "does not wait": true, "does not wait for 221": false} {
		bubble(t, name, func(t *testing.T) {
			d, err := ParseDialogue([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			conn, err := d.DialContext(t.Context(), "tcp", "192.0.2.25:25")
			if err != nil {
				t.Fatal(err)
			}
			c := &dialogist{t, conn, textproto.NewConn(conn)}
			c.want("220")
			c.ask("STARTTLS", "220")
			secure := tls.Client(conn, &tls.Config{ServerName: "mx.example", RootCAs: d.Roots(),
				ClientSessionCache: tls.NewLRUClientSessionCache(1)})
			c = &dialogist{t, net.Conn(secure), textproto.NewConn(secure)}
			if early {
				c.send("EHLO x")
				c.send("QUIT")
			} else {
				c.ask("EHLO x", "250")
				c.send("QUIT")
				synctest.Wait()
			}
			if name == "waits" {
				c.want("221")
				c.wantEnd(io.EOF)
			}
			secure.Close()
			err = d.Close()
			if early && (err == nil || !strings.Contains(err.Error(), "did not wait")) || !early && err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

func TestParseDialogueErrors(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"", "no session"},
		{"# nothing but words\n-- report --\nx\n", "no session"},
		{"S: 220 hi\nEHLO x\n", `line 2: no step: "EHLO x"`},
		{"-- session --\n\nX: hi\n", "line 3: no step"},
		{"S> a\"b\n", "line 1: invalid syntax"},
		{"!wait long\n", "line 1: time: invalid duration"},
		{"!wait 0s\n", "line 1: no time to wait"},
		{"!close now\n", "line 1: nothing may follow it"},
		{"!close\nC: x\n", "line 2: nothing can follow !close"},
	} {
		if _, err := ParseDialogue([]byte(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %v, want %q", tc.text, err, tc.want)
		}
	}
}

// What parses has a session, and a client that says what is wanted when it is
// wanted makes no mismatch.
func FuzzDialogue(f *testing.F) {
	f.Add([]byte(twoRecipients))
	f.Add([]byte("C> \\x00\nS> \\r\n-- session --\nC:\n!early\nS: x\n!eof\n"))
	f.Add([]byte("!wait 1h\nS: 1\n!reset\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := ParseDialogue(text)
		if err != nil || len(text) > 10_000 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			for _, steps := range d.sessions {
				for _, st := range steps {
					// Nobody can wait for a server that says nothing.
					if st.verb == "!starttls" || st.wait > time.Hour || st.verb == "S:" && len(st.data) == 0 {
						return
					}
				}
				conn, err := d.DialContext(t.Context(), "tcp", "192.0.2.25:25")
				if err != nil {
					t.Fatal(err)
				}
				obey(conn, steps)
				conn.Close()
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	})
}

// obey is a client that follows the steps.
func obey(conn net.Conn, steps []step) {
	for _, st := range steps {
		switch st.verb {
		case "C:":
			conn.Write(st.data)
		case "C*":
			conn.Write(append(st.data, '\r', '\n'))
		case "S:":
			io.ReadFull(conn, make([]byte, len(st.data)))
		case "!wait":
			time.Sleep(st.wait)
		}
	}
}
