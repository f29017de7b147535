package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// prober asks about domains.
type prober struct {
	dns     resolve.Resolver
	routing resolve.Routing
	dialer  *smtpclient.Dialer
	sts     *tlspolicy.MTASTS
	roots   *x509.CertPool
	cache   cache.Cache
	timeout time.Duration
}

// verdict is what becomes of mail for a host.
type verdict string

// The verdicts. The words in brackets are those of posttls-finger.
const (
	verified    verdict = "verified"    // TLS, and the server is proven to be the one (Verified)
	halfway     verdict = "halfway"     // it fits its TLSA records, but an MX record without DNSSEC named it (Trusted)
	encrypted   verdict = "encrypted"   // TLS, with nothing to hold the server against (Untrusted)
	plaintext   verdict = "plaintext"   // no TLS, and none is asked for
	refused     verdict = "refused"     // the server does not fit what was published: mail waits
	skipped     verdict = "skipped"     // what was published cannot be had or forbids the host: mail waits
	unreachable verdict = "unreachable" // nobody answers, or nobody who takes mail
)

// finding is what is known of a domain.
type finding struct {
	Domain     string   `json:"domain"`
	Error      string   `json:"error,omitempty"` // why there are no hosts
	SecureMX   bool     `json:"mx_dnssec"`
	STS        *sts     `json:"mta_sts,omitempty"`
	Reports    []string `json:"tlsrpt,omitempty"`
	ReportsErr string   `json:"tlsrpt_error,omitempty"`
	Hosts      []host   `json:"hosts"`
}

// sts is an MTA-STS policy, or what is wrong with it.
type sts struct {
	Mode  string   `json:"mode,omitempty"`
	MX    []string `json:"mx,omitempty"`
	Lines []string `json:"policy,omitempty"`
	Error string   `json:"error,omitempty"`
}

// host is one mail exchanger.
type host struct {
	Name        string       `json:"name"`
	Preference  uint16       `json:"preference"`
	Addresses   []netip.Addr `json:"addresses"`
	Secure      bool         `json:"dnssec"`
	TLSA        []string     `json:"tlsa,omitempty"`
	Asked       string       `json:"level_asked,omitempty"` // by what was published
	Reached     string       `json:"level_reached,omitempty"`
	VerifiedBy  string       `json:"verified_by,omitempty"`
	Verdict     verdict      `json:"verdict"`
	Why         string       `json:"why,omitempty"`
	Address     string       `json:"address,omitempty"` // that answered, or was asked last
	Protocol    string       `json:"protocol,omitempty"`
	Cipher      string       `json:"cipher,omitempty"`
	Certificate *certificate `json:"certificate,omitempty"`
}

// certificate is that of a server.
type certificate struct {
	Names     []string  `json:"names"`
	Issuer    string    `json:"issuer"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	SHA256    string    `json:"sha256"`     // of the certificate
	KeySHA256 string    `json:"key_sha256"` // of its public key, as in a TLSA record 3 1 1
	Web       bool      `json:"web_pki"`    // an authority of the web vouches for the host's name
	WebError  string    `json:"web_pki_error,omitempty"`
}

func (f *finding) good() bool {
	return len(f.Hosts) > 0 && !slices.ContainsFunc(f.Hosts, func(h host) bool {
		return h.Verdict == refused || h.Verdict == skipped || h.Verdict == unreachable
	})
}

// probe asks about one domain.
func (p *prober) probe(ctx context.Context, target string) *finding {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	f := &finding{Domain: target, Hosts: []host{}}
	hop, err := resolve.ParseNextHop(target)
	if err == nil {
		f.Domain = hop.String()
		uris, err := tlspolicy.ReportAddresses(ctx, p.dns, hop.Name)
		if _, literal := netip.ParseAddr(hop.Name); literal != nil {
			f.Reports, f.ReportsErr = uris, text(err)
		}
	}
	var route *resolve.Route
	if err == nil {
		route, err = p.routing.Route(ctx, p.dns, hop)
	}
	if err != nil {
		f.Error = err.Error()
		return f
	}
	f.SecureMX = route.Secure
	for _, h := range route.Hosts {
		f.Hosts = append(f.Hosts, p.probeHost(ctx, f, route, h))
	}
	return f
}

// probeHost asks about one host, and notes what it learns of the domain's policy.
func (p *prober) probeHost(ctx context.Context, f *finding, route *resolve.Route, h resolve.Host) host {
	found := host{Name: h.Name, Preference: h.Preference, Addresses: h.Addrs, Secure: h.Secure, Verdict: unreachable, Why: text(h.Err)}
	query := tlspolicy.Query{Route: route, Host: h, Resolver: p.dns, Cache: p.cache}
	f.noteSTS(p.sts.Decide(ctx, query))
	if answer, err := p.dns.Lookup(ctx, resolve.Question{Name: fmt.Sprintf("_%d._tcp.%s", h.Port, h.Name), Type: resolve.TypeTLSA}); err == nil {
		for _, r := range answer.TLSA {
			found.TLSA = append(found.TLSA, fmt.Sprintf("%d %d %d %x", r.Usage, r.Selector, r.MatchingType, r.Data))
		}
	}
	if h.Err != nil {
		return found
	}
	policy, err := tlspolicy.Sources{tlspolicy.DANE, p.sts, tlspolicy.May}.Decide(ctx, query)
	if err != nil {
		found.Verdict, found.Why = skipped, err.Error()
		return found
	}
	found.Asked = policy.Level.String()
	if policy.Published.Type == "tlsa" {
		found.TLSA = policy.Published.Lines // also those of the host that this is an alias of
	}
	for _, addr := range h.Addrs {
		target := smtpclient.Target{Addr: netip.AddrPortFrom(addr, h.Port).String(), Host: h.Name, Policy: policy}
		if p.dial(ctx, target, &found) {
			break
		}
	}
	return found
}

// noteSTS keeps the policy, which is the same for all hosts.
func (f *finding) noteSTS(p tlspolicy.Policy, err error) {
	published := p.Published
	var known *tlspolicy.ResultError
	if errors.As(err, &known) {
		published = known.Published
	}
	if published.Type != "sts" || f.STS != nil {
		return
	}
	f.STS = &sts{MX: published.Hosts, Lines: published.Lines}
	for _, line := range published.Lines {
		if mode, ok := strings.CutPrefix(line, "mode:"); ok {
			f.STS.Mode = strings.TrimSpace(mode)
		}
	}
	if f.STS.Mode == "" {
		f.STS.Error = published.Failure + ": " + published.Reason
	}
}

// dial connects to one address, and tells whether it answered.
func (p *prober) dial(ctx context.Context, t smtpclient.Target, found *host) (answered bool) {
	session, err := p.dialer.Dial(ctx, t)
	found.Address = t.Addr
	if err != nil {
		found.Verdict, found.Why = unreachable, err.Error()
		var e *smtpclient.Error
		if errors.As(err, &e) && e.Stage == smtpclient.StageStartTLS {
			found.Verdict = refused
		}
		return found.Verdict == refused
	}
	defer session.Quit(ctx)
	peer := session.Peer()
	found.Reached, found.VerifiedBy, found.Why = peer.TLS.Reached.String(), peer.TLS.Verified, text(peer.TLS.Fallback)
	switch {
	case peer.TLS.Reached == tlspolicy.None:
		found.Verdict = plaintext
	case peer.TLS.Verified != "":
		found.Verdict = verified
	case t.Policy.Level == tlspolicy.DANE:
		found.Verdict = halfway
	default:
		found.Verdict = encrypted
	}
	if cs := session.ConnectionState(); cs != nil {
		found.Protocol, found.Cipher = tls.VersionName(cs.Version), tls.CipherSuiteName(cs.CipherSuite)
		found.Certificate = p.certificate(*cs, t.Host)
	}
	return true
}

func (p *prober) certificate(cs tls.ConnectionState, name string) *certificate {
	if len(cs.PeerCertificates) == 0 {
		return nil
	}
	leaf := cs.PeerCertificates[0]
	cert, key := sha256.Sum256(leaf.Raw), sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	_, err := tlspolicy.Policy{Level: tlspolicy.Verify, Names: []string{name}, Roots: p.roots}.Check(cs)
	return &certificate{Names: leaf.DNSNames, Issuer: leaf.Issuer.String(), NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
		SHA256: hex.EncodeToString(cert[:]), KeySHA256: hex.EncodeToString(key[:]), Web: err == nil, WebError: text(err)}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
