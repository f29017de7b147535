package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	netsmtp "net/smtp"
	"os/exec"
	"strconv"
	"strings"

	gosmtp "github.com/emersion/go-smtp"
	moxdns "github.com/mjl-/mox/dns"
	mox "github.com/mjl-/mox/smtpclient"
	gomail "github.com/wneessen/go-mail/smtp"
	simplemail "github.com/xhit/go-simple-mail/v2"
)

// peers are the other libraries.
func peers() []sender {
	return []sender{
		{name: "net/smtp", slow: true, open: openNetSMTP},
		{name: "go-smtp", slow: true, open: openGoSMTP},
		{name: "go-mail", slow: true, open: openGoMail},
		{name: "go-simple-mail", slow: true, open: openSimpleMail},
		moxClient(),
	}
}

func moxClient() sender { return sender{name: "mox", open: openMox} }

func openNetSMTP(s *sink, encrypted bool) (session, error) {
	c, err := netsmtp.Dial(s.addr)
	if err != nil {
		return nil, err
	}
	if encrypted {
		err = c.StartTLS(s.tls())
	}
	return classic(c, func() { c.Quit() }), err
}

func openGoMail(s *sink, encrypted bool) (session, error) {
	c, err := gomail.Dial(s.addr)
	if err != nil {
		return nil, err
	}
	if encrypted {
		err = c.StartTLS(s.tls())
	}
	return classic(c, func() { c.Quit() }), err
}

// classic sends as net/smtp's documentation shows.
func classic(c interface {
	Mail(from string) error
	Rcpt(to string) error
	Data() (io.WriteCloser, error)
}, end func()) session {
	return each{func(l *letter) error {
		if err := c.Mail(l.from); err != nil {
			return err
		}
		for _, to := range l.to {
			if err := c.Rcpt(to); err != nil {
				return err
			}
		}
		w, err := c.Data()
		if err != nil {
			return err
		}
		if _, err := w.Write(l.body); err != nil {
			return err
		}
		return w.Close()
	}, end}
}

func openGoSMTP(s *sink, encrypted bool) (session, error) {
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		return nil, err
	}
	c := gosmtp.NewClient(conn)
	if encrypted {
		if c, err = gosmtp.NewClientStartTLS(conn, s.tls()); err != nil {
			return nil, err
		}
	}
	return each{func(l *letter) error { return c.SendMail(l.from, l.to, bytes.NewReader(l.body)) }, func() { c.Quit() }}, nil
}

func openSimpleMail(s *sink, encrypted bool) (session, error) {
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		return nil, err
	}
	server := simplemail.NewSMTPClient()
	server.Host, server.KeepAlive, server.Encryption = host, true, simplemail.EncryptionNone
	server.ConnectTimeout, server.SendTimeout = 0, 0 // no goroutine for each
	if server.Port, err = strconv.Atoi(port); err != nil {
		return nil, err
	}
	if encrypted {
		server.Encryption, server.TLSConfig = simplemail.EncryptionSTARTTLS, s.tls()
	}
	c, err := server.Connect()
	if err != nil {
		return nil, err
	}
	return each{func(l *letter) error { return simplemail.SendMessage(l.from, l.to, l.text, c) }, func() { c.Quit(); c.Close() }}, nil
}

func openMox(s *sink, encrypted bool) (session, error) {
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		return nil, err
	}
	mode := mox.TLSSkip
	if encrypted {
		mode = mox.TLSRequiredStartTLS
	}
	ctx := context.Background()
	quiet := slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError + 1}))
	c, err := mox.New(ctx, quiet, conn, mode, encrypted, moxdns.Domain{ASCII: "client.example"}, moxdns.Domain{ASCII: "sink.example"}, mox.Opts{RootCAs: s.roots})
	if err != nil {
		return nil, err
	}
	return each{func(l *letter) error {
		_, err := c.DeliverMultiple(ctx, l.from, l.to, int64(len(l.body)), bytes.NewReader(l.body), false, false, false)
		return err
	}, func() { c.Close() }}, nil
}

// smtpSource is Postfix's generator of test mail, a program in C that has the
// message ready in memory. A turn has its start in it.
func smtpSource(sessions int) sender {
	return sender{name: "smtp-source", all: true, children: true, open: func(s *sink, encrypted bool) (session, error) {
		if encrypted {
			return nil, errors.New("it has no TLS")
		}
		path, err := postfixProgram("smtp-source")
		return source{path, s.addr, sessions}, err
	}}
}

type source struct {
	path, addr string
	sessions   int
}

func (c source) stream(n int, l *letter) error {
	out, err := exec.Command(c.path, "-4", "-d", "-s", fmt.Sprint(min(n, c.sessions)), "-m", fmt.Sprint(n), "-r", fmt.Sprint(len(l.to)),
		"-f", l.from, "-t", l.to[0], "-F", l.lines, c.addr).CombinedOutput()
	if text := strings.TrimSpace(string(out)); err == nil && text != "" {
		err = errors.New(text)
	}
	return err
}

func (c source) close() {}
