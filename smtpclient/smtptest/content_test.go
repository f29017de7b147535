package smtptest

import (
	"io"
	"slices"
	"testing"
)

func TestServerLMTP(t *testing.T) {
	for _, end := range [][]string{{"DATA", "hi", "."}, {"BDAT 4 LAST", "hi"}} {
		bubble(t, end[0], func(t *testing.T) {
			s := &Server{Mode: LMTP, Script: func(c Command) Action {
				if c.Verb == EndOfData && c.Args == "c@x" {
					return Action{Reply: "452-4.2.2 c@x is\n452 4.2.2 over quota"}
				}
				return refuseRcpt("no@x", "550 5.1.1 no")(c)
			}}
			defer s.Close()
			d := dial(t, s)
			d.want("220")
			d.ask("LHLO client.example", "250")
			d.send("MAIL FROM:<a@x>", "RCPT TO:<b@x>", "RCPT TO:<no@x>", "RCPT TO:<c@x>", "RCPT TO:<b@x>")
			d.want("250", "250", "550", "250", "250")
			if end[0] == "DATA" {
				d.ask("DATA", "354")
				end = end[1:]
			}
			d.send(end...)
			d.want("250", "452 4.2.2 over", "250")
			d.ask("QUIT", "221")
			want := []string{"250 2.0.0 ok", "452-4.2.2 c@x is\n452 4.2.2 over quota", "250 2.0.0 ok"}
			if got := s.Messages(); len(got) != 1 || !slices.Equal(got[0].Replies, want) {
				t.Errorf("messages: %v", got)
			}
			wantViolations(t, s)
		})
	}
	bubble(t, "nobody to answer for", func(t *testing.T) {
		s := &Server{Mode: LMTP}
		defer s.Close()
		d := dial(t, s)
		d.want("220")
		d.ask("LHLO client.example", "250")
		d.ask("MAIL FROM:<a@x>", "250")
		d.ask("DATA", "503")
		d.send("BDAT 4 LAST", "hi", "NOOP")
		d.want("250 2.0.0 ok") // of NOOP
		if len(s.Messages()) != 0 {
			t.Error("a message for nobody was taken")
		}
	})
}

func TestServerChunks(t *testing.T) {
	bubble(t, "in pieces", func(t *testing.T) {
		s := &Server{Wire: Wire{Window: 4096}}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.send("MAIL FROM:<a@x>", "RCPT TO:<b@x>")
		io.WriteString(d.conn, "BDAT 5\r\n\x00a\r\n.BDAT 3 last\r\n\nb\r")
		d.want("250", "250", "250 2.0.0 5 octets", "250 2.0.0 ok")
		if got := s.Messages(); len(got) != 1 || string(got[0].Data) != "\x00a\r\n.\nb\r" || !got[0].BDAT {
			t.Errorf("messages: %v", got)
		}
		wantViolations(t, s)
	})
	bubble(t, "a refused chunk", func(t *testing.T) {
		s := &Server{Wire: Wire{Window: 4096}, Script: func(c Command) Action {
			if c.Verb == "BDAT" && c.Args == "2" {
				return Action{Reply: "452 4.3.1 full"}
			}
			return Action{}
		}}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.send("MAIL FROM:<a@x>", "RCPT TO:<b@x>")
		io.WriteString(d.conn, "BDAT 2\r\nhiRSET\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nBDAT 0 LAST\r\n")
		d.want("250", "250", "452", "250", "250", "250", "250")
		if got := s.Messages(); len(got) != 1 || len(got[0].Data) != 0 {
			t.Errorf("messages: %v", got)
		}
		wantViolations(t, s)
	})
	bubble(t, "pipelined behind a refused chunk", func(t *testing.T) {
		s := &Server{Wire: Wire{Window: 4096}, Script: at("BDAT", Action{Reply: "452 4.3.1 full"})}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		io.WriteString(d.conn, "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nBDAT 4\r\nQUITBDAT 6 LAST\r\nDATA\r\nRSET\r\nMAIL FROM:<a@x>\r\n")
		d.want("250", "250", "452", "452", "250", "250")
		if len(s.Messages()) != 0 {
			t.Error("a message with a hole was taken")
		}
		wantViolations(t, s)
	})
	bubble(t, "no RSET after it", func(t *testing.T) {
		s := &Server{Wire: Wire{Window: 4096}, Script: at(EndOfData, Action{Reply: "554 5.6.0 no"})}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.send("MAIL FROM:<a@x>", "RCPT TO:<b@x>", "BDAT 0 LAST")
		d.want("250", "250", "554")
		d.ask("MAIL FROM:<a@x>", "503")
		wantViolations(t, s, "no RSET after a refused chunk")
	})
}
