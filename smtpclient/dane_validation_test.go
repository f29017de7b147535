package smtpclient_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// D16: the resolver stops validating. Mail goes as it does to domains without DANE,
// or waits at dane-only; each time the Trace is told why, so that it can be counted.
func TestDeliverD16ResolverStopsValidating(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.net["192.0.2.1:25"] = &smtptest.Server{}
		zones := func(signed bool) *dnstest.Server {
			s := &dnstest.Server{Zones: []dnstest.Zone{
				{Text: "$ORIGIN .\n@ NS ns.example.org.\n", Secure: signed},
				{Text: "$ORIGIN example.net.\n$TTL 30\n@ MX 10 mx1\nmx1 A 192.0.2.1\n", Secure: signed},
			}}
			t.Cleanup(s.Close)
			return s
		}
		names := zones(true)
		w.client.Resolver = &resolve.DNS{Servers: []string{"127.0.0.1"}, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return names.DialContext(ctx, network, addr)
		}}
		var text bytes.Buffer
		log := smtpclient.LogTrace(slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug})))
		var off []error
		others, sent := 0, 0
		ctx := smtpclient.WithTrace(smtpclient.WithTrace(t.Context(), log), &smtpclient.Trace{Done: func(_ context.Context, e smtpclient.Event) {
			switch {
			case e.Stage == smtpclient.StagePolicy && e.NoDANE != nil:
				off = append(off, e.NoDANE)
			case e.NoDANE != nil:
				others++
			}
		}})
		check := func(when string, source tlspolicy.Source, want string, told int) {
			t.Helper()
			w.client.TLS, off = source, nil
			sent++
			to := fmt.Sprintf("bob%d@example.net", sent)
			report := w.deliver(ctx, fromAnn(to), hello)
			expect(t, report, to+" "+want)
			if len(off) != told || others > 0 {
				t.Errorf("%s: told %v, and %d times at another stage", when, off, others)
			}
			if o := report.Outcomes[0]; told > 0 && o.Status == smtpclient.Deferred &&
				(!errors.Is(o.Cause, resolve.ErrNotValidated) || !strings.Contains(o.Cause.Error(), "turn on DNSSEC validation")) {
				t.Errorf("%s: %v does not say what to do", when, o.Cause)
			}
		}
		opportunistic := tlspolicy.Sources{tlspolicy.DANE, tlspolicy.May}
		check("it validates", opportunistic, "delivered data-done 2.0.0", 0)
		check("it validates", tlspolicy.DANEOnly, "deferred policy 4.7.5", 0) // there are no records
		names = zones(false)
		time.Sleep(time.Minute + time.Second)
		check("no longer", opportunistic, "delivered data-done 2.0.0", 1)
		if !strings.Contains(text.String(), `no_dane="no DNS answer is validated by DNSSEC`) {
			t.Errorf("the log does not say so:\n%s", text.String())
		}
		check("no longer", tlspolicy.DANEOnly, "deferred policy 4.7.5", 1)
		check("nobody asks for DANE", tlspolicy.May, "delivered data-done 2.0.0", 0)
		probes := 0
		for _, q := range names.Questions() {
			if q.Name == "" {
				probes++
			}
		}
		if probes != 1 {
			t.Errorf("%d probes for three messages within a minute", probes)
		}
	})
}
