package smtptest

import (
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// lines reads a whole reply.
func (d *dialogist) lines() []string {
	var lines []string
	for {
		line, err := d.text.ReadLine()
		if err != nil {
			return append(lines, fmt.Sprintf("error %v", err))
		}
		lines = append(lines, line)
		if len(line) < 4 || line[3] != '-' {
			return lines
		}
	}
}

// Each profile differs from the zero one in one place, and the conversation shows
// it: lines of the client, and the whole reply to each, with "\n" between its
// lines. A reply that begins with "error" ends the conversation.
func TestProfile(t *testing.T) {
	const noCodes, mail, rcpt = "PIPELINING", "MAIL FROM:<a@x>", "RCPT TO:<b@x>"
	all := func(reply string) map[string]Action { return map[string]Action{Any: {Reply: reply}} }
	in := func(s Situation, reply string) map[Situation]string { return map[Situation]string{s: reply} }
	for name, tc := range map[string]struct {
		profile Profile
		talk    []string // greeting, line, reply, line, reply...
	}{
		"greeting":                {Profile{At: map[string]Action{Connect: {Reply: "220-hello\n220 NAME here"}}}, []string{"220-hello\n220 mx here"}},
		"lines before keywords":   {Profile{Hello: []string{"  ^", "NAME"}, Extensions: []string{"SIZE"}}, []string{"", "EHLO c", "250-  ^\n250-mx\n250 SIZE", "HELO c", "250 mx"}},
		"by name, refused":        {Profile{Hellos: []Hello{{Pattern: "*.evil", Reply: "501 5.7.1 go"}}}, []string{"", "EHLO C.evil", "501 5.7.1 go", mail, "503 MAIL before EHLO"}},
		"by name, another":        {Profile{Extensions: []string{"X"}, Hellos: []Hello{{Pattern: "c", Profile: &Profile{Extensions: []string{"Y"}}}}}, []string{"", "EHLO d", "250-mx\n250 X", "EHLO c", "250-mx\n250 Y"}},
		"any verb":                {Profile{At: all("400 4.7.0 no")}, []string{"", "EHLO c", "400 4.7.0 no", "WIZ", "400 4.7.0 no", "QUIT", "400 4.7.0 no"}},
		"a situation comes first": {Profile{At: map[string]Action{"RCPT": {Reply: "251 there"}}}, []string{"", "HELO c", "250 mx", rcpt, "503 RCPT without MAIL", mail, "250 ok", rcpt, "251 there"}},
		"another reply":           {Profile{Replies: in(NoMail, "503 5.5.2 NAME wants MAIL")}, []string{"", "HELO c", "250 mx", rcpt, "503 mx wants MAIL"}},
		"overlooked":              {Profile{Replies: in(NoHello, "")}, []string{"", mail, "250 ok", rcpt, "250 ok", "DATA", "354 go ahead", ".", "250 ok"}},
		"overlooked DATA":         {Profile{Replies: in(DataWithoutRcpt, "")}, []string{"", "HELO c", "250 mx", mail, "250 ok", "DATA", "354 go ahead"}},
		"disabled":                {Profile{Disabled: []string{"EHLO"}, Replies: in(UnknownCommand, "550 5.5.2 what?")}, []string{"", "EHLO c", "550 5.5.2 what?", "HELO c", "250 mx"}},
		"unknown commands":        {Profile{Limits: Limits{Unknown: 2}}, []string{"", "HELO c", "250 mx", "A", "500 unknown command", "B", "500 unknown command", "NOOP", "error EOF"}},
		"faults":                  {Profile{Limits: Limits{Faults: 2}}, []string{"", "HELO c", "250 mx", "A", "500 unknown command", rcpt, "503 RCPT without MAIL", rcpt, "503 RCPT without MAIL", "NOOP", "error EOF"}},
		"no codes":                {Profile{Enhanced: EnhancedNever}, []string{"", "EHLO c", "*", "NOOP", "250 ok"}},
		"codes not offered":       {Profile{Enhanced: EnhancedAlways, Extensions: []string{noCodes}}, []string{"", "EHLO c", "*", "NOOP", "250 2.0.0 ok"}},
		"codes here and there":    {Profile{Enhanced: EnhancedMixed}, []string{"", "EHLO c", "*", "NOOP", "250 2.0.0 ok", "NOOP", "250 ok", "NOOP", "250 2.0.0 ok"}},
		"codes of another class":  {Profile{Enhanced: EnhancedWrongClass}, []string{"", "EHLO c", "*", "NOOP", "250 5.0.0 ok", rcpt, "503 4.5.1 RCPT without MAIL"}},
		"caret":                   {Profile{Caret: true}, []string{"", "EHLO c", "*", "WIZ x", "500-5.5.2     ^\n500-5.5.2 unknown command\n500 5.5.2 command was: WIZ x", rcpt, "503 5.5.1 RCPT without MAIL"}},
		"echo":                    {Profile{Echo: true}, []string{"", "NOOP", "NOOP", "", "250 ok"}},
		"login first":             {Profile{AuthRequired: true}, []string{"", "HELO c", "250 mx", mail, "530 log in first", "NOOP", "250 ok", "VRFY x", "530 log in first"}},
		"no AUTH in plaintext":    {Profile{AuthNeedsTLS: true, Extensions: []string{"AUTH LOGIN"}}, []string{"", "EHLO c", "250 mx", "AUTH LOGIN", "538 AUTH without TLS"}},
		"prompts":                 {Profile{Prompts: [2]string{"u", "p"}}, []string{"", "EHLO c", "*", "AUTH LOGIN", "334 dQ==", "YW5u", "334 cA==", "c2VzYW1l", "235 2.7.0 welcome"}},
		"failed logins":           {Profile{Replies: in(BadPassword, "503 no"), Limits: Limits{AuthFailures: 1}}, []string{"", "EHLO c", "*", "AUTH PLAIN AGFubgB4", "503 no", "NOOP", "error EOF"}},
		"size":                    {Profile{Limits: Limits{Size: 3}}, []string{"", "HELO c", "250 mx", mail, "250 ok", rcpt, "250 ok", "DATA", "354 go ahead", "long\r\n.", "552 message too big"}},
		"size of a chunk":         {Profile{Limits: Limits{Size: 3}}, []string{"", "EHLO c", "*", mail, "250 2.1.0 ok", rcpt, "250 2.1.5 ok", "BDAT 6\r\nlong", "552 5.3.4 message too big", "BDAT 2 LAST\r\n", "503 5.5.1 a chunk was refused"}},
		"space":                   {Profile{Limits: Limits{Space: 3}}, []string{"", "EHLO c", "*", mail + " SIZE=4", "452 4.3.1 no space", mail + " SIZE=3", "250 2.1.0 ok", rcpt, "250 2.1.5 ok", "DATA", "354 go ahead", "long\r\n.", "452 4.3.0 no space"}},
		"recipients":              {Profile{Limits: Limits{Recipients: 1}}, []string{"", "HELO c", "250 mx", mail, "250 ok", rcpt, "250 ok", rcpt, "452 too many recipients", "DATA", "354 go ahead", ".", "250 ok", mail, "250 ok", rcpt, "250 ok"}},
		"null sender":             {Profile{Limits: Limits{NullSender: 1}}, []string{"", "HELO c", "250 mx", "MAIL FROM:<>", "250 ok", rcpt, "250 ok", rcpt, "552 too many recipients for a notice", "DATA", "550 too many recipients for a notice"}},
		"RCPT commands":           {Profile{Limits: Limits{Attempts: 2}}, []string{"", "HELO c", "250 mx", mail, "250 ok", "RCPT TO:b", "501 bad forward path", rcpt, "250 ok", rcpt, "452 too many recipients", "DATA", "354 go ahead", ".", "250 ok", mail, "250 ok", rcpt, "250 ok"}},
		"space for each":          {Profile{Limits: Limits{Space: 5, SpaceEach: true}}, []string{"", "EHLO c", "*", mail + " SIZE=2", "250 2.1.0 ok", rcpt, "250 2.1.5 ok", rcpt, "250 2.1.5 ok", rcpt, "452 4.3.1 no space"}},
		"source route":            {Profile{}, []string{"", "HELO c", "250 mx", mail, "250 ok", "RCPT TO:<@a,@b:u@c>", "250 ok"}},
		"source route, refused":   {Profile{Replies: in(SourceRoute, "550 5.7.1 no routes")}, []string{"", "HELO c", "250 mx", mail, "250 ok", "RCPT TO:<@a,@b:u@c>", "550 no routes", rcpt, "250 ok"}},
		"source route, a remark":  {Profile{Replies: in(SourceRoute, "250 2.1.5 ok, by another route")}, []string{"", "HELO c", "250 mx", mail, "250 ok", "RCPT TO:<@a,@b:u@c>", "250 ok, by another route", "DATA", "354 go ahead"}},
		"messages":                {Profile{Limits: Limits{Messages: 1}}, []string{"", "HELO c", "250 mx", mail, "250 ok", rcpt, "250 ok", "DATA", "354 go ahead", ".", "250 ok", mail, "421 too many messages on this connection", "NOOP", "error EOF"}},
		"refused DATA":            {Profile{DataEnds: true}, []string{"", "HELO c", "250 mx", mail, "250 ok", "DATA", "554 no valid recipients", mail, "250 ok"}},
		"long command":            {Profile{Limits: Limits{Command: 10}}, []string{"", "HELO c", "250 mx", "NOOP 123456", "500 line too long"}},
		"long command, cut":       {Profile{Limits: Limits{Command: 10, CutCommand: true}}, []string{"", "HELO c", "250 mx", "NOOP 123456", "250 ok", "VRFYabcdefgh", "500 unknown command"}},
	} {
		bubble(t, name, func(t *testing.T) {
			s := &Server{Name: "mx", Profile: tc.profile}
			if strings.Contains(name, "login") || strings.Contains(name, "AUTH") || name == "prompts" {
				s.Passwords = map[string]string{"ann": "sesame"}
			}
			defer s.Close()
			d := dial(t, s)
			if got := strings.Join(d.lines(), "\n"); tc.talk[0] != "" && got != tc.talk[0] {
				t.Errorf("greeting %q, want %q", got, tc.talk[0])
			}
			for i := 1; i < len(tc.talk); i += 2 {
				line, want := tc.talk[i], tc.talk[i+1]
				if line != "" && !strings.HasPrefix(want, "error") {
					d.send(line)
				}
				if got := strings.Join(d.lines(), "\n"); want != "*" && got != want {
					t.Errorf("%s: got\n%s\nwant\n%s", line, got, want)
				}
			}
		})
	}
}

// Refusals come later and later, yeses at once.
func TestTarpit(t *testing.T) {
	for name, tc := range map[string]struct {
		tarpit Tarpit
		want   []time.Duration
	}{
		"2001, 20 60": {Tarpit{Initial: 20 * time.Second, Mult: 60}, []time.Duration{20 * time.Second, 250 * time.Second, 250 * time.Second}},
		"1 1 3":       {Tarpit{Initial: time.Second, Mult: 1, Cap: 3 * time.Second}, []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 3 * time.Second}},
		"always 5":    {Tarpit{Initial: 5 * time.Second, Cap: 5 * time.Second}, []time.Duration{5 * time.Second, 5 * time.Second}},
	} {
		bubble(t, name, func(t *testing.T) {
			s := &Server{Profile: Profile{Tarpit: tc.tarpit}}
			defer s.Close()
			d := dial(t, s)
			d.hello()
			for _, want := range tc.want {
				began := time.Now()
				d.ask("RCPT TO:<b@x>", "503")
				if took := time.Since(began); took != want {
					t.Errorf("after %v, want %v", took, want)
				}
				began = time.Now()
				d.ask("NOOP", "250")
				if took := time.Since(began); took != 0 {
					t.Errorf("a yes after %v", took)
				}
			}
		})
	}
}

// Connections over a limit are turned away in words, more of them without, and
// one that is closed counts until it has lingered.
func TestConnectionLimits(t *testing.T) {
	for name, limits := range map[string]Limits{
		"of an address": {PerAddress: 1, Silent: 2, Linger: 2 * time.Second},
		"of all":        {Connections: 1, SilentAll: 2, Linger: 2 * time.Second},
	} {
		bubble(t, name, func(t *testing.T) {
			s := &Server{Profile: Profile{Limits: limits}}
			defer s.Close()
			first := dial(t, s)
			first.hello()
			second := dial(t, s)
			second.want("421")
			second.wantEnd(io.EOF)
			dial(t, s).wantEnd(io.EOF)
			first.conn.Close()
			time.Sleep(time.Second)
			dial(t, s).wantEnd(io.EOF)
			time.Sleep(5 * time.Second)
			dial(t, s).want("220")
		})
	}
}

func TestIdleTime(t *testing.T) {
	for farewell, want := range map[string]string{"": "error EOF", "421 4.4.2 too slow": "421 4.4.2 too slow"} {
		bubble(t, want, func(t *testing.T) {
			s := &Server{Profile: Profile{Limits: Limits{Idle: time.Minute}, Replies: map[Situation]string{IdleTooLong: farewell}}}
			defer s.Close()
			d := dial(t, s)
			d.hello()
			time.Sleep(59 * time.Second)
			d.ask("NOOP", "250")
			began := time.Now()
			d.want(want)
			if took := time.Since(began); took != time.Minute {
				t.Errorf("after %v", took)
			}
		})
	}
}

// A content is read at its rate, commands are not held up.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Profile: Profile{Limits: Limits{Rate: 100}}}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		began := time.Now()
		d.send("MAIL FROM:<>", "RCPT TO:<b@x>", "DATA")
		d.want("250", "250", "354")
		if took := time.Since(began); took != 0 {
			t.Errorf("commands took %v", took)
		}
		d.send(strings.Repeat("x", 995), ".")
		d.want("250")
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("1000 octets took %v", took)
		}
	})
}

// What a server may do with commands that come together.
func TestPipelining(t *testing.T) {
	group := []string{"MAIL FROM:<a@x>", "RCPT TO:<c@x>", "RCPT TO:<b@x>"}
	for name, tc := range map[string]struct {
		how    Pipelining
		hello  string
		send   []string
		want   []string
		end    error
		writes int // of the server, for the group; 0: any
	}{
		"together":              {Together, "EHLO c", group, []string{"250", "550", "250"}, nil, 1},
		"singly":                {Singly, "EHLO c", group, []string{"250", "550", "250"}, nil, 3},
		"thrown away":           {DropInput, "EHLO c", group, []string{"250", "550"}, os.ErrDeadlineExceeded, 0},
		"closed":                {CloseEarly, "EHLO c", []string{"NOOP", "NOOP"}, nil, io.EOF, 0},
		"closed, in a group":    {CloseEarly, "EHLO c", group, []string{"250", "550", "250"}, nil, 0},
		"at EHLO":               {CloseAtHello, "EHLO c", []string{"EHLO c", "NOOP"}, nil, io.EOF, 0},
		"not at NOOP":           {CloseAtHello, "EHLO c", []string{"NOOP", "NOOP"}, []string{"250", "250"}, nil, 0},
		"after HELO everywhere": {CloseAtHello, "HELO c", []string{"NOOP", "NOOP"}, nil, io.EOF, 0},
	} {
		bubble(t, name, func(t *testing.T) {
			s := &Server{Profile: Profile{Pipelining: tc.how}, Script: refuseRcpt("c@x", "550 no"), Wire: Wire{Window: 1 << 16}}
			defer s.Close()
			d := dial(t, s)
			d.want("220")
			d.ask(tc.hello, "250")
			before := len(s.Transcript(0))
			d.send(tc.send...)
			d.want(tc.want...)
			writes := len(slices.DeleteFunc(s.Transcript(0)[before:], func(c Chunk) bool { return c.FromClient }))
			if tc.writes > 0 && writes != tc.writes {
				t.Errorf("%d writes, want %d", writes, tc.writes)
			}
			if tc.end != nil {
				d.conn.SetReadDeadline(time.Now().Add(time.Hour))
				d.wantEnd(tc.end)
			}
		})
	}
}

// Faults that change a reply, which is "250 2.0.0 ok".
func TestShapes(t *testing.T) {
	for fault, want := range map[Fault]string{
		Lines:        "250-one\r\n250-\r\n250 2.0.0 ok\r\n",
		Unterminated: "250-2.0.0 ok\r\n",
		EmptyLine:    "\r\n250 2.0.0 ok\r\n",
		BareLF:       "250 2.0.0 ok\n",
		MixedCodes:   "550-another code\r\n250 2.0.0 ok\r\n",
		EightBit:     "250 2.0.0 ok gr\xc3\xbc\xdf \xff\r\n",
		NUL:          "250 2.0.0 ok \x00\r\n",
		Trickle:      "250 2.0.0 ok\r\n",
	} {
		bubble(t, fmt.Sprintf("%.12q", want), func(t *testing.T) {
			s := &Server{Profile: Profile{At: map[string]Action{"NOOP": {Fault: fault}}}}
			defer s.Close()
			d := dial(t, s)
			d.hello()
			d.send("NOOP")
			got := make([]byte, len(want))
			if _, err := io.ReadFull(d.conn, got); err != nil || string(got) != want {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		})
	}
	bubble(t, "huge", func(t *testing.T) {
		s := &Server{Script: at("NOOP", Action{Fault: Huge})}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.send("NOOP")
		if got := strings.Join(d.lines(), "\n"); len(got) < 1<<20 || !strings.HasSuffix(got, "\n250 2.0.0 ok") {
			t.Errorf("%d bytes", len(got))
		}
	})
	bubble(t, "reset after", func(t *testing.T) {
		s := &Server{Script: at("NOOP", Action{Fault: ResetAfter})}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.ask("NOOP", "250")
		d.wantEnd(syscall.ECONNRESET)
	})
}

// Lines that trickle, and silence behind a reply.
func TestSlowReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Script: at("ETRN", Action{Reply: "250-a\n250-b\n250 c", Delay: time.Minute, Fault: Trickle}),
			Extensions: []string{"ETRN"}, Profile: Profile{At: map[string]Action{"NOOP": {After: time.Hour}}}}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		began := time.Now()
		d.ask("ETRN x", "250 c")
		if took := time.Since(began); took != 3*time.Minute {
			t.Errorf("three lines took %v", took)
		}
		d.ask("NOOP", "250")
		d.ask("RSET", "250")
		if took := time.Since(began); took != time.Hour+3*time.Minute {
			t.Errorf("after %v", took)
		}
	})
}

func TestTLSFaults(t *testing.T) {
	bubble(t, "break", func(t *testing.T) {
		s := &Server{Script: at("STARTTLS", Action{Fault: BreakTLS}), Wire: Wire{Window: 1 << 16}}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.ask("STARTTLS", "220")
		d.send("\x16\x03\x01")
		d.wantEnd(syscall.ECONNRESET)
	})
	bubble(t, "ignore", func(t *testing.T) {
		s := &Server{Script: at("STARTTLS", Action{Fault: IgnoreTLS})}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.ask("STARTTLS", "220")
		d.ask("NOOP", "250")
	})
	bubble(t, "input before", func(t *testing.T) {
		s := &Server{Profile: Profile{Replies: map[Situation]string{InputBeforeTLS: "501 5.1.3 junk"}}, Wire: Wire{Window: 1 << 16}}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.send("STARTTLS", "NOOP")
		d.want("501 5.1.3", "250")
	})
}

// Several faces of one server, and one session without a listener.
func TestListenAs(t *testing.T) {
	s := &Server{}
	defer s.Close()
	for want, p := range map[string]Profile{"220 mx.example.net ESMTP": {}, "421 go": {At: map[string]Action{Connect: {Reply: "421 go"}}}} {
		addr, err := s.ListenAs("tcp", "127.0.0.1:0", p)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
}

type pipeEnds struct {
	io.Reader
	io.Writer
}

func (pipeEnds) Close() error { return nil }

func TestServeConn(t *testing.T) {
	var out strings.Builder
	s := &Server{Extensions: []string{}}
	if err := s.ServeConn(pipeEnds{strings.NewReader("HELO c\r\nNOOP\r\nQUIT\r\n"), &out}); err != nil {
		t.Fatal(err)
	}
	if want := "220 mx.example.net ESMTP\r\n250 mx.example.net\r\n250 ok\r\n221 bye\r\n"; out.String() != want {
		t.Errorf("got %q", out.String())
	}
	s.Close()
	wantErr(t, "after Close", s.ServeConn(pipeEnds{strings.NewReader(""), &out}), net.ErrClosed)
}

// What is remembered of a message beside its text.
func TestCapture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.send("MAIL FROM:<a@x>", "RCPT TO:<b@x>")
		d.want("250", "250")
		d.send("BDAT 3", "x", "BDAT 4 LAST", "yz")
		d.want("250", "250")
		m := s.Messages()[0]
		if !slices.Equal(m.Chunks, []int{3, 4}) || string(m.Data) != "x\r\nyz\r\n" || m.Client != "client.example" || m.With != "ESMTP" {
			t.Errorf("%+v", m)
		}
	})
}

func TestPolicies(t *testing.T) {
	for name, tc := range map[string]struct {
		script func(Command) Action
		talk   []string
	}{
		"network": {RejectNetwork, []string{"EHLO c", "550 5.7.1", "NOOP", "550", "HELP", "503", "QUIT", "221"}},
		"sender":  {RejectSender, []string{"HELO c", "250", "MAIL FROM:<a@x>", "553 5.7.1", "RCPT TO:<b@x>", "550 5.7.1"}},
		"relay":   {RelayDenied("x"), []string{"HELO c", "250", "MAIL FROM:<a@x>", "250", "RCPT TO:<b@X>", "250", "RCPT TO:<b@y>", "550 5.7.1"}},
		"rate":    {RateLimit(1, time.Hour), []string{"HELO c", "250", "MAIL FROM:<a@x>", "250", "RSET", "250", "MAIL FROM:<a@x>", "451 4.7.1", "later", "", "MAIL FROM:<a@x>", "250"}},
		"grey":    {Greylist(time.Minute), []string{"HELO c", "250", "MAIL FROM:<a@x>", "250", "RCPT TO:<b@x>", "451 4.7.1", "RCPT TO:<b@x>", "451", "later", "", "RCPT TO:<b@x>", "250", "RCPT TO:<c@x>", "451"}},
	} {
		bubble(t, name, func(t *testing.T) {
			s := &Server{Script: tc.script}
			defer s.Close()
			d := dial(t, s)
			d.lines()
			for i := 0; i < len(tc.talk); i += 2 {
				if tc.talk[i] == "later" {
					time.Sleep(time.Hour)
					continue
				}
				d.ask(tc.talk[i], tc.talk[i+1])
			}
		})
	}
}
