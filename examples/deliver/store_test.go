package main

import (
	"net"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient/smtptest"
)

// newStore is an LMTP server on a socket and on a port of loopback, and the flags
// that everybody needs.
func newStore(t *testing.T) (store *smtptest.Server, socket, port string) {
	t.Helper()
	store = &smtptest.Server{Mode: smtptest.LMTP, Script: func(c smtptest.Command) smtptest.Action {
		if c.Verb == smtptest.EndOfData && c.Args == "full@example.net" {
			return smtptest.Action{Reply: "452 4.2.2 mailbox is full"}
		}
		return smtptest.Action{}
	}}
	socket = t.TempDir() + "/lmtp"
	if _, err := store.Listen("unix", socket); err != nil {
		t.Fatal(err)
	}
	addr, err := store.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(addr.String())
	t.Cleanup(func() {
		store.Close()
		for _, v := range store.Violations() {
			t.Error(v)
		}
	})
	return store, socket, port
}

func TestLMTP(t *testing.T) {
	store, socket, port := newStore(t)
	for i, tt := range []struct{ flags, addr, action string }{
		{"-nexthop unix:" + socket, "unix:" + socket, "relayed"},
		{"-final -nexthop unix:" + socket, "unix:" + socket, "delivered"},
		{"-final -nexthop inet:127.0.0.1:" + port, "127.0.0.1:" + port, "delivered"},
		{"-final -nexthop 127.0.0.1:" + port, "127.0.0.1:" + port, "delivered"},
		{"-port " + port + " -nexthop inet:127.0.0.1 -timeout connect=5s -pipelining off", "127.0.0.1:" + port, "relayed"},
	} {
		args := append(strings.Fields("-json -proto lmtp -helo client.example.org -from ann@example.org -to bob@example.net -to full@example.net"), strings.Fields(tt.flags)...)
		code, stdout, stderr := runWith(t, message, args...)
		if code != 75 || stderr != "" {
			t.Fatalf("%s: exit %d, want 75\n%s%s", tt.flags, code, stdout, stderr)
		}
		bob, full := readReports(t, stdout)[0].Recipients[0], readReports(t, stdout)[0].Recipients[1]
		if bob.Status != "delivered" || bob.Action != tt.action || bob.Addr != tt.addr || bob.TLS.Version != "" {
			t.Errorf("%s: got %+v", tt.flags, bob)
		}
		if full.Status != "deferred" || full.Action != "delayed" || full.Enhanced != "4.2.2" || full.Stage != "data-done" {
			t.Errorf("%s: got %+v", tt.flags, full)
		}
		if said := received(store, i); said[0] != "LHLO client.example.org" {
			t.Errorf("%s: said %q first", tt.flags, said[0])
		}
	}
}

// A pool serves stores, too.
func TestLMTPPool(t *testing.T) {
	store, socket, _ := newStore(t)
	code, stdout, stderr := runWith(t, message, strings.Fields("-json -proto lmtp -final -from ann@example.org -to bob@example.net -repeat 30 -pool on -nexthop unix:"+socket)...)
	if all := readReports(t, stdout); code != 0 || len(all) != 30 || len(store.Messages()) != 30 || store.Sessions() != 1 || overlaps(store, 0) == 0 {
		t.Errorf("exit %d, %d reports, %d messages, %d sessions, %d overlapped\n%s", code, len(all), len(store.Messages()), store.Sessions(), overlaps(store, 0), stderr)
	}
}

// Without a store the library says what is missing.
func TestLMTPWithoutServer(t *testing.T) {
	code, stdout, _ := runWith(t, message, strings.Fields("-proto lmtp -from ann@example.org -to bob@example.net")...)
	if code != 75 || !strings.Contains(stdout, "at input: 4.3.5 Client.Servers: at least one is needed") {
		t.Errorf("exit %d, want 75\n%s", code, stdout)
	}
}
