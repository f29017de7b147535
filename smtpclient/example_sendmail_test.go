package smtpclient_test

import (
	"fmt"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// A program that calls net/smtp needs only another import.
func ExampleSendMail() {
	server := &smtptest.Server{}
	defer server.Close()
	addr, err := server.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	err = smtpclient.SendMail(addr.String(), nil, "ann@example.org", []string{"bob@example.net"},
		[]byte("Subject: Hello\r\n\r\nHello.\r\n"))
	fmt.Println(err, server.Messages()[0].TLS != nil)
	// Output: <nil> true
}
