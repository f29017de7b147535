package smtptest_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/textproto"
	"strings"

	"github.com/postrider/postrider/smtpclient/smtptest"
)

// say is a client for the examples: it sends the lines and prints them and
// the replies, of which header and body get none.
func say(conn net.Conn, lines ...string) {
	text := textproto.NewConn(conn)
	reply := func() {
		line, err := text.ReadLine()
		if err != nil {
			line = err.Error()
		}
		fmt.Println("S:", line)
	}
	reply()
	for _, line := range lines {
		fmt.Println(strings.TrimSpace("C: " + line))
		if err := text.PrintfLine("%s", line); err != nil {
			log.Fatal(err)
		}
		if line == "" || strings.HasPrefix(line, "Subject:") {
			continue
		}
		reply()
	}
}

// A server that turns everybody away the first time, as greylisting does.
func ExampleServer_greylisting() {
	seen := map[string]bool{} // one session at a time in this test
	server := &smtptest.Server{
		Extensions: []string{},
		Script: func(c smtptest.Command) smtptest.Action {
			if c.Verb != "RCPT" || seen[c.Args] {
				return smtptest.Action{}
			}
			seen[c.Args] = true
			return smtptest.Action{Reply: "451 4.7.1 come back later"}
		},
	}
	defer server.Close()
	conn, err := server.DialContext(context.Background(), "tcp", "mx.example.net:25")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	say(conn, "EHLO client.example", "MAIL FROM:<ann@client.example>", "RCPT TO:<bob@example.net>", "RCPT TO:<bob@example.net>", "QUIT")
	fmt.Println("refused:", server.Refused()[0].Path)
	fmt.Println("violations:", len(server.Violations()))
	// Output:
	// S: 220 mx.example.net ESMTP
	// C: EHLO client.example
	// S: 250 mx.example.net
	// C: MAIL FROM:<ann@client.example>
	// S: 250 ok
	// C: RCPT TO:<bob@example.net>
	// S: 451 4.7.1 come back later
	// C: RCPT TO:<bob@example.net>
	// S: 250 ok
	// C: QUIT
	// S: 221 bye
	// refused: bob@example.net
	// violations: 0
}

// A server that takes the message and is gone before it says so: the client
// cannot know, and must not say that it failed.
func ExampleServer_droppedReply() {
	server := &smtptest.Server{
		Extensions: []string{},
		Script: func(c smtptest.Command) smtptest.Action {
			if c.Verb == smtptest.EndOfData {
				return smtptest.Action{Fault: smtptest.Drop}
			}
			return smtptest.Action{}
		},
	}
	defer server.Close()
	conn, err := server.DialContext(context.Background(), "tcp", "mx.example.net:25")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	say(conn, "EHLO client.example", "MAIL FROM:<ann@client.example>", "RCPT TO:<bob@example.net>", "DATA",
		"Subject: lunch", "", ".")
	m := server.Messages()[0]
	fmt.Printf("the server has %q for %v and answered %q\n", m.Data, m.To, m.Replies[0])
	// Output:
	// S: 220 mx.example.net ESMTP
	// C: EHLO client.example
	// S: 250 mx.example.net
	// C: MAIL FROM:<ann@client.example>
	// S: 250 ok
	// C: RCPT TO:<bob@example.net>
	// S: 250 ok
	// C: DATA
	// S: 354 go ahead
	// C: Subject: lunch
	// C:
	// C: .
	// S: EOF
	// the server has "Subject: lunch\r\n\r\n" for [bob@example.net] and answered ""
}

// A conversation from a file, which this client does not keep to.
func ExampleDialogue() {
	dialogue, err := smtptest.ParseDialogue([]byte(`
# The server does not know EHLO; the client falls back to HELO.
# RFC 5321, Section 3.2.
-- session --
S: 220 old.example ready
C: EHLO client.example
S: 500 what?
C: HELO client.example
S: 250 old.example
-- report --
no extensions
`))
	if err != nil {
		log.Fatal(err)
	}
	conn, err := dialogue.DialContext(context.Background(), "tcp", "old.example:25")
	if err != nil {
		log.Fatal(err)
	}
	say(conn, "EHLO client.example", "QUIT")
	conn.Close()
	fmt.Println(dialogue.Close())
	// Output:
	// S: 220 old.example ready
	// C: EHLO client.example
	// S: 500 what?
	// C: QUIT
	// S: EOF
	// dialogue: line 8: want "C: HELO client.example", got "QUIT\r\n"
}
