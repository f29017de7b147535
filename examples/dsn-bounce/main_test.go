package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{
		"bob@example.net: failed (failed), we owe the sender \"FAILURE\"\n",
		"carol@example.net: delivered (relayed), we owe the sender \"\"\n",
		"a notice from <> to ann@example.org\n",
		"Original-Envelope-Id: order-4711\r\n",
		"Final-Recipient: rfc822; bob@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\n",
		"Content-Type: text/rfc822-headers\r\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(out.String(), "Hello.\r\n") {
		t.Error("the notice has the body of the message, and only its header was asked for")
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

// A notice that fails makes no other: mail would go round for ever.
func TestNoNoticeAboutNotices(t *testing.T) {
	server := &smtptest.Server{Script: refuseBob}
	defer server.Close()
	client := &smtpclient.Client{NextHops: []string{"[192.0.2.25]"}, Dialer: &smtpclient.Dialer{DialContext: server.DialContext}}
	err := deliver(context.Background(), client, smtpclient.Envelope{
		From: "<>",
		To:   []smtpclient.Recipient{{Address: "bob@example.net"}},
	}, smtpclient.Bytes([]byte(message)), new(bytes.Buffer))
	if err != nil || len(server.Messages()) != 0 {
		t.Errorf("%v, %d messages", err, len(server.Messages()))
	}
}
