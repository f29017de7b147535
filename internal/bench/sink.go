package main

import (
	"bufio"
	"bytes"
	"context"
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
	"strings"
	"syscall"
	"time"
)

// sink is a server that takes everything and keeps nothing.
type sink struct {
	addr         string
	narrow, wide string // where it can be told to hold sessions; narrow takes in little of what it has not read
	roots        *x509.CertPool
}

// at is the sink by another way.
func (s *sink) at(addr string) *sink { return &sink{addr, s.narrow, s.wide, s.roots} }

// readSink reads what playSink prints.
func readSink(r *bufio.Reader) (*sink, error) {
	all, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	lines := strings.SplitN(string(all), "\n", 4)
	if len(lines) < 4 {
		return nil, fmt.Errorf("the sink did not start: %q", all)
	}
	s := &sink{addr: lines[0], narrow: lines[1], wide: lines[2], roots: x509.NewCertPool()}
	s.roots.AppendCertsFromPEM([]byte(lines[3]))
	return s, nil
}

// addresses of the sink, all with one port.
const addresses = 8

// playSink is the process of a sink: it prints its addresses and certificate.
func playSink(ended <-chan struct{}) error {
	cert, text, err := certificate()
	if err != nil {
		return err
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	port := first.Addr().(*net.TCPAddr).Port
	fast := service{config: config, in: 256 << 10, out: 64 << 10}
	holding := service{config: config, in: 4 << 10, out: 512, hold: newHolder()}
	go fast.accept(first)
	for i := 2; i <= addresses; i++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.%d:%d", i, port))
		if err != nil {
			return err
		}
		go fast.accept(l)
	}
	var doors []string
	for _, window := range []func(_, _ string, c syscall.RawConn) error{smallWindow, nil} {
		l, err := (&net.ListenConfig{Control: window}).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		go holding.accept(l)
		doors = append(doors, l.Addr().String())
	}
	fmt.Printf("%s\n%s\n%s", first.Addr(), strings.Join(doors, "\n"), text)
	os.Stdout.Close()
	<-ended
	return nil
}

// smallWindow keeps a body that is not read from fitting into the kernel's buffers.
func smallWindow(_, _ string, c syscall.RawConn) (err error) {
	if failed := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10) }); failed != nil {
		return failed
	}
	return err
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
