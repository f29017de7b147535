package lmtp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// Client delivers to local stores. It is only configuration: Servers is needed,
// zero is good elsewhere, a copy with a field changed is another client. It is
// safe for many goroutines.
type Client struct {
	// Servers are tried in order, as ParseServer reads them; a later one takes the
	// recipients who are still open.
	Servers []string
	// Final tells that a mailbox is behind every server, and no further relay: who
	// was delivered then has the action delivered, not relayed, unless the server
	// itself took over to tell of it (RFC 3461, Section 5.2.3; Postfix's flag X).
	Final     bool
	LocalName string           // in LHLO where Dialer has none; "": as in smtpclient.Client
	TLS       tlspolicy.Source // nil: none on sockets and loopback, else tlspolicy.Default
	// Auth is as in smtpclient.Client; on sockets and loopback a password goes
	// only where Credential.Channel is None, since there is no TLS.
	Auth smtpclient.Credentials
	// AuthMemory is as in smtpclient.Client.
	AuthMemory smtpclient.AuthMemory
	Resolver   resolve.Resolver   // nil: resolve.Default()
	Dialer     *smtpclient.Dialer // nil: one that waits two minutes for a connection
	Pool       *smtpclient.Pool   // nil: a connection for each delivery
	Limiter    smtpclient.Limiter // nil: no limit
	Cache      cache.Cache        // nil: cache.Default
	Limits     smtpclient.Limits  // as in smtpclient.Client
}

// patient is the Dialer of a Client without one. Postfix leaves connecting to a
// store to the limit of the kernel (lmtp_connect_timeout), which on Linux is a
// little over two minutes: one that is busy is worth waiting for, as there is no
// other.
var patient = &smtpclient.Dialer{Timeouts: smtpclient.Timeouts{Connect: 2 * time.Minute}}

// Deliver sends content to the recipients of env, each of whom gets a verdict of
// his own. Report and error are those of smtpclient.Client.Deliver. The same
// address twice is sent twice, and env.NextHops stands in place of Servers.
func (c *Client) Deliver(ctx context.Context, env smtpclient.Envelope, content smtpclient.Content) (smtpclient.Report, error) {
	servers, err := c.servers(&env)
	if err != nil {
		return deferAll(&env, err)
	}
	client := smtpclient.Client{
		LocalName:  c.LocalName,
		NextHops:   servers,
		Resolver:   c.Resolver,
		TLS:        c.TLS,
		Auth:       c.Auth,
		AuthMemory: c.AuthMemory,
		Dialer:     c.Dialer,
		Pool:       c.Pool,
		Limiter:    c.Limiter,
		Cache:      c.Cache,
		Limits:     c.Limits,
		Protocol:   smtpclient.LMTP,
	}
	if client.TLS == nil {
		client.TLS = defaultTLS{auth: c.Auth != nil}
	}
	if client.Dialer == nil {
		client.Dialer = patient
	}
	report, err := client.Deliver(ctx, env, content)
	if c.Final {
		markFinal(&env, report.Outcomes)
	}
	return report, err
}

// markFinal says delivered where no server has taken over to say it.
func markFinal(env *smtpclient.Envelope, outcomes []smtpclient.Outcome) {
	for i := range outcomes {
		o := &outcomes[i]
		handed := env.To[i].Notify&smtpclient.NotifySuccess != 0 && o.Owed&smtpclient.NotifySuccess == 0
		if o.Status == smtpclient.Delivered && env.Verify == smtpclient.VerifyNo && !handed {
			o.Action = "delivered"
		}
	}
}

// defaultTLS has none where nothing leaves this machine.
type defaultTLS struct {
	auth bool // a credential may be at stake: elsewhere there is no opinion
}

// Decide implements tlspolicy.Source.
func (d defaultTLS) Decide(ctx context.Context, q tlspolicy.Query) (tlspolicy.Policy, error) {
	if q.Route != nil && q.Route.NextHop.Kind == resolve.ViaSocket || onLoopback(q.Host) {
		return tlspolicy.Policy{Level: tlspolicy.None}, nil
	}
	if d.auth {
		return tlspolicy.Policy{}, nil
	}
	return tlspolicy.Default().Decide(ctx, q)
}

func onLoopback(h resolve.Host) bool {
	for _, a := range h.Addrs {
		if !a.IsLoopback() {
			return false
		}
	}
	return len(h.Addrs) > 0
}

var errNoServers = errors.New("Client.Servers: at least one is needed, as unix:/run/dovecot/lmtp")

// servers gives Servers as smtpclient reads them. The error names the one at fault
// by its field.
func (c *Client) servers(env *smtpclient.Envelope) ([]string, error) {
	if len(env.NextHops) > 0 {
		return nil, nil // smtpclient checks them
	}
	if len(c.Servers) == 0 {
		return nil, errNoServers
	}
	servers := make([]string, len(c.Servers))
	for i, s := range c.Servers {
		hop, err := ParseServer(s)
		if err != nil {
			return nil, fmt.Errorf("Client.Servers[%d]: %w", i, err)
		}
		servers[i] = hop.String()
	}
	return servers, nil
}

// deferAll is the report of a fault of the configuration.
func deferAll(env *smtpclient.Envelope, err error) (smtpclient.Report, error) {
	report := smtpclient.Report{Outcomes: make([]smtpclient.Outcome, len(env.To))}
	for i := range env.To {
		report.Outcomes[i] = smtpclient.Outcome{
			Address: env.To[i].Address,
			Status:  smtpclient.Deferred,
			Attempt: &smtpclient.Attempt{Stage: smtpclient.StageInput, Enhanced: "4.3.5", Cause: err},
			Action:  "delayed",
		}
	}
	return report, report.Err()
}
