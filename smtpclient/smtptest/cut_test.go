package smtptest

import (
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sent adds up what one side of a session said.
func sent(s *Server, fromClient bool) string {
	var b strings.Builder
	for _, c := range s.Transcript(0) {
		if c.FromClient == fromClient {
			b.Write(c.Data)
		}
	}
	return b.String()
}

// converse sends a message as well as it can, and reads until the end.
func converse(d *dialogist) {
	d.conn.SetDeadline(time.Now().Add(time.Hour))
	go io.WriteString(d.conn, "EHLO client.example\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n")
	io.Copy(io.Discard, d.conn)
}

// A session can be cut at every byte of either direction, in every way, and
// exactly there.
func TestCutAtEveryByte(t *testing.T) {
	faults := map[string]Fault{"drop": Drop, "reset": Reset, "stall": Stall}
	lengths := map[bool]int{}
	for _, fromClient := range []bool{true, false} {
		bubble(t, fmt.Sprintf("whole, from client %v", fromClient), func(t *testing.T) {
			s := &Server{}
			defer s.Close()
			converse(dial(t, s))
			lengths[fromClient] = len(sent(s, fromClient))
		})
	}
	if lengths[true] != 72 || lengths[false] < 200 {
		t.Fatalf("the whole session has lengths %v", lengths)
	}
	for name, fault := range faults {
		for fromClient, length := range lengths {
			bubble(t, fmt.Sprintf("%s, from client %v", name, fromClient), func(t *testing.T) {
				for after := range length {
					s := &Server{Cuts: []Cut{{FromClient: fromClient, After: int64(after), Action: Action{Fault: fault}}}}
					converse(dial(t, s))
					s.Close()
					if got := len(sent(s, fromClient)); got != after {
						t.Errorf("cut after %d: %d bytes passed", after, got)
					}
				}
			})
		}
	}
}

func TestCutInContent(t *testing.T) {
	begin := func(d *dialogist) {
		d.hello()
		d.send("MAIL FROM:<a@x>", "RCPT TO:<b@x>", "DATA")
		d.want("250", "250", "354")
	}
	early := Action{Reply: "552 5.3.4 too big"}
	for name, tc := range map[string]struct {
		cuts   []Cut
		client func(t *testing.T, d *dialogist)
	}{
		"a verdict too early": {[]Cut{{Verb: "DATA", FromClient: true, After: 5, Action: early}}, func(t *testing.T, d *dialogist) {
			io.WriteString(d.conn, "12345")
			d.want("552")
			d.send("", ".")
			d.want("250 2.0.0")
		}},
		"and then a reset": {[]Cut{{Verb: "DATA", FromClient: true, After: 5, Action: early},
			{Verb: "DATA", FromClient: true, After: 5, Action: Action{Fault: Reset}}}, func(t *testing.T, d *dialogist) {
			result := write(d.conn, []byte("1234567"))
			d.want("552")
			d.wantEnd(syscall.ECONNRESET)
			n, err := result()
			wantN(t, "Write", n, 5)
			wantErr(t, "Write", err, syscall.ECONNRESET)
		}},
		"and then the end": {[]Cut{{Verb: "DATA", FromClient: true, After: 5, Action: Action{Reply: "421 bye", Fault: DropAfter}}}, func(t *testing.T, d *dialogist) {
			io.WriteString(d.conn, "12345")
			d.want("421")
			d.wantEnd(io.EOF)
		}},
		"a server that stops reading": {[]Cut{{Verb: "DATA", FromClient: true, After: 5, Action: Action{Fault: Stall}}}, func(t *testing.T, d *dialogist) {
			d.conn.SetWriteDeadline(time.Now().Add(3 * time.Minute))
			n, err := io.WriteString(d.conn, "1234567")
			wantN(t, "Write", n, 5)
			wantErr(t, "Write", err, os.ErrDeadlineExceeded)
		}},
		"a server that reads slowly": {[]Cut{{Verb: "DATA", FromClient: true, After: 1, Action: Action{Delay: time.Minute}},
			{Verb: "DATA", FromClient: true, After: 2, Action: Action{Delay: time.Minute}}}, func(t *testing.T, d *dialogist) {
			start := time.Now()
			d.send("12345", ".")
			d.want("250")
			if took := time.Since(start); took != 2*time.Minute {
				t.Errorf("took %v", took)
			}
		}},
		"half of the last reply": {[]Cut{{Verb: EndOfData, After: 4, Action: Action{Fault: Drop}}}, func(t *testing.T, d *dialogist) {
			d.send("hi", ".")
			rest, err := io.ReadAll(d.text.R)
			if string(rest) != "250 " || err != nil {
				t.Errorf("read %q, %v", rest, err)
			}
		}},
		"no reply to STARTTLS": {[]Cut{{Verb: "STARTTLS", FromClient: true, Action: Action{Fault: Stall}}}, func(t *testing.T, d *dialogist) {
			d.send("hi", ".")
			d.want("250")
			d.send("STARTTLS")
			d.conn.SetReadDeadline(time.Now().Add(time.Hour))
			d.wantEnd(os.ErrDeadlineExceeded)
		}},
		"silence in place of a handshake": {[]Cut{{Verb: "STARTTLS", After: int64(len("220 2.0.0 go ahead\r\n")), Action: Action{Fault: Stall}}}, func(t *testing.T, d *dialogist) {
			d.send("hi", ".")
			d.want("250")
			d.ask("STARTTLS", "220")
			d.conn.SetDeadline(time.Now().Add(time.Hour))
			n, err := io.WriteString(d.conn, "\x16")
			wantN(t, "Write", n, 0)
			wantErr(t, "Write", err, os.ErrDeadlineExceeded)
		}},
		"another session": {[]Cut{{Session: 1, Action: Action{Fault: Drop}}}, func(t *testing.T, d *dialogist) {
			d.send("hi", ".")
			d.want("250")
		}},
	} {
		bubble(t, name, func(t *testing.T) {
			s := &Server{Cuts: tc.cuts}
			defer s.Close()
			d := dial(t, s)
			begin(d)
			tc.client(t, d)
		})
	}
}

// The end of a message that the server has read is the end of the message.
func TestCutBehindTheEndOfData(t *testing.T) {
	for _, tc := range []struct {
		after int64
		want  int
	}{{6, 0}, {7, 1}} {
		bubble(t, fmt.Sprint(tc.after), func(t *testing.T) {
			s := &Server{Cuts: []Cut{{Verb: "DATA", FromClient: true, After: tc.after, Action: Action{Fault: Drop}}}}
			defer s.Close()
			d := dial(t, s)
			d.hello()
			d.send("MAIL FROM:<a@x>", "RCPT TO:<b@x>", "DATA")
			d.want("250", "250", "354")
			go io.WriteString(d.conn, "hi\r\n.\r\n")
			d.wantEnd(io.EOF)
			if got := len(s.Messages()); got != tc.want {
				t.Errorf("%d messages, want %d", got, tc.want)
			}
		})
	}
}

func TestCutAmongPipelinedCommands(t *testing.T) {
	bubble(t, "replies keep their order", func(t *testing.T) {
		s := &Server{Cuts: []Cut{{Verb: "EHLO", FromClient: true, After: 20, Action: Action{Reply: "421 early"}}}, Wire: Wire{Window: 100}}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.send("MAIL FROM:<>", "RSET", "NOOP")
		d.want("250 2.1.0", "250 2.0.0", "421 early", "250 2.0.0")
	})
	bubble(t, "what was read ahead counts", func(t *testing.T) {
		s := &Server{Cuts: []Cut{{Verb: "MAIL", FromClient: true, After: 6, Action: Action{Fault: Drop}}}}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.send("MAIL FROM:<>", "RSET")
		d.wantEnd(io.EOF)
	})
}
