//go:build unix

package observe

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// The test program is the sink, too: in a process of its own its CPU is not ours.
func TestMain(m *testing.M) {
	if os.Getenv("POSTRIDER_SINK") == "" {
		os.Exit(m.Run())
	}
	if err := sink(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// sink takes mail and forgets it: what it does itself, and the memory that it goes
// through, is as little as can be, since the two processes share a machine. It ends
// with its standard input.
func sink() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mx.example.net"}, NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go take(conn, config)
		}
	}()
	io.Copy(io.Discard, os.Stdin)
	return nil
}

const hello = "250-mx.example.net\r\n250-PIPELINING\r\n250-SIZE 10485760\r\n250-8BITMIME\r\n250-DSN\r\n250-STARTTLS\r\n250 ENHANCEDSTATUSCODES\r\n"

// take serves one connection.
func take(conn net.Conn, config *tls.Config) {
	defer func() { conn.Close() }()
	r, w := bufio.NewReaderSize(conn, 16<<10), bufio.NewWriter(conn)
	w.WriteString("220 mx.example.net ESMTP\r\n")
	offers := hello
	for {
		if r.Buffered() == 0 {
			w.Flush()
		}
		line, err := r.ReadSlice('\n')
		if err != nil || len(line) < 4 {
			return
		}
		switch string(line[:4]) {
		case "EHLO":
			w.WriteString(offers)
		case "STAR":
			w.WriteString("220 2.0.0 go ahead\r\n")
			w.Flush()
			conn = tls.Server(conn, config)
			r.Reset(conn)
			w.Reset(conn)
			offers = strings.Replace(hello, "250-STARTTLS\r\n", "", 1)
		case "DATA":
			w.WriteString("354 go ahead\r\n")
			w.Flush()
			for string(line) != ".\r\n" {
				if line, err = r.ReadSlice('\n'); err != nil {
					return
				}
			}
			w.WriteString("250 2.0.0 queued as 4F2C1\r\n")
		case "QUIT":
			w.WriteString("221 2.0.0 bye\r\n")
			w.Flush()
			return
		default:
			w.WriteString("250 2.1.0 ok\r\n")
		}
	}
}

// startSink gives the address of a sink.
func startSink(t testing.TB) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "POSTRIDER_SINK=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); cmd.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal("the sink did not start: ", err)
	}
	return strings.TrimSpace(line)
}
