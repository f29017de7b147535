package lmtp_test

import (
	"context"
	"io"
	"testing"

	"github.com/postrider/postrider/internal/oracle"
	"github.com/postrider/postrider/lmtp"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// heldClient enters each delivery into books, which are held against what the servers
// have recorded.
type heldClient struct {
	*lmtp.Client
	books *oracle.Books
}

// hold gives a client whose books are closed with the test.
func hold(t *testing.T, c *lmtp.Client, servers ...*smtptest.Server) *heldClient {
	books := &oracle.Books{}
	t.Cleanup(func() {
		for _, s := range servers {
			s.Close()
		}
		books.Check(t, servers...)
	})
	return &heldClient{c, books}
}

func (c *heldClient) Deliver(ctx context.Context, env smtpclient.Envelope, content smtpclient.Content) (smtpclient.Report, error) {
	r, err := content.Open()
	if err != nil {
		return smtpclient.Report{}, err
	}
	text, _ := io.ReadAll(r)
	return c.books.Hold(env, text, func() (smtpclient.Report, error) { return c.Client.Deliver(ctx, env, content) })
}
