package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// sink is a server that takes everything and keeps nothing.
type sink struct {
	addr  string
	roots *x509.CertPool
	proc  *exec.Cmd
	stdin io.Closer
}

// startSink runs this program as a sink.
func startSink() (*sink, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-sink")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe() // the sink ends with us
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := bufio.NewReader(stdout)
	addr, err := r.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("the sink did not start: %w", err)
	}
	cert, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	s := &sink{addr: strings.TrimSpace(addr), roots: x509.NewCertPool(), proc: cmd, stdin: stdin}
	s.roots.AppendCertsFromPEM(cert)
	return s, nil
}

func (s *sink) stop() {
	s.stdin.Close()
	s.proc.Wait()
}

// serveSink is the process of a sink: it prints its address and certificate, and
// ends with its standard input.
func serveSink() error {
	cert, text, err := certificate()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("%s\n%s", l.Addr(), text)
	os.Stdout.Close()
	go func() {
		io.Copy(io.Discard, os.Stdin)
		l.Close()
	}()
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	for {
		conn, err := l.Accept()
		if err != nil {
			return nil
		}
		go serve(conn, config)
	}
}

func certificate() (cert tls.Certificate, text []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return cert, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sink.example"}, DNSNames: []string{"sink.example", "localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return cert, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// serve speaks as much SMTP as the senders need.
func serve(conn net.Conn, config *tls.Config) {
	defer func() { conn.Close() }()
	r, w := bufio.NewReaderSize(conn, 256<<10), bufio.NewWriterSize(conn, 64<<10)
	w.WriteString("220 sink.example ESMTP\r\n")
	for {
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
		line, err := r.ReadSlice('\n')
		if err != nil || len(line) < 6 {
			return
		}
		switch verb := string(bytes.ToUpper(line[:4])); verb {
		case "EHLO":
			w.WriteString("250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n")
			if _, ok := conn.(*tls.Conn); !ok {
				w.WriteString("250-STARTTLS\r\n")
			}
			w.WriteString("250 CHUNKING\r\n")
		case "STAR":
			w.WriteString("220 2.0.0 go\r\n")
			w.Flush()
			conn = tls.Server(conn, config)
			r.Reset(conn)
			w.Reset(conn)
		case "DATA":
			w.WriteString("354 go ahead\r\n")
			if w.Flush() != nil || skipToDot(r) != nil {
				return
			}
			w.WriteString("250 2.0.0 taken\r\n")
		case "BDAT":
			n, _, _ := strings.Cut(strings.TrimSpace(string(line[5:])), " ")
			size, err := strconv.Atoi(n)
			if err != nil {
				return
			}
			if _, err := r.Discard(size); err != nil {
				return
			}
			w.WriteString("250 2.0.0 taken\r\n")
		case "QUIT":
			w.WriteString("221 2.0.0 bye\r\n")
			w.Flush()
			return
		case "MAIL", "RCPT", "RSET", "NOOP":
			w.WriteString("250 2.0.0 ok\r\n")
		default:
			w.WriteString("500 5.5.1 what?\r\n")
		}
	}
}

var endOfData = []byte("\r\n.\r\n")

// skipToDot reads up to the end of the data, block by block.
func skipToDot(r *bufio.Reader) error {
	tail := []byte("\r\n") // a dot may come first
	for {
		if _, err := r.Peek(1); err != nil {
			return err
		}
		block, _ := r.Peek(r.Buffered())
		seam := append(tail, block[:min(len(block), len(endOfData))]...)
		if i := bytes.Index(seam, endOfData); i >= 0 && i < len(tail) {
			r.Discard(i + len(endOfData) - len(tail))
			return nil
		}
		if i := bytes.Index(block, endOfData); i >= 0 {
			r.Discard(i + len(endOfData))
			return nil
		}
		all := append(tail, block...)
		tail = bytes.Clone(all[max(0, len(all)-len(endOfData)+1):])
		r.Discard(len(block))
	}
}
