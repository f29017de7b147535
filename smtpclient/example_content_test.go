package smtpclient_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// A message in a file is read a piece at a time, whatever its size. Scan shows what
// is in it.
func ExampleFile() {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	name := filepath.Join(folder, "message.eml")
	if err := os.WriteFile(name, []byte("Subject: hello\n\nHello.\n"), 0o600); err != nil {
		fmt.Println(err)
		return
	}

	server := &smtptest.Server{}
	defer server.Close()
	client := exampleClient(server)
	_, err = client.Deliver(context.Background(), smtpclient.Envelope{
		From: "ann@example.org",
		To:   smtpclient.To("bob@example.net"),
	}, smtpclient.File(name))
	fmt.Printf("%q %v\n", server.Messages()[0].Data, err)
	// Output:
	// "Subject: hello\r\n\r\nHello.\r\n" <nil>
}

// Before a message goes into a queue, a look at it tells what it will need.
func ExampleScan() {
	message := "Subject: hello\r\n\r\nGr\u00fc\u00dfe, " + strings.Repeat("x", 1000) + "\r\n"
	scanned, err := smtpclient.Scan(context.Background(), smtpclient.Bytes([]byte(message)))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("8-bit:", scanned.EightBit, "in the header:", scanned.HeaderUTF8)
	fmt.Println("longest line:", scanned.LongestLine, "size:", scanned.WireSize)
	// Output:
	// 8-bit: true in the header: false
	// longest line: 1009 size: 1029
}

// A list server scans a message once, and gives every copy header lines of its own.
func ExampleEnvelope_header() {
	server := &smtptest.Server{}
	defer server.Close()
	client := exampleClient(server)

	message, err := smtpclient.Scan(context.Background(), smtpclient.Bytes([]byte("Subject: news\r\n\r\nNews.\r\n")))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, member := range []string{"bob@example.net", "carol@example.net"} {
		_, err := client.Deliver(context.Background(), smtpclient.Envelope{
			From:   "list-bounces@example.org",
			To:     smtpclient.To(member),
			Header: "List-Unsubscribe: <https://lists.example.org/leave?" + member + ">\r\n",
		}, message)
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	for _, m := range server.Messages() {
		line, _, _ := strings.Cut(string(m.Data), "\r\n")
		fmt.Println(line)
	}
	// Output:
	// List-Unsubscribe: <https://lists.example.org/leave?bob@example.net>
	// List-Unsubscribe: <https://lists.example.org/leave?carol@example.net>
}

// A server without 8BITMIME gets 8-bit content converted; the report says so. A
// sender who wants no message to be changed has it refused.
func ExampleContentRules() {
	server := &smtptest.Server{Extensions: []string{"PIPELINING"}}
	defer server.Close()
	client := exampleClient(server)

	envelope := smtpclient.Envelope{From: "ann@example.org", To: smtpclient.To("bob@example.net")}
	message := smtpclient.Bytes([]byte("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n" +
		"Content-Transfer-Encoding: 8bit\r\n\r\nGr\u00fc\u00dfe\r\n"))
	report, err := client.Deliver(context.Background(), envelope, message)
	fmt.Println(err, report.Outcomes[0].Notes)
	fmt.Print(strings.ReplaceAll(string(server.Messages()[0].Data), "\r\n", "\n"))

	client.Dialer.Rules.EightBit = smtpclient.Refuse
	_, err = client.Deliver(context.Background(), envelope, message)
	fmt.Println(err)
	// Output:
	// <nil> [8-bit content was converted to 7-bit: the server does not offer 8BITMIME]
	// MIME-Version: 1.0
	// Content-Type: text/plain; charset=utf-8
	// Content-Transfer-Encoding: quoted-printable
	//
	// Gr=C3=BC=C3=9Fe
	// smtp 192.0.2.25 mail: the message is 8-bit, but the server does not offer 8BITMIME
}

// exampleClient sends everything to one server.
func exampleClient(server *smtptest.Server) *smtpclient.Client {
	return &smtpclient.Client{
		LocalName: "mail.example.org",
		NextHops:  []string{"[192.0.2.25]"},
		Dialer:    &smtpclient.Dialer{DialContext: server.DialContext},
	}
}
