package smtptest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestServerRecordsAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Script: refuseRcpt("c@mx.example", "550-5.1.1 no\n550 5.1.1 such user")}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.send("MAIL FROM:<a@client.example> SIZE=20 BODY=8BITMIME", "RCPT TO:<b@mx.example> NOTIFY=NEVER",
			"RCPT TO:<c@mx.example>", `RCPT TO:<"d> e"@mx.example>`, "DATA")
		d.want("250 2.1.0", "250 2.1.5", "550 5.1.1", "250 2.1.5", "354")
		d.send("Subject: hi", "", "..dot", "...", "bye", ".", "QUIT")
		d.want("250 2.0.0", "221 2.0.0")
		d.wantEnd(io.EOF)

		want := Message{
			From: "a@client.example", FromArgs: "SIZE=20 BODY=8BITMIME", To: []string{"b@mx.example", `"d> e"@mx.example`},
			ToArgs: []string{"NOTIFY=NEVER", ""}, Data: []byte("Subject: hi\r\n\r\n.dot\r\n..\r\nbye\r\n"), Replies: []string{"250 2.0.0 ok"},
			Wire: []byte("Subject: hi\r\n\r\n..dot\r\n...\r\nbye\r\n"), LongestLine: 11, Client: "client.example", With: "ESMTP",
		}
		if got := s.Messages(); len(got) != 1 || fmt.Sprint(got[0]) != fmt.Sprint(want) {
			t.Errorf("messages:\n%v\nwant:\n%v", got, want)
		}
		refusal := Refusal{Verb: "RCPT", Path: "c@mx.example", Reply: "550-5.1.1 no\n550 5.1.1 such user"}
		if got := s.Refused(); !slices.Equal(got, []Refusal{refusal}) {
			t.Errorf("refused %+v", got)
		}
		wantViolations(t, s)
	})
}

func TestServerTranscript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Name: "mx", Extensions: []string{}, Script: at("NOOP", Action{Delay: time.Second})}
		defer s.Close()
		d := dial(t, s)
		start := time.Now()
		d.hello()
		d.ask("NOOP", "250")
		d.ask("QUIT", "221")
		var lines []string
		for _, c := range s.Transcript(0) {
			side := "S"
			if c.FromClient {
				side = "C"
			}
			lines = append(lines, fmt.Sprintf("%s %v %s", side, c.At.Sub(start), bytes.TrimSpace(c.Data)))
		}
		want := []string{"S 0s 220 mx ESMTP", "C 0s EHLO client.example", "S 0s 250 mx", "C 0s NOOP", "S 1s 250 ok",
			"C 1s QUIT", "S 1s 221 bye"}
		if !slices.Equal(lines, want) {
			t.Errorf("transcript:\n%s", strings.Join(lines, "\n"))
		}
		if s.Transcript(1) != nil || s.Sessions() != 1 {
			t.Error("there was one session")
		}
	})
}

func TestServerFaults(t *testing.T) {
	const reply = "250 ok\r\n"
	for name, tc := range map[string]struct {
		action Action
		want   string // bytes that come instead of the reply
		end    error
		took   time.Duration
	}{
		"none":           {Action{}, "250 2.0.0 ok\r\n", nil, 0},
		"reply":          {Action{Reply: "250-one\n250 two"}, "250-one\r\n250 two\r\n", nil, 0},
		"delay":          {Action{Reply: "250 ok", Delay: time.Hour}, reply, nil, time.Hour},
		"raw":            {Action{Raw: []byte("250 o")}, "250 o", nil, 0},
		"raw, then drop": {Action{Raw: []byte("250 o"), Fault: DropAfter}, "250 o", io.EOF, 0},
		"nothing":        {Action{Raw: []byte{}}, "", nil, 0},
		"drop":           {Action{Fault: Drop}, "", io.EOF, 0},
		"drop late":      {Action{Fault: Drop, Delay: time.Minute}, "", io.EOF, time.Minute},
		"reset":          {Action{Fault: Reset}, "", syscall.ECONNRESET, 0},
		"stall":          {Action{Fault: Stall}, "", nil, 0},
		"drip":           {Action{Reply: "250 ok", Fault: Drip}, reply, nil, 8 * time.Second},
		"slow drip":      {Action{Reply: "250 ok", Fault: Drip, Delay: time.Minute}, reply, nil, 8 * time.Minute},
		"garbage":        {Action{Reply: "250 ok", Fault: Garbage}, garbage + "\r\n", nil, 0},
		"twice":          {Action{Reply: "250 ok", Fault: Twice}, reply + reply, nil, 0},
		"drop after":     {Action{Reply: "250 ok", Fault: DropAfter}, reply, io.EOF, 0},
		"421":            {Action{Reply: "421 4.3.2 bye"}, "421 4.3.2 bye\r\n", io.EOF, 0},
	} {
		bubble(t, name, func(t *testing.T) {
			s := &Server{Script: at("NOOP", tc.action)}
			defer s.Close()
			d := dial(t, s)
			d.hello()
			start := time.Now()
			d.send("NOOP")
			p := make([]byte, len(tc.want))
			if _, err := io.ReadFull(d.conn, p); err != nil || string(p) != tc.want {
				t.Errorf("read %q, %v; want %q", p, err, tc.want)
			}
			if tc.end == nil {
				if took := time.Since(start); took != tc.took {
					t.Errorf("took %v, want %v", took, tc.took)
				}
				d.conn.SetReadDeadline(time.Now().Add(24 * time.Hour))
				tc.end = os.ErrDeadlineExceeded
			}
			_, err := d.conn.Read(make([]byte, 1))
			wantErr(t, "at the end", err, tc.end)
		})
	}
}

// The message is stored whatever happens to the reply, and what was answered is
// on record.
func TestServerFaultsAtTheEndOfData(t *testing.T) {
	for name, tc := range map[string]struct {
		action Action
		want   string
	}{
		"usual":   {Action{}, "250 2.0.0 ok"},
		"refused": {Action{Reply: "554 5.6.0 no"}, "554 5.6.0 no"},
		"drop":    {Action{Reply: "250 ok", Fault: Drop}, ""},
		"stall":   {Action{Fault: Stall}, ""},
		"raw":     {Action{Raw: []byte("250-o")}, "250-o"},
		"garbage": {Action{Fault: Garbage}, garbage},
	} {
		for _, chunked := range []bool{false, true} {
			bubble(t, fmt.Sprintf("%s, BDAT %v", name, chunked), func(t *testing.T) {
				s := &Server{Script: at(EndOfData, tc.action)}
				defer s.Close()
				d := dial(t, s)
				d.hello()
				d.send("MAIL FROM:<>", "RCPT TO:<b@mx.example>")
				d.want("250", "250")
				if chunked {
					d.send("BDAT 4 LAST", "hi")
				} else {
					d.ask("DATA", "354")
					d.send("hi", ".")
				}
				synctest.Wait()
				got := s.Messages()
				if len(got) != 1 || string(got[0].Data) != "hi\r\n" || got[0].BDAT != chunked {
					t.Fatalf("messages: %v", got)
				}
				if !slices.Equal(got[0].Replies, []string{tc.want}) {
					t.Errorf("replies %q, want %q", got[0].Replies, tc.want)
				}
			})
		}
	}
}

func TestServerSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Extensions: []string{"SIZE 1000"}}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.ask("MAIL FROM:<a@x> SIZE=1001", "552")
		d.ask("MAIL FROM:<a@x> SIZE=1000", "250")
		want := Refusal{Verb: "MAIL", Path: "a@x", Reply: "552 message too big"}
		if got := s.Refused(); !slices.Equal(got, []Refusal{want}) {
			t.Errorf("refused %+v", got)
		}
		d.ask("RCPT TO:<b@x>", "250")
		d.ask("DATA", "354")
		d.ask(".", "250")
		if got := s.Messages(); len(got) != 1 || got[0].Transaction != 1 {
			t.Errorf("the second MAIL is transaction 1: %+v", got)
		}
	})
}

// RFC 2920, Section 3.1: a group that fits into 4 KiB is always safe, and one
// that does not gets a client stuck that reads only after it has written all.
func TestServerGroups(t *testing.T) {
	long := strings.Repeat("550-5.1.1 there is nobody of this name here\n", 10) + "550 5.1.1 no"
	for name, tc := range map[string]struct {
		recipients int
		want       error
	}{
		"4 KiB":  {(4096 - len("MAIL FROM:<>\r\n")) / len("RCPT TO:<b@x>\r\n"), nil},
		"64 KiB": {4096, os.ErrDeadlineExceeded},
	} {
		bubble(t, name, func(t *testing.T) {
			s := &Server{Script: at("RCPT", Action{Reply: long})}
			defer s.Close()
			d := dial(t, s)
			d.hello()
			d.conn.SetWriteDeadline(time.Now().Add(5 * time.Minute))
			_, err := io.WriteString(d.conn, "MAIL FROM:<>\r\n"+strings.Repeat("RCPT TO:<b@x>\r\n", tc.recipients))
			if !errors.Is(err, tc.want) {
				t.Errorf("Write: %v, want %v", err, tc.want)
			}
		})
	}
}

// What the client writes behind the end of data arrives even where nothing is
// buffered and the server reads no further at once.
func TestServerHoldsRepliesWhileThereIsInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.send("MAIL FROM:<>", "RCPT TO:<b@x>", "DATA")
		d.want("250", "250", "354")
		d.conn.SetWriteDeadline(time.Now().Add(5 * time.Minute))
		d.send(strings.Repeat("x", 4096-len("\r\n.\r\n")), ".", "QUIT")
		d.want("250", "221")
		wantViolations(t, s)
	})
}

// Replies to earlier commands are not held up by what happens to a later one.
func TestServerFaultsBehindOthers(t *testing.T) {
	bubble(t, "delay", func(t *testing.T) {
		s := &Server{Script: at("RSET", Action{Delay: time.Hour})}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		start := time.Now()
		d.send("MAIL FROM:<>", "RSET")
		d.want("250")
		if took := time.Since(start); took != 0 {
			t.Errorf("reply to MAIL after %v", took)
		}
		d.want("250")
		if took := time.Since(start); took != time.Hour {
			t.Errorf("reply to RSET after %v", took)
		}
	})
	bubble(t, "drop", func(t *testing.T) {
		s := &Server{Script: at("RSET", Action{Fault: Drop})}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.send("MAIL FROM:<>", "RSET")
		d.want("250")
		d.wantEnd(io.EOF)
	})
}
