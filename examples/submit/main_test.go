package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/eavesdrop"
	"github.com/postrider/postrider/resolve/dnstest"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// Started without arguments it finds a server with TLS from the first byte.
func TestDemo(t *testing.T) {
	var out bytes.Buffer
	if err := (submission{out: &out}).run(t.Context(), "", nil); err != nil {
		t.Fatal(err)
	}
	noSecret(t, out.String())
	if got := out.String(); !strings.Contains(got, "bob@example.net: delivered, smtp.example.org") || !strings.Contains(got, "as ann@example.org") {
		t.Errorf("output %q", got)
	}
}

// noSecret looks for the password in what the program says.
func noSecret(t *testing.T, text string) {
	t.Helper()
	if eavesdrop.New(demoPassword).Check(text) {
		t.Errorf("the password is told: %s", text)
	}
}

// Where only the other service is there, TLS comes by STARTTLS.
func TestSTARTTLS(t *testing.T) {
	server := &smtptest.Server{}
	if err := (submission{out: new(bytes.Buffer)}).demo(t.Context(), server, "_submission._tcp"); err != nil {
		t.Fatal(err)
	}
	if m := server.Messages(); len(m) != 1 || m[0].Login != "ann@example.org" || m[0].TLS == nil {
		t.Errorf("the server got %+v", m)
	}
}

// The password goes to no server that cannot prove its name, and to none without
// TLS.
func TestNoPasswordForStrangers(t *testing.T) {
	for name, server := range map[string]*smtptest.Server{
		"another name": {Certificate: smtptest.Certificate{Names: []string{"mx.example.com"}}},
		"no TLS":       {Extensions: []string{"PIPELINING", "AUTH PLAIN"}},
	} {
		out := new(bytes.Buffer)
		err := submission{out: out}.demo(t.Context(), server, "_submission._tcp")
		if err == nil {
			t.Fatalf("%s: delivered", name)
		}
		noSecret(t, out.String()+err.Error())
		for _, c := range server.Transcript(0) {
			if c.FromClient && bytes.Contains(c.Data, []byte("AUTH")) {
				t.Errorf("%s: the server heard %q", name, c.Data)
			}
		}
	}
}

// A domain without either service has no place to submit to, and the name of a
// server elsewhere has to be trusted by a person.
func TestNoServer(t *testing.T) {
	out := new(bytes.Buffer)
	if err := (submission{out: out}).demo(t.Context(), &smtptest.Server{}, "_imaps._tcp"); err == nil || !strings.Contains(err.Error(), "no SRV record") {
		t.Errorf("no service: %v", err)
	}
	names := &dnstest.Server{Zones: []dnstest.Zone{
		{Text: "$ORIGIN example.org.\n_submission._tcp SRV 0 1 587 mx.example.com.\n"},
		{Text: "$ORIGIN example.com.\nmx A 127.0.0.1\n"},
	}}
	defer names.Close()
	dns, err := names.Listen("udp+tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := submission{dns: dns.String(), local: true}
	if _, err := s.client(t.Context(), "example.org"); err == nil || !strings.Contains(err.Error(), "-trust") {
		t.Errorf("a server elsewhere: %v", err)
	}
	s.trust = true
	if c, err := s.client(t.Context(), "example.org"); err != nil || c.NextHops[0] != "[mx.example.com]:587" {
		t.Errorf("a server elsewhere that is trusted: %v, %v", c, err)
	}
	for _, args := range [][]string{{"ann@example.org"}, {"ann@example.org", "bob@example.net"}} {
		if err := (submission{out: out}).run(t.Context(), "", args); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
