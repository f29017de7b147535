package interop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// changingHost is mx.change.test: a Postfix with one certificate after the other,
// whose TLSA records a real unbound has.
type changingHost struct {
	*Postfix
	unbound *ValidatingUnbound
}

const changingAddr = "127.0.3.1"

func newChangingHost(t *testing.T, c *Certificate) *changingHost {
	h := &changingHost{}
	h.Postfix = ownPostfix(t, PostfixSettings{
		Master: changingAddr + ":PORT inet n - n - - smtpd\n  -o smtpd_tls_chain_files=DIR/changing.pem\n",
		Main:   "relay_domains = change.test\nrelay_transport = discard:\n",
	})
	h.shows(t, c)
	t.Cleanup(func() { h.unbound.Stop() })
	return h
}

// shows gives Postfix another certificate.
func (h *changingHost) shows(t *testing.T, c *Certificate) {
	t.Helper()
	present(t, os.WriteFile(filepath.Join(h.dir, "changing.pem"), append(slices.Clone(c.Key), c.Chain...), 0o600))
	present(t, h.Restart())
}

// publishes starts unbound anew, with records of a certificate and an empty cache.
func (h *changingHost) publishes(t *testing.T, c *Certificate, how ValidatingConfig) {
	t.Helper()
	if h.unbound != nil {
		h.unbound.Stop()
		_, port, err := net.SplitHostPort(h.unbound.Addr)
		present(t, err)
		n, err := strconv.ParseUint(port, 10, 16)
		present(t, err)
		how.Port = uint16(n)
	}
	text := fmt.Sprintf("@ MX 10 mx\nmx A %s\n_%d._tcp.mx %s\n", changingAddr, h.Port, tlsa(3, 1, 1, c.Leaf))
	how.Zones = []SignedZone{{Name: "change.test", Text: text}}
	var err error
	h.unbound, err = StartSignedUnbound(how)
	present(t, err)
}

func (h *changingHost) client(r resolve.Resolver, source tlspolicy.Source) *smtpclient.Client {
	return &smtpclient.Client{
		LocalName: "client.example.org", Resolver: r, Routing: resolve.Routing{Local: true, Port: h.Port},
		TLS: source, Cache: cache.None,
	}
}

// probing asks this unbound, which trusts nobody but its own zone.
func (h *changingHost) probing() *resolve.DNS {
	return &resolve.DNS{Servers: []string{h.unbound.Addr}, Probe: resolve.Question{Name: "change.test", Type: resolve.TypeMX}}
}

func issued(t *testing.T, n int) (list []*Certificate) {
	t.Helper()
	a, err := NewAuthority("an authority")
	present(t, err)
	for range n {
		c, err := a.Issue("mx.change.test", 0)
		present(t, err)
		list = append(list, c)
	}
	return list
}

// D19: Postfix has a new certificate, and the DNS its record, while ours of the old one
// is good for another five minutes. Nothing but a record that fits gets the mail.
func TestCertificateChangesUnderCachedTLSA(t *testing.T) {
	certs := issued(t, 3)
	h := newChangingHost(t, certs[0])
	h.publishes(t, certs[0], ValidatingConfig{})
	client := h.client(&resolve.Cached{Resolver: h.probing()}, tlspolicy.DANEOnly)
	client.Limits.Addresses = 1
	verified := func(when string) {
		t.Helper()
		if o := deliver(t, client, simple(when), "bob@change.test").Outcomes[0]; o.Status != smtpclient.Delivered || o.TLS.Verified != "dane-ee" {
			t.Errorf("%s: %v, %+v: %v", when, o.Status, o.TLS, o.Err())
		}
	}
	verified("before")
	h.shows(t, certs[1])
	h.publishes(t, certs[1], ValidatingConfig{})
	verified("after the change")
	verified("again")
	h.shows(t, certs[2])
	o := deliver(t, client, simple("forged"), "bob@change.test").Outcomes[0]
	var misfit *tlspolicy.MisfitError
	if o.Status != smtpclient.Deferred || o.Stage != smtpclient.StageStartTLS || !errors.As(o.Cause, &misfit) {
		t.Errorf("a certificate that nobody has published: %v at %v: %v", o.Status, o.Stage, o.Err())
	}
}

// D16: unbound loses its trust anchor. Its answers are the same, but none is validated:
// Validates finds out, DANE is off with notice, and dane-only waits.
func TestUnboundStopsValidating(t *testing.T) {
	certs := issued(t, 2)
	h := newChangingHost(t, certs[0])
	h.publishes(t, certs[1], ValidatingConfig{}) // that do not fit
	try := func(source tlspolicy.Source) (o smtpclient.Outcome, off error) {
		t.Helper()
		ctx := smtpclient.WithTrace(t.Context(), &smtpclient.Trace{Done: func(_ context.Context, e smtpclient.Event) {
			off = errors.Join(off, e.NoDANE)
		}})
		report, _ := h.client(h.probing(), source).Deliver(ctx, envelope("bob@change.test"), smtpclient.Bytes(simple("validated")))
		return report.Outcomes[0], off
	}
	opportunistic := tlspolicy.Sources{tlspolicy.DANE, tlspolicy.May}

	if err := h.probing().Validates(t.Context()); err != nil {
		t.Errorf("with a trust anchor: %v", err)
	}
	if o, off := try(opportunistic); o.Status != smtpclient.Deferred || o.Stage != smtpclient.StageStartTLS || off != nil {
		t.Errorf("with a trust anchor: %v at %v: %v; %v", o.Status, o.Stage, o.Err(), off)
	}
	h.publishes(t, certs[1], ValidatingConfig{NoAnchor: true})
	if err := h.probing().Validates(t.Context()); !errors.Is(err, resolve.ErrNotValidated) {
		t.Errorf("without a trust anchor: %v", err)
	}
	if o, off := try(opportunistic); o.Status != smtpclient.Delivered || !errors.Is(off, resolve.ErrNotValidated) {
		t.Errorf("without a trust anchor: %v: %v; %v", o.Status, o.Err(), off)
	}
	o, off := try(tlspolicy.DANEOnly)
	if o.Status != smtpclient.Deferred || o.Stage != smtpclient.StagePolicy || !errors.Is(o.Cause, resolve.ErrNotValidated) || off == nil {
		t.Errorf("dane-only without a trust anchor: %v at %v: %v; %v", o.Status, o.Stage, o.Err(), off)
	}
}
