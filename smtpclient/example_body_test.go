package smtpclient_test

import (
	"bytes"
	"context"
	"fmt"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// Binary content travels as it is, without base64: no line end is repaired, and
// NUL is a byte like any other. It goes by BDAT, and only to servers that offer
// BINARYMIME and CHUNKING.
func ExampleBody() {
	server := &smtptest.Server{Extensions: []string{"8BITMIME", "BINARYMIME", "CHUNKING"}}
	defer server.Close()
	client := &smtpclient.Client{
		LocalName: "mail.example.org",
		NextHops:  []string{"[192.0.2.25]"},
		Dialer:    &smtpclient.Dialer{DialContext: server.DialContext},
	}

	message := []byte("MIME-Version: 1.0\r\n" +
		"Content-Type: application/octet-stream\r\n" +
		"Content-Transfer-Encoding: binary\r\n" +
		"\r\n" +
		"\x00\xff\n\r.")
	_, err := client.Deliver(context.Background(), smtpclient.Envelope{
		From: "ann@example.org",
		To:   smtpclient.To("bob@example.net"),
		Body: smtpclient.BodyBinary,
	}, smtpclient.Bytes(message))
	if err != nil {
		fmt.Println(err)
		return
	}
	got := server.Messages()[0]
	fmt.Println("in chunks:", got.BDAT, "parameters:", got.FromArgs)
	fmt.Println("the same bytes:", bytes.Equal(got.Data, message))
	// Output:
	// in chunks: true parameters: BODY=BINARYMIME
	// the same bytes: true
}
