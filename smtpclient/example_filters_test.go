package smtpclient_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// What only concerns us stays here: internal addresses become those that the
// world knows, and a field of the header does not go out.
func ExampleFilters() {
	server := &smtptest.Server{}
	defer server.Close()
	outside := map[string]string{"ann@desk7.internal.example.org": "ann@example.org"}
	client := &smtpclient.Client{
		LocalName: "mail.example.org",
		NextHops:  []string{"[192.0.2.25]"},
		Dialer: &smtpclient.Dialer{
			DialContext: server.DialContext,
			Filters: &smtpclient.Filters{
				Address: func(address string) string { return outside[address] },
				Header: func(f smtpclient.HeaderField) smtpclient.Check {
					if strings.HasPrefix(f.Text, "X-Ticket:") {
						return smtpclient.Check{Action: smtpclient.CheckStrip, Text: "internal"}
					}
					return smtpclient.Check{}
				},
			},
		},
	}

	message := "From: Ann <ann@desk7.internal.example.org>\r\nX-Ticket: 42\r\nSubject: hello\r\n\r\nHello.\r\n"
	report, err := client.Deliver(context.Background(), smtpclient.Envelope{
		From: "ann@desk7.internal.example.org",
		To:   smtpclient.To("bob@example.net"),
	}, smtpclient.Bytes([]byte(message)))
	if err != nil {
		fmt.Println(err)
		return
	}
	got := server.Messages()[0]
	fmt.Println(got.From)
	header, _, _ := strings.Cut(string(got.Data), "\r\n\r\n")
	fmt.Println(strings.ReplaceAll(header, "\r\n", "\n"))
	fmt.Println(report.Outcomes[0].Notes[0])
	// Output:
	// ann@example.org
	// From: Ann <ann@example.org>
	// Subject: hello
	// taken out: internal: "X-Ticket: 42"
}
