// Package lmtp speaks LMTP (RFC 2033) to local stores, as Dovecot or Cyrus run
// them: a server answers for every recipient by itself, after it has the
// content.
//
//	client := &lmtp.Client{Servers: []string{"unix:/run/dovecot/lmtp"}, Final: true}
//	report, err := client.Deliver(ctx, envelope, smtpclient.Bytes(message))
//
// Envelopes, contents and reports are those of package smtpclient, whose engine
// this is; what differs are the defaults. [Dial] gives one session by hand.
// A program is in examples/lmtp.
package lmtp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// DefaultPort is where LMTP servers listen by custom. RFC 2033, Section 5 only
// rules out the port of SMTP.
const DefaultPort = 24

// ParseServer reads where an LMTP server is:
//
//	unix:/run/dovecot/lmtp
//	inet:store.example.org    inet:store.example.org:24    inet:[2001:db8::1]:24
//	store.example.org         store.example.org:24         [2001:db8::1]:24
//
// There are no MX lookups in LMTP. Without a port it is DefaultPort; port 25 is
// refused, as RFC 2033, Section 5 does.
func ParseServer(s string) (resolve.NextHop, error) {
	if !strings.HasPrefix(s, "unix:") && !strings.HasPrefix(s, "inet:") {
		s = "inet:" + s
	}
	hop, err := resolve.ParseNextHop(s)
	if err != nil {
		return resolve.NextHop{}, err
	}
	if hop.Kind == resolve.ViaSocket {
		return hop, nil
	}
	if hop.Port == 0 {
		hop.Port = DefaultPort
	}
	if hop.Port == 25 {
		return resolve.NextHop{}, fmt.Errorf("%q: port 25 is for SMTP; LMTP servers listen on another, as %d", s, DefaultPort)
	}
	return hop, nil
}

// Dial opens a session with the server that s names, as ParseServer reads it. On
// a socket and on the loopback interface there is no TLS; elsewhere it is used
// where the server offers it. For other timeouts or policies use
// smtpclient.Dialer with Protocol: smtpclient.LMTP.
func Dial(ctx context.Context, server string) (*smtpclient.Session, error) {
	hop, err := ParseServer(server)
	if err != nil {
		return nil, &smtpclient.Error{
			Status:  smtpclient.Deferred,
			Attempt: smtpclient.Attempt{Stage: smtpclient.StageInput, Enhanced: "4.3.5", Cause: err},
		}
	}
	return (&smtpclient.Dialer{}).Dial(ctx, target(hop))
}

func target(hop resolve.NextHop) smtpclient.Target {
	t := smtpclient.Target{Protocol: smtpclient.LMTP, Policy: tlspolicy.Policy{Level: tlspolicy.May}}
	if hop.Kind == resolve.ViaSocket {
		t.Addr = "unix:" + hop.Name
	} else {
		t.Addr = net.JoinHostPort(hop.Name, strconv.Itoa(int(hop.Port)))
	}
	if addr, err := netip.ParseAddr(hop.Name); hop.Kind == resolve.ViaSocket || err == nil && addr.IsLoopback() || hop.Name == "localhost" {
		t.Policy.Level = tlspolicy.None
	}
	return t
}
