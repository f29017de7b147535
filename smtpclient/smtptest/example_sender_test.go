package smtptest_test

import (
	"fmt"
	"net/smtp"

	"github.com/postrider/postrider/smtpclient/smtptest"
)

// A program that sends mail with net/smtp is tested in ten lines: the server
// takes what comes, and says what it got.
func Example() {
	server := &smtptest.Server{Extensions: []string{"8BITMIME"}}
	defer server.Close()
	addr, err := server.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	err = smtp.SendMail(addr.String(), nil, "ann@client.example", []string{"bob@example.net"}, []byte("Subject: lunch\r\n\r\nNoon?\r\n"))
	m := server.Messages()[0]
	fmt.Printf("%v: from %s to %s: %q\n", err, m.From, m.To, m.Data)
	fmt.Println("violations:", server.Violations())
	// Output:
	// <nil>: from ann@client.example to [bob@example.net]: "Subject: lunch\r\n\r\nNoon?\r\n"
	// violations: []
}
