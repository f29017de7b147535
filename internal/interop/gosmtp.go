package interop

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// GoSMTP is the server of github.com/emersion/go-smtp, in this process: the one
// there is with BINARYMIME, REQUIRETLS, RRVS, DELIVERBY and MT-PRIORITY.
type GoSMTP struct {
	Addr  string
	Name  string
	Roots *x509.CertPool // by which it can be verified

	mechanisms []string // of AUTH; nil: none

	server *smtp.Server
	served chan struct{} // closed when the server has ended

	mu    sync.Mutex // guards taken
	taken []Taken
}

// Taken is a message with all that the server was told of it.
type Taken struct {
	From    string
	Mail    smtp.MailOptions
	To      []string
	Rcpt    []smtp.RcptOptions
	Content []byte
}

// StartGoSMTP starts a server on a free port of 127.0.0.1.
func StartGoSMTP() (*GoSMTP, error) { return StartGoSMTPWith(nil) }

// StartGoSMTPWith starts a server that offers mechanisms of AUTH, for the Account.
func StartGoSMTPWith(mechanisms []string) (*GoSMTP, error) {
	g := &GoSMTP{Name: "mx.example.test", Roots: x509.NewCertPool(), mechanisms: mechanisms, served: make(chan struct{})}
	certificate, err := g.certificate()
	if err != nil {
		return nil, err
	}
	port, err := FreePort("127.0.0.1", Watched)
	if err != nil {
		return nil, err
	}
	g.Addr = hostPort("127.0.0.1", port)
	listener, err := net.Listen("tcp", g.Addr)
	if err != nil {
		return nil, err
	}
	s := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &goSession{server: g, conn: c}, nil }))
	s.Domain = g.Name
	s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
	s.ReadTimeout = time.Minute
	s.MaxLineLength = 0 // else it breaks off binary chunks without line ends, too
	s.EnableSMTPUTF8, s.EnableREQUIRETLS, s.EnableBINARYMIME, s.EnableDSN = true, true, true, true
	s.EnableRRVS, s.EnableDELIVERBY, s.EnableMTPRIORITY = true, true, true
	s.AllowInsecureAuth = true // it is the client that has to know better
	s.MinimumDeliverByTime = time.Minute
	g.server = s
	go func() {
		defer close(g.served)
		s.Serve(listener)
	}()
	return g, nil
}

// Close ends the server and its connections.
func (g *GoSMTP) Close() {
	g.server.Close()
	<-g.served
}

// Taken gives the messages so far.
func (g *GoSMTP) Taken() []Taken {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.taken
}

func (g *GoSMTP) certificate() (tls.Certificate, error) {
	dir, err := newDir("go")
	if err != nil {
		return tls.Certificate{}, err
	}
	defer os.RemoveAll(dir)
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := writeCertificate(g.Name, certFile, keyFile); err != nil {
		return tls.Certificate{}, err
	}
	certificate, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err == nil {
		g.Roots.AddCert(certificate.Leaf)
	}
	return certificate, err
}

// goSession notes one transaction after the other.
type goSession struct {
	server *GoSMTP
	conn   *smtp.Conn
	now    Taken
}

func (s *goSession) Reset()        { s.now = Taken{} }
func (s *goSession) Logout() error { return nil }

func (s *goSession) Mail(from string, opts *smtp.MailOptions) error {
	s.now = Taken{From: from, Mail: *opts}
	return nil
}

func (s *goSession) Rcpt(to string, opts *smtp.RcptOptions) error {
	s.now.To = append(s.now.To, to)
	s.now.Rcpt = append(s.now.Rcpt, *opts)
	return nil
}

func (s *goSession) Data(r io.Reader) error {
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.now.Content = content
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.taken = append(s.server.taken, s.now)
	return nil
}

// MoveToRcpt passes one plaintext transaction on, but takes BY and MT-PRIORITY away
// from MAIL and puts them behind each RCPT, which is where go-smtp 0.25.1 looks for
// them. RFC 2852, Section 4 and RFC 6710, Section 3 have them at MAIL.
func MoveToRcpt(server string) func(net.Conn) {
	return func(client net.Conn) {
		between(client, server, func(backend net.Conn) { moveToRcpt(client, backend) }, io.Copy)
	}
}

func moveToRcpt(client io.Reader, backend io.Writer) {
	lines := bufio.NewReader(client)
	moved := ""
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		words := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "MAIL "):
			var kept []string
			for _, w := range words {
				if strings.HasPrefix(w, "BY=") || strings.HasPrefix(w, "MT-PRIORITY=") {
					moved += " " + w
				} else {
					kept = append(kept, w)
				}
			}
			line = strings.Join(kept, " ") + "\r\n"
		case strings.HasPrefix(line, "RCPT "):
			line = strings.TrimSuffix(line, "\r\n") + moved + "\r\n"
		}
		if _, err := io.WriteString(backend, line); err != nil {
			return
		}
		if line == "DATA\r\n" {
			lines.WriteTo(backend)
			return
		}
	}
}
