package smtptest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// dialogist is a raw client: it sends lines and wants replies.
type dialogist struct {
	t    *testing.T
	conn net.Conn
	text *textproto.Conn
}

func dial(t *testing.T, s *Server) *dialogist {
	t.Helper()
	conn, err := s.DialContext(t.Context(), "tcp", "192.0.2.25:25")
	if err != nil {
		t.Fatal(err)
	}
	return &dialogist{t, conn, textproto.NewConn(conn)}
}

// send writes lines in one Write.
func (d *dialogist) send(lines ...string) {
	d.t.Helper()
	if _, err := io.WriteString(d.conn, strings.Join(lines, "\r\n")+"\r\n"); err != nil {
		d.t.Errorf("send %q: %v", lines, err)
	}
}

// want reads one reply for each code, as "250" or "550 5.1.1".
func (d *dialogist) want(codes ...string) {
	d.t.Helper()
	for _, want := range codes {
		if got := d.reply(); !strings.HasPrefix(got, want) {
			d.t.Errorf("reply %q, want %s", got, want)
		}
	}
}

// reply reads a reply and gives its last line.
func (d *dialogist) reply() string {
	for {
		line, err := d.text.ReadLine()
		if err != nil {
			return fmt.Sprintf("error %v", err)
		}
		if len(line) < 4 || line[3] != '-' {
			return line
		}
	}
}

// ask sends a line and wants a reply.
func (d *dialogist) ask(line, code string) {
	d.t.Helper()
	d.send(line)
	d.want(code)
}

// hello reads the greeting and says EHLO.
func (d *dialogist) hello() {
	d.t.Helper()
	d.want("220")
	d.ask("EHLO client.example", "250")
}

func (d *dialogist) wantEnd(want error) {
	d.t.Helper()
	if _, err := d.text.ReadLine(); !errors.Is(err, want) {
		d.t.Errorf("at the end: %v, want %v", err, want)
	}
}

func wantViolations(t *testing.T, s *Server, want ...string) {
	t.Helper()
	got := s.Violations()
	if len(got) != len(want) {
		t.Errorf("violations:\n\t%s\nwant:\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		return
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("violation %q, want %q", got[i], want[i])
		}
	}
}

func refuseRcpt(path, reply string) func(Command) Action {
	return func(c Command) Action {
		if c.Verb == "RCPT" && strings.HasPrefix(c.Args, "TO:<"+path+">") {
			return Action{Reply: reply}
		}
		return Action{}
	}
}

func at(verb string, a Action) func(Command) Action {
	return func(c Command) Action {
		if c.Verb == verb {
			return a
		}
		return Action{}
	}
}

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

func TestServerAuth(t *testing.T) {
	for name, tc := range map[string]struct {
		dialogue []string // lines and replies in turn
		login    string
	}{
		"plain":          {[]string{"AUTH PLAIN AGFubgBzZXNhbWU=", "235"}, "ann"},
		"plain, asked":   {[]string{"AUTH PLAIN", "334 ", "AGFubgBzZXNhbWU=", "235"}, "ann"},
		"plain, wrong":   {[]string{"AUTH PLAIN AGFubgB4", "535 5.7.8"}, ""},
		"plain, bad":     {[]string{"AUTH PLAIN !", "501"}, ""},
		"cancelled":      {[]string{"AUTH PLAIN", "334 ", "*", "501"}, ""},
		"login":          {[]string{"AUTH LOGIN", "334 VXNlcm5hbWU6", "YW5u", "334 UGFzc3dvcmQ6", "c2VzYW1l", "235"}, "ann"},
		"login, initial": {[]string{"AUTH LOGIN YW5u", "334 UGFzc3dvcmQ6", "c2VzYW1l", "235"}, "ann"},
		"login, unknown": {[]string{"AUTH LOGIN Ym9i", "334 UGFzc3dvcmQ6", "c2VzYW1l", "535"}, ""},
	} {
		bubble(t, name, func(t *testing.T) {
			s := &Server{Passwords: map[string]string{"ann": "sesame"}}
			defer s.Close()
			d := dial(t, s)
			d.hello()
			for i := 0; i < len(tc.dialogue); i += 2 {
				d.ask(tc.dialogue[i], tc.dialogue[i+1])
			}
			d.send("MAIL FROM:<a@x>", "RCPT TO:<b@x>", "DATA")
			d.want("250", "250", "354")
			d.ask(".", "250")
			if got := s.Messages()[0].Login; got != tc.login {
				t.Errorf("login %q, want %q", got, tc.login)
			}
			wantViolations(t, s)
		})
	}
	bubble(t, "any mechanism by script", func(t *testing.T) {
		s := &Server{Extensions: []string{"AUTH X-SONG"}, Script: func(c Command) Action {
			switch {
			case c.Verb == "AUTH":
				return Action{Reply: "334 bGE="}
			case c.Verb == AuthResponse && c.Args == "bGFsYQ==":
				return Action{Reply: "235 you can sing"}
			}
			return Action{}
		}}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.ask("AUTH X-SONG", "334 bGE=")
		d.ask("bGFsYQ==", "235")
		wantViolations(t, s)
	})
}

func TestServerSTARTTLS(t *testing.T) {
	for name, w := range map[string]Wire{"no window": {}, "one byte": {Window: 1}, "window": {Window: 1 << 16},
		"short": {MaxWrite: 5, MaxRead: 3}, "delay": {Window: 1 << 16, Delay: time.Second}} {
		bubble(t, name, func(t *testing.T) {
			s := &Server{Wire: w}
			defer s.Close()
			cache := tls.NewLRUClientSessionCache(1)
			for i := range 2 {
				d := dial(t, s)
				d.hello()
				d.ask("STARTTLS", "220")
				conn := tls.Client(d.conn, &tls.Config{ServerName: "any.example", RootCAs: s.Roots(), ClientSessionCache: cache})
				d = &dialogist{t, conn, textproto.NewConn(conn)}
				d.ask("EHLO client.example", "250 CHUNKING")
				d.send("MAIL FROM:<a@x>", "RCPT TO:<b@x>", "DATA")
				d.want("250", "250", "354")
				d.send(".", "QUIT")
				d.want("250", "221")
				d.wantEnd(io.EOF)
				conn.Close()
				if resumed := conn.ConnectionState().DidResume; resumed != (i == 1) {
					t.Errorf("session %d: resumed %v", i, resumed)
				}
				if m := s.Messages()[i]; m.TLS == nil || m.TLS.ServerName != "any.example" {
					t.Errorf("message came by %+v", m.TLS)
				}
			}
			wantViolations(t, s)
		})
	}
	bubble(t, "injected reply", func(t *testing.T) {
		s := &Server{Script: at("STARTTLS", Action{Raw: []byte("220 go\r\n250 injected\r\n")})}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.ask("STARTTLS", "220 go")
		d.want("250 injected")
		conn := tls.Client(d.conn, &tls.Config{ServerName: "any.example", RootCAs: s.Roots()})
		if err := conn.Handshake(); err != nil {
			t.Errorf("handshake after what was injected: %v", err)
		}
	})
	bubble(t, "injected command", func(t *testing.T) {
		s := &Server{}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.send("STARTTLS", "RSET")
		d.want("220")
		d.wantEnd(io.EOF)
		wantViolations(t, s, `did not wait for the reply to "STARTTLS": sent "RSET\r\n"`)
	})
	bubble(t, "only 220 starts it", func(t *testing.T) {
		s := &Server{Script: at("STARTTLS", Action{Reply: "250 ok"})}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.ask("STARTTLS", "250 ok")
		d.ask("NOOP", "250 2.0.0")
	})
	bubble(t, "implicit", func(t *testing.T) {
		s := &Server{ImplicitTLS: true, Certificate: Certificate{Names: []string{"mx.example"}}}
		defer s.Close()
		conn := tls.Client(dial(t, s).conn, &tls.Config{ServerName: "mx.example", RootCAs: s.Roots()})
		d := &dialogist{t, conn, textproto.NewConn(conn)}
		d.hello()
		d.ask("STARTTLS", "503")
	})
}

func TestServerCertificates(t *testing.T) {
	for name, tc := range map[string]struct {
		certificate Certificate
		serverName  string
		want        string // in the error
	}{
		"any name":    {Certificate{}, "what.example", ""},
		"address":     {Certificate{}, "192.0.2.25", ""}, // Go sends no SNI for it
		"names":       {Certificate{Names: []string{"a.example", "b.example", "192.0.2.9"}}, "b.example", ""},
		"wrong name":  {Certificate{Names: []string{"a.example"}}, "b.example", "not b.example"},
		"expired":     {Certificate{NotAfter: time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)}, "a.example", "expired"},
		"self-signed": {Certificate{SelfSigned: true}, "a.example", "unknown authority"},
	} {
		bubble(t, name, func(t *testing.T) {
			s := &Server{ImplicitTLS: true, Certificate: tc.certificate}
			defer s.Close()
			conn := tls.Client(dial(t, s).conn, &tls.Config{ServerName: tc.serverName, RootCAs: s.Roots()})
			err := conn.Handshake()
			if tc.want == "" && err != nil || tc.want != "" && !strings.Contains(fmt.Sprint(err), tc.want) {
				t.Errorf("handshake: %v, want %q", err, tc.want)
			}
		})
	}
	bubble(t, "configuration without certificate", func(t *testing.T) {
		s := &Server{ImplicitTLS: true, TLSConfig: &tls.Config{MaxVersion: tls.VersionTLS12}}
		defer s.Close()
		conn := tls.Client(dial(t, s).conn, &tls.Config{ServerName: "a.example", RootCAs: s.Roots()})
		if err := conn.Handshake(); err != nil || conn.ConnectionState().Version != tls.VersionTLS12 {
			t.Errorf("handshake: %v, version %x", err, conn.ConnectionState().Version)
		}
	})
}

// The client of the standard library shares nothing with this package.
func TestServerWithTheStandardClient(t *testing.T) {
	message := []byte("From: a@client.example\r\n\r\nhi\r\n.dot\r\n")
	s := &Server{Passwords: map[string]string{"ann": "sesame"}}
	defer s.Close()
	connect := func(network, addr string) *smtp.Client {
		listening, err := s.Listen(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial(network, listening.String())
		if err != nil {
			t.Fatal(err)
		}
		c, err := smtp.NewClient(conn, "mx.example.net")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	send := func(c *smtp.Client) {
		if err := errors.Join(c.Mail("a@client.example"), c.Rcpt("b@mx.example")); err != nil {
			t.Fatal(err)
		}
		w, err := c.Data()
		if err != nil {
			t.Fatal(err)
		}
		w.Write(message)
		if err := errors.Join(w.Close(), c.Quit()); err != nil {
			t.Fatal(err)
		}
	}

	c := connect("tcp", "127.0.0.1:0")
	if err := errors.Join(c.Hello("client.example"),
		c.StartTLS(&tls.Config{ServerName: "mx.example.net", RootCAs: s.Roots()}),
		c.Auth(smtp.PlainAuth("", "ann", "sesame", "mx.example.net"))); err != nil {
		t.Fatal(err)
	}
	send(c)
	send(connect("unix", filepath.Join(t.TempDir(), "s")))

	wantViolations(t, s)
	got := s.Messages()
	if len(got) != 2 {
		t.Fatalf("%d messages, want 2", len(got))
	}
	for _, m := range got {
		if !bytes.Equal(m.Data, message) || !slices.Equal(m.To, []string{"b@mx.example"}) {
			t.Errorf("message: %+v", m)
		}
	}
	if got[0].Login != "ann" || got[0].TLS == nil || got[1].TLS != nil {
		t.Error("the first came by TLS from ann, the second in plaintext")
	}
}

func TestServerCloseEndsEverything(t *testing.T) {
	stuck := map[string]Action{"stall": {Fault: Stall}, "delay": {Delay: time.Hour}, "drip": {Fault: Drip, Delay: time.Hour},
		"unread reply": {Reply: strings.Repeat("250-x\n", 1000) + "250 x"}}
	for name, action := range stuck {
		bubble(t, name, func(t *testing.T) {
			s := &Server{Script: at("NOOP", action)}
			d := dial(t, s)
			d.hello()
			d.send("NOOP")
			synctest.Wait()
			if err := errors.Join(s.Close(), s.Close()); err != nil {
				t.Error(err)
			}
			_, err := s.DialContext(t.Context(), "tcp", "192.0.2.25:25")
			wantErr(t, "DialContext after Close", err, syscall.ECONNREFUSED)
		})
	}
	t.Run("sockets", func(t *testing.T) {
		connected := make(chan struct{})
		s := &Server{Script: func(Command) Action {
			close(connected)
			return Action{Fault: Stall}
		}}
		addr, err := s.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		<-connected
		s.Close()
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("the connection outlived Close")
		}
		if _, err := s.Listen("tcp", "127.0.0.1:0"); err == nil {
			t.Error("Listen worked after Close")
		}
	})
}

func TestNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &Server{Name: "a"}, &Server{Name: "b"}
		n := Network{"192.0.2.1:25": a, "192.0.2.2:25": b, "192.0.2.3:25": nil}
		defer n.Close()
		conn, err := n.DialContext(t.Context(), "tcp", "192.0.2.2:25")
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.RemoteAddr().String(); got != "192.0.2.2:25" {
			t.Errorf("remote address %s", got)
		}
		line, _ := textproto.NewConn(conn).ReadLine()
		if line != "220 b ESMTP" {
			t.Errorf("greeting %q", line)
		}
		_, err = n.DialContext(t.Context(), "tcp", "192.0.2.9:25")
		wantErr(t, "unknown address", err, syscall.ECONNREFUSED)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err = n.DialContext(ctx, "tcp", "192.0.2.3:25")
		wantErr(t, "silent host", err, context.DeadlineExceeded)
		if took := time.Since(start); took != time.Minute {
			t.Errorf("took %v", took)
		}
		for _, s := range []*Server{a, b} {
			client := tls.Config{RootCAs: n.Roots(), ServerName: "x.example"}
			s.ImplicitTLS = true
			conn, _ := s.DialContext(t.Context(), "tcp", "192.0.2.1:465")
			if err := tls.Client(conn, &client).Handshake(); err != nil {
				t.Errorf("%s: %v", s.Name, err)
			}
		}
	})
}
