package interop

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
)

// goStore is a backend of go-smtp that speaks LMTP: nobody@ does not exist, full@
// is full, everybody else takes the mail.
type goStore struct{ to []string }

func newGoStore(t *testing.T) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &goStore{}, nil }))
	server.LMTP = true
	server.Domain = "store.example.test"
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return listener.Addr().String()
}

func (s *goStore) Mail(string, *smtp.MailOptions) error { return nil }

func (s *goStore) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "nobody@") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}
	s.to = append(s.to, to)
	return nil
}

func (s *goStore) Data(r io.Reader) error { return nil }

func (s *goStore) LMTPData(r io.Reader, status smtp.StatusCollector) error {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	for _, to := range s.to {
		var verdict error
		if strings.HasPrefix(to, "full@") {
			verdict = &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 2, 2}, Message: "mailbox is full"}
		}
		status.SetStatus(to, verdict)
	}
	return nil
}

func (s *goStore) Reset()        { s.to = nil }
func (s *goStore) Logout() error { return nil }
