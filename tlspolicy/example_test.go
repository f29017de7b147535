package tlspolicy_test

import (
	"context"
	"fmt"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// At level encrypt a server without STARTTLS gets nothing; at level may it gets
// the message in plaintext.
func ExampleLevel() {
	server := &smtptest.Server{Extensions: []string{"PIPELINING"}}
	defer server.Close()

	for _, level := range []tlspolicy.Level{tlspolicy.May, tlspolicy.Encrypt} {
		client := &smtpclient.Client{
			LocalName: "mail.example.org",
			NextHops:  []string{"[192.0.2.25]"},
			TLS:       level,
			Dialer:    &smtpclient.Dialer{DialContext: server.DialContext},
		}
		report, _ := client.Deliver(context.Background(), smtpclient.Envelope{
			From: "ann@example.org",
			To:   smtpclient.To("bob@example.net"),
		}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello Bob.\r\n")))
		bob := report.Outcomes[0]
		fmt.Println(level, bob.Status, bob.Stage, bob.TLS.Reached)
	}
	// Output:
	// may delivered data-done none
	// encrypt deferred starttls none
}

// A Source of one's own decides for each host, here by its name.
func ExampleSource() {
	var source tlspolicy.Source = byHost{"mx.example.net": tlspolicy.Encrypt}

	for _, host := range []string{"mx.example.net", "mx.example.com"} {
		query := tlspolicy.Query{}
		query.Host.Name = host
		policy, err := source.Decide(context.Background(), query)
		fmt.Println(host, policy.Level, err)
	}
	// Output:
	// mx.example.net encrypt <nil>
	// mx.example.com may <nil>
}

// byHost is level may but for the hosts it names.
type byHost map[string]tlspolicy.Level

func (b byHost) Decide(_ context.Context, q tlspolicy.Query) (tlspolicy.Policy, error) {
	if level, ok := b[q.Host.Name]; ok {
		return tlspolicy.Policy{Level: level}, nil
	}
	return tlspolicy.Policy{Level: tlspolicy.May}, nil
}

func ExampleParseLevel() {
	for _, name := range []string{"encrypt", "dane", "strict"} {
		level, err := tlspolicy.ParseLevel(name)
		fmt.Printf("%q %v\n", level, err)
	}
	// Output:
	// "encrypt" <nil>
	// "dane" <nil>
	// "" unknown TLS level "strict"; use none, may, encrypt, fingerprint, dane, dane-only, verify or secure
}
