package smtptest

import (
	"crypto/tls"
	"io"
	"net/textproto"
	"strings"
	"testing"
	"testing/synctest"
)

// Each client does one thing wrong, and one thing only is recorded.
func TestViolations(t *testing.T) {
	const transaction = "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\n"
	long := strings.Repeat("x", 512-len("NOOP \r\n"))
	for name, tc := range map[string]struct {
		offer []string // beside PIPELINING and CHUNKING
		input string   // after EHLO, in one write
		want  string   // "" for none
	}{
		"nothing":                   {nil, transaction + "RSET\r\n", ""},
		"bare LF":                   {nil, "NOOP\nRSET\r\n", `bare LF in a command: "NOOP\n"`},
		"bare CR":                   {nil, "NOOP\rRSET\r\n", `bare CR in a command: "NOOP\rRSET"`},
		"CR CR LF":                  {nil, "NOOP\r\r\n", `bare CR in a command: "NOOP\r"`},
		"NUL":                       {nil, "NOOP \x00\r\n", "control character"},
		"longest command":           {nil, "NOOP " + long + "\r\n", ""},
		"long command":              {nil, "NOOP x" + long + "\r\n", "513 octets in a command, the limit is 512"},
		"longer with an extension":  {[]string{"SIZE"}, "MAIL FROM:<" + strings.Repeat("x", 500) + "> SIZE=1234567890\r\n", ""},
		"blank at the end":          {nil, "NOOP \r\n", "blank at the end"},
		"not ASCII":                 {nil, "NOOP ä\r\n", "SMTPUTF8 was not offered"},
		"not ASCII, not announced":  {[]string{"SMTPUTF8"}, "MAIL FROM:<ä@x>\r\n", "without SMTPUTF8"},
		"not ASCII, announced":      {[]string{"SMTPUTF8"}, "MAIL FROM:<ä@x> SMTPUTF8\r\nRCPT TO:<ö@x>\r\n", ""},
		"unknown command":           {nil, "WIZ\r\n", `unknown command, or not offered: "WIZ"`},
		"command not offered":       {nil, "ETRN x\r\n", `not offered: "ETRN x"`},
		"command offered":           {[]string{"ETRN"}, "ETRN x\r\n", ""},
		"arguments of RSET":         {nil, "RSET now\r\n", "RSET takes no arguments"},
		"arguments of DATA":         {nil, transaction + "DATA now\r\n", "DATA takes no arguments"},
		"blank before the path":     {nil, "MAIL FROM: <a@x>\r\n", "bad reverse path"},
		"no brackets":               {nil, "MAIL FROM:a@x\r\n", "bad reverse path"},
		"open bracket":              {nil, "MAIL FROM:<a@x\r\n", "bad reverse path"},
		"nothing after the path":    {nil, "MAIL FROM:<a@x>SIZE=1\r\n", "bad reverse path"},
		"null forward path":         {nil, "MAIL FROM:<>\r\nRCPT TO:<>\r\n", "bad forward path"},
		"second MAIL":               {nil, "MAIL FROM:<a@x>\r\nMAIL FROM:<b@x>\r\n", "second MAIL in a transaction"},
		"RCPT first":                {nil, "RCPT TO:<a@x>\r\n", "RCPT without MAIL"},
		"RCPT after a refused MAIL": {[]string{"SIZE 1"}, "MAIL FROM:<a@x> SIZE=2\r\nRCPT TO:<a@x>\r\nDATA\r\n", ""},
		"DATA first":                {nil, "DATA\r\n", "DATA without MAIL"},
		"DATA after BDAT":           {nil, transaction + "BDAT 1\r\n.DATA\r\n", "DATA after BDAT"},
		"RCPT after BDAT":           {nil, transaction + "BDAT 1\r\n.RCPT TO:<c@x>\r\n", "RCPT after BDAT"},
		"BDAT first":                {nil, "BDAT 1\r\n.", "BDAT without MAIL"},
		"bad BDAT":                  {nil, transaction + "BDAT x\r\n", "bad BDAT"},
		"BDAT -1":                   {nil, transaction + "BDAT -1\r\n", "bad BDAT"},
		"DATA for BINARYMIME":       {[]string{"8BITMIME", "BINARYMIME"}, "MAIL FROM:<a@x> BODY=BINARYMIME\r\nRCPT TO:<b@x>\r\nDATA\r\n", "DATA for BODY=BINARYMIME"},
		"BINARYMIME not offered":    {[]string{"8BITMIME"}, "MAIL FROM:<a@x> BODY=BINARYMIME\r\n", "BINARYMIME was not offered"},
		"parameter not offered":     {nil, "MAIL FROM:<a@x> SIZE=1\r\n", "SIZE was not offered"},
		"parameter of RCPT":         {nil, "MAIL FROM:<a@x>\r\nRCPT TO:<b@x> NOTIFY=NEVER\r\n", "NOTIFY was not offered"},
		"parameter of the other":    {[]string{"DSN"}, "MAIL FROM:<a@x> NOTIFY=NEVER\r\n", "NOTIFY was not offered"},
		"parameter twice":           {[]string{"SIZE"}, "MAIL FROM:<a@x> SIZE=1 size=1\r\n", "SIZE given twice"},
		"parameter without value":   {[]string{"SIZE"}, "MAIL FROM:<a@x> SIZE=\r\n", "bad SIZE"},
		"parameter without keyword": {[]string{"SIZE"}, "MAIL FROM:<a@x> =1\r\n", "bad parameter"},
		"two blanks":                {[]string{"SIZE"}, "MAIL FROM:<a@x>  SIZE=1\r\n", "bad parameter"},
		"STARTTLS not offered":      {nil, "STARTTLS\r\n", "STARTTLS was not offered"},
		"AUTH not offered":          {nil, "AUTH PLAIN\r\n", "AUTH was not offered"},
		"mechanism not offered":     {[]string{"AUTH LOGIN"}, "AUTH PLAIN\r\n", "mechanism was not offered"},
		"AUTH in a transaction":     {[]string{"AUTH PLAIN"}, transaction + "AUTH PLAIN AGEAYg==\r\n", "AUTH in a transaction"},
		"LHLO":                      {nil, "LHLO x\r\n", "LHLO is not of this protocol"},
		"EHLO without a name":       {nil, "EHLO\r\n", "no domain name"},
		"EHLO with a bad name":      {nil, "EHLO a_b\r\n", "no domain name"},
		"EHLO with a literal":       {nil, "EHLO [IPv6:2001:db8::1]\r\n", ""},
		"pipelined behind NOOP":     {nil, "NOOP\r\nRSET\r\n", `did not wait for the reply to "NOOP": sent "RSET\r\n"`},
		"pipelined behind DATA":     {nil, transaction + "DATA\r\n.\r\n", `did not wait for the reply to "DATA": sent ".\r\n"`},
		"pipelined behind QUIT":     {nil, "QUIT\r\nRSET\r\n", `did not wait for the reply to "QUIT"`},
		"pipelined behind EHLO":     {nil, "EHLO x\r\nRSET\r\n", `did not wait for the reply to "EHLO x"`},
		"pipelined behind VRFY":     {nil, "VRFY a\r\nRSET\r\n", `did not wait for the reply to "VRFY a"`},
	} {
		bubble(t, name, func(t *testing.T) {
			s := &Server{Extensions: append([]string{"PIPELINING", "CHUNKING"}, tc.offer...), Wire: Wire{Window: 1 << 16}}
			defer s.Close()
			d := dial(t, s)
			d.hello()
			io.WriteString(d.conn, tc.input)
			synctest.Wait()
			if tc.want == "" {
				wantViolations(t, s)
			} else {
				wantViolations(t, s, tc.want)
			}
		})
	}
}

func TestViolationsInContent(t *testing.T) {
	for name, tc := range map[string]struct {
		params, content string
		data, want      string
	}{
		"clean":                 {"", "a\r\n..\r\n", "a\r\n.\r\n", ""},
		"empty":                 {"", "", "", ""},
		"bare LF":               {"", "a\nb\nc\r\n", "a\nb\nc\r\n", `bare LF in a message: "a\n"`},
		"bare CR":               {"", "a\rb\rc\r\n", "a\rb\rc\r\n", `bare CR in a message: "a\r"`},
		"LF.LF is no end":       {"", "a\n.\nb\r\n", "a\n.\nb\r\n", "bare LF"},
		"LF.CRLF is no end":     {"", "a\n.\r\nb\r\n", "a\n.\r\nb\r\n", "bare LF"},
		"CR.CRLF is no end":     {"", "a\r.\r\nb\r\n", "a\r.\r\nb\r\n", "bare CR"},
		"CRLF.CR is no end":     {"", "..\rb\r\n", ".\rb\r\n", "bare CR"},
		"dot that is not twice": {"", ".a\r\n", "a\r\n", `was not doubled: "a\r\n"`},
		"NUL":                   {"", "\x00\r\n", "\x00\r\n", "NUL in a message"},
		"8-bit":                 {"", "\xe4\r\n\xe4\r\n", "\xe4\r\n\xe4\r\n", "without BODY=8BITMIME"},
		"8-bit, announced":      {" BODY=8BITMIME", "\xe4\r\n", "\xe4\r\n", ""},
		"long line":             {"", strings.Repeat("x", 10_000) + "\r\n", strings.Repeat("x", 10_000) + "\r\n", ""},
	} {
		bubble(t, name, func(t *testing.T) {
			s := &Server{}
			defer s.Close()
			d := dial(t, s)
			d.hello()
			d.send("MAIL FROM:<a@x>"+tc.params, "RCPT TO:<b@x>", "DATA")
			d.want("250", "250", "354")
			io.WriteString(d.conn, tc.content+".\r\n")
			d.want("250")
			if got := s.Messages(); len(got) != 1 || string(got[0].Data) != tc.data {
				t.Errorf("data %q, want %q", got[0].Data, tc.data)
			}
			if tc.want == "" {
				wantViolations(t, s)
			} else {
				wantViolations(t, s, tc.want)
			}
		})
	}
}

// Without PIPELINING every reply has to be waited for, also where the bytes come
// in a Write of their own.
func TestViolationsOfTurn(t *testing.T) {
	script := func(d *dialogist, lines ...string) {
		for _, line := range lines {
			d.send(line)
		}
	}
	for name, tc := range map[string]struct {
		extensions []string
		client     func(d *dialogist)
		want       []string
	}{
		"MAIL before EHLO": {nil, func(d *dialogist) {
			d.want("220")
			d.ask("MAIL FROM:<a@x>", "503")
		}, []string{`MAIL before EHLO: "MAIL FROM:<a@x>"`}},
		"BDAT after a refused chunk": {[]string{"CHUNKING"}, func(d *dialogist) {
			d.hello()
			d.ask("MAIL FROM:<a@x>", "250")
			d.ask("BDAT 0", "503")
			d.ask("BDAT 0", "503")
		}, []string{"BDAT after a refused chunk"}},
		"second AUTH": {[]string{"AUTH PLAIN"}, func(d *dialogist) {
			d.hello()
			d.ask("AUTH PLAIN AGEAYg==", "235")
			d.ask("AUTH PLAIN AGEAYg==", "503")
		}, []string{"second AUTH"}},
		"before the greeting": {nil, func(d *dialogist) { script(d, "EHLO x") }, []string{`the greeting: sent "EHLO x\r\n"`}},
		"MAIL after MAIL's reply": {[]string{}, func(d *dialogist) {
			d.hello()
			d.ask("MAIL FROM:<a@x>", "250")
			d.ask("RCPT TO:<b@x>", "250")
			d.ask("DATA", "354")
			d.ask(".", "250")
			d.ask("MAIL FROM:<a@x>", "250")
		}, nil},
		"RCPT behind MAIL": {[]string{}, func(d *dialogist) {
			d.hello()
			script(d, "MAIL FROM:<a@x>", "RCPT TO:<b@x>")
		}, []string{`"MAIL FROM:<a@x>": sent "RCPT TO:<b@x>\r\n"`}},
		"QUIT behind the dot": {[]string{}, func(d *dialogist) {
			d.hello()
			d.ask("MAIL FROM:<a@x>", "250")
			d.ask("RCPT TO:<b@x>", "250")
			d.ask("DATA", "354")
			script(d, "hi", ".", "QUIT")
		}, []string{`the end of data: sent "QUIT\r\n"`}},
		"next message behind the dot": {nil, func(d *dialogist) {
			d.hello()
			d.send("MAIL FROM:<a@x>", "RCPT TO:<b@x>", "DATA")
			d.want("250", "250", "354")
			d.send("hi", ".", "MAIL FROM:<a@x>", "RCPT TO:<b@x>", "DATA")
			d.want("250", "250", "250", "354")
			d.send(".", "QUIT")
		}, nil},
		"after half of the reply": {nil, func(d *dialogist) {
			d.want("220")
			d.send("EHLO x")
			d.conn.Read(make([]byte, 10))
			d.send("MAIL FROM:<a@x>")
		}, []string{`"EHLO x": sent "MAIL FROM`}},
		"password before it is asked for": {[]string{"AUTH LOGIN"}, func(d *dialogist) {
			d.hello()
			script(d, "AUTH LOGIN", "YW5u")
		}, []string{`"AUTH LOGIN": sent "YW5u\r\n"`}},
	} {
		bubble(t, name, func(t *testing.T) {
			s := &Server{Extensions: tc.extensions, Wire: Wire{Window: 1 << 16}, Passwords: map[string]string{"a": "b"}}
			defer s.Close()
			tc.client(dial(t, s))
			synctest.Wait()
			wantViolations(t, s, tc.want...)
		})
	}
}

func TestRefusedGreeting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Script: at(Connect, Action{Reply: "554 no"})}
		defer s.Close()
		d := dial(t, s)
		d.want("554")
		d.ask("EHLO x", "503")
		d.ask("QUIT", "221")
		d.wantEnd(io.EOF)
	})
}

// A client cannot wait for a reply that should not be there.
func TestSurplusIsNotWaitedFor(t *testing.T) {
	for name, action := range map[string]Action{"twice": {Fault: Twice}, "raw": {Raw: []byte("250-a\r\n250 b\r\n250 more\r\n")},
		"drip": {Fault: Drip}} {
		bubble(t, name, func(t *testing.T) {
			s := &Server{Script: at("NOOP", action), Wire: Wire{Window: 1000, MaxRead: 1}}
			defer s.Close()
			d := dial(t, s)
			d.hello()
			d.ask("NOOP", "250")
			d.send("RSET")
			synctest.Wait()
			wantViolations(t, s)
		})
	}
}

// Records that a TLS connection reads ahead hide nothing.
func TestViolationsOfTurnInTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{ImplicitTLS: true, Wire: Wire{Window: 1 << 16}}
		defer s.Close()
		conn := tls.Client(dial(t, s).conn, &tls.Config{ServerName: "mx.example", RootCAs: s.Roots()})
		d := &dialogist{t, conn, textproto.NewConn(conn)}
		d.hello()
		d.send("NOOP")
		d.send("RSET")
		d.want("250", "250")
		d.send("VRFY a", "RSET")
		d.want("252", "250")
		d.ask("NOOP", "250")
		wantViolations(t, s, `"NOOP": sent "RSET\r\n"`, `"VRFY a": sent "RSET\r\n"`)
	})
}

// What a Script offers is what is offered.
func TestScriptedOffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Script: at("EHLO", Action{Reply: "250-mx\n250-size 10\n250 DSN"})}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.ask("MAIL FROM:<a@x> SIZE=11 RET=HDRS", "552 message")
		d.ask("STARTTLS", "503")
		wantViolations(t, s, "STARTTLS was not offered")
	})
}

// A Script can have the server take what it would refuse.
func TestScriptedAcceptance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Script: func(c Command) Action {
			switch c.Verb {
			case "RCPT":
				return Action{Reply: "251 ok"}
			case "DATA":
				return Action{Reply: "354 go"}
			}
			return Action{}
		}}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.ask("RCPT TO:<b@x>", "251")
		d.ask("DATA", "354")
		d.ask(".", "250")
		if got := s.Messages(); len(got) != 1 || len(got[0].To) != 1 {
			t.Errorf("messages: %v", got)
		}
		// A lone dot for nobody: RFC 2920, Section 3.2 (4).
		d.ask("DATA", "354")
		d.ask(".", "554")
	})
}

func TestXCLIENT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Extensions: []string{"XCLIENT NAME"}}
		defer s.Close()
		d := dial(t, s)
		d.hello()
		d.ask("XCLIENT NAME=other.example", "220 mx.example.net")
		d.ask("MAIL FROM:<a@x>", "503")
		wantViolations(t, s, "MAIL before EHLO")
	})
}

// HELO offers nothing.
func TestHELO(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{}
		defer s.Close()
		d := dial(t, s)
		d.want("220")
		d.ask("HELO client.example", "250 mx.example.net")
		d.ask("MAIL FROM:<a@x> SIZE=1", "555")
		wantViolations(t, s, "SIZE was not offered")
	})
}

func FuzzParsePath(f *testing.F) {
	for _, seed := range []string{"FROM:<a@x>", "FROM:<>", `FROM:<"a>b"@x> SIZE=1`, `FROM:<"\">"@x>`, "FROM:<", "from:<a@x> "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, args string) {
		path, params, ok := parsePath(args, "FROM:")
		if !ok {
			return
		}
		again := args[:len("FROM:")] + "<" + path + ">"
		if params != "" {
			again += " " + params
		}
		if again != args {
			t.Errorf("%q was read as %q", args, again)
		}
	})
}

// Whatever a client sends, a session ends when the client does, and what it
// recorded was really sent.
func FuzzServer(f *testing.F) {
	f.Add([]byte("EHLO x\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n..a\r\n.\r\nBDAT 3\r\nabcQUIT\r\n"))
	f.Add([]byte("EHLO x\r\nSTARTTLS\r\n\x16\x03\x01"))
	f.Add([]byte("EHLO x\r\nAUTH LOGIN\r\n*\r\nMAIL FROM:<>\r\nRCPT TO:<b@x>\r\nBDAT 1 LAST\r\nx"))
	f.Fuzz(func(t *testing.T, input []byte) {
		synctest.Test(t, func(t *testing.T) {
			s := &Server{Passwords: map[string]string{"a": "b"}, Wire: Wire{Window: 1 << 20}}
			defer s.Close()
			conn, err := s.DialContext(t.Context(), "tcp", "192.0.2.25:25")
			if err != nil {
				t.Fatal(err)
			}
			conn.Write(input)
			conn.(*Conn).CloseWrite()
			io.Copy(io.Discard, conn)
			for _, m := range s.Messages() {
				if len(m.Data) > len(input) || len(m.Replies) != 1 || m.Replies[0] == "" {
					t.Errorf("message %v of %q", m, input)
				}
			}
		})
	})
}
