package tlspolicy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/address"
	"github.com/postrider/postrider/resolve"
)

// maxSTSPolicy bounds the policy file, as RFC 8461, Section 3.3 suggests, and the
// header before it.
const maxSTSPolicy = 64 << 10

// maxSTSAddrs bounds the addresses of a policy host that are tried.
const maxSTSAddrs = 6

// fetch gets the policy of a domain by HTTPS (RFC 8461, Section 3.3).
func (s *MTASTS) fetch(ctx context.Context, r resolve.Resolver, domain string) (stsPolicy, error) {
	ctx, cancel := context.WithTimeout(ctx, stsFetchTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://mta-sts."+domain+"/.well-known/mta-sts.txt", nil)
	if err != nil {
		return stsPolicy{}, err
	}
	resp, err := s.httpClient(ctx, r).Do(req)
	if err != nil {
		return stsPolicy{}, err
	}
	defer resp.Body.Close()
	if err := checkSTSResponse(resp); err != nil {
		return stsPolicy{}, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxSTSPolicy+1))
	switch {
	case err != nil:
		return stsPolicy{}, err
	case len(body) > maxSTSPolicy:
		return stsPolicy{}, &documentError{fmt.Errorf("the policy has more than %d bytes", maxSTSPolicy)}
	}
	p, err := parseSTSPolicy(string(body))
	if err != nil {
		return stsPolicy{}, &documentError{err}
	}
	return p, nil
}

// documentError is what is wrong with a policy that was got.
type documentError struct{ err error }

func (e *documentError) Error() string { return e.err.Error() }
func (e *documentError) Unwrap() error { return e.err }

var errNotVerified = errors.New("the certificate of the policy host was not verified")

// fetchFailure is the result type of RFC 8460 for a fetch that failed.
func fetchFailure(err error) string {
	var document *documentError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &document):
		return "sts-policy-invalid"
	case errors.As(err, &certificate), errors.Is(err, errNotVerified):
		return "sts-webpki-invalid"
	}
	return "sts-policy-fetch-error"
}

// httpClient makes the client for one fetch, which ctx bounds: a domain is asked so
// seldom that there is nothing to keep open.
func (s *MTASTS) httpClient(ctx context.Context, r resolve.Resolver) *http.Client {
	client := &http.Client{}
	if s.Client != nil {
		*client = *s.Client
	} else {
		client.Transport = &http.Transport{
			DialContext:            s.policyDialer(ctx, r),
			TLSClientConfig:        &tls.Config{RootCAs: s.Roots, MinVersion: tls.VersionTLS12},
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxSTSPolicy,
		}
	}
	client.Jar = nil
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client
}

// checkSTSResponse looks at all but the body.
func checkSTSResponse(resp *http.Response) error {
	media, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	switch {
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("the policy host answered %.100q", resp.Status)
	case resp.TLS == nil || len(resp.TLS.VerifiedChains) == 0:
		return errNotVerified
	case !strings.EqualFold(trimWSP(media), "text/plain"):
		return &documentError{fmt.Errorf("the policy is %.100q, not text/plain", media)}
	}
	return nil
}

// policyDialer connects to policy hosts. It looks at the addresses that it dials,
// so that a name which has another one at the next lookup cannot get around it. A
// connection is closed when the fetch is over: net/http takes the end of ctx away from
// what dials and shakes hands, which a silent host could then hold for ever.
func (s *MTASTS) policyDialer(fetch context.Context, r resolve.Resolver) func(ctx context.Context, network, addr string) (net.Conn, error) {
	dial := new(net.Dialer).DialContext
	if s.DialContext != nil {
		dial = calmly(s.DialContext)
	}
	return func(_ context.Context, network, addr string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		addrs, err := s.policyAddrs(fetch, orDNS(r), host)
		if err != nil {
			return nil, err
		}
		for i, a := range addrs {
			var conn net.Conn
			conn, err = dialInTime(fetch, len(addrs)-i, func(ctx context.Context) (net.Conn, error) {
				return dial(ctx, network, net.JoinHostPort(a.String(), port))
			})
			if err == nil {
				context.AfterFunc(fetch, func() { conn.Close() })
				return conn, nil
			}
		}
		return nil, err
	}
}

// dialInTime leaves each of the addresses that are left its part of the time.
func dialInTime(ctx context.Context, left int, dial func(context.Context) (net.Conn, error)) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	return dial(ctx)
}

// policyAddrs are the addresses of a policy host that may be dialled.
func (s *MTASTS) policyAddrs(ctx context.Context, r resolve.Resolver, host string) ([]netip.Addr, error) {
	var answers [2]resolve.Answer
	var errs [2]error
	var wg sync.WaitGroup
	for i, t := range []resolve.Type{resolve.TypeA, resolve.TypeAAAA} {
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					errs[i] = fmt.Errorf("panic in the Resolver: %v", p)
				}
			}()
			answers[i], errs[i] = r.Lookup(ctx, resolve.Question{Name: host, Type: t})
		})
	}
	wg.Wait()
	var addrs []netip.Addr
	for _, answer := range answers {
		for _, a := range answer.Addrs {
			if a = a.Unmap().WithZone(""); s.Local || isPublic(a) {
				addrs = append(addrs, a)
			}
		}
	}
	if len(addrs) == 0 {
		return nil, errors.Join(fmt.Errorf("no address of %s can be used", host), errs[0], errs[1])
	}
	return addrs[:min(len(addrs), maxSTSAddrs)], nil
}

// isPublic tells addresses at which a policy host of strangers may be.
func isPublic(a netip.Addr) bool {
	if v4, ok := address.Translated(a); ok && !a.Is4() {
		a = netip.AddrFrom4(v4)
	}
	return a.IsGlobalUnicast() && !a.IsPrivate() && !(a.Is4() && a.As4()[0] == 0) // 0.0.0.0/8 is this network
}
