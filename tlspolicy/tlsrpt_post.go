package tlspolicy

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/postrider/postrider/resolve"
)

// Poster posts reports by HTTPS (RFC 8460, Section 5.4). The zero value is ready. It
// follows no redirect, goes to port 443 only, and to no host without a certificate that
// holds.
type Poster struct {
	Resolver resolve.Resolver // nil: resolve.Default()
	// Roots are the authorities that are trusted. nil: those of the system.
	Roots *x509.CertPool
	// Local allows hosts whose addresses are loopback, link-local or private.
	Local bool
	// DialContext connects; addr is an IP address with port 443 that may be used. nil: a
	// net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// Client posts in place of all that, as through a proxy. Its cookies and its rules for
	// redirects are not used. nil: no proxy.
	Client *http.Client
}

const postTime = time.Minute

// Post sends a report to one of its Addresses that begins with https. It takes a minute
// at most. A nil error is that the server has it, which it says by a code from 200 to
// 299.
func (p Poster) Post(ctx context.Context, r Report, uri string) error {
	u, err := url.Parse(uri)
	if err != nil {
		return err
	}
	if u.Scheme != "https" || !isReportURL(u) {
		return fmt.Errorf("%.200q is not https, with a host name and port 443", uri)
	}
	ctx, cancel := context.WithTimeout(ctx, postTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(r.Gzip()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/tlsrpt+gzip")
	req.Header.Set("User-Agent", "Postrider")
	// Policies of MTA-STS are got from strangers in the same way.
	as := &MTASTS{Roots: p.Roots, Local: p.Local, DialContext: p.DialContext, Client: p.Client}
	resp, err := as.httpClient(ctx, p.Resolver).Do(req)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("no answer of %s within %v: %w", u.Hostname(), postTime, context.Cause(ctx))
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.TLS == nil || len(resp.TLS.VerifiedChains) == 0 {
		return errors.New("the certificate of the server was not verified")
	}
	io.Copy(io.Discard, io.LimitReader(resp.Body, maxSTSPolicy)) // so that the server gets to write it
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("the server answered %.100q", resp.Status)
	}
	return nil
}
