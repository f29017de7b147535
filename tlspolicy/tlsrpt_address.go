package tlspolicy

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/postrider/postrider/internal/address"
	"github.com/postrider/postrider/resolve"
)

// maxReportAddresses bounds how many reports a domain can have us send, to whomever it
// names (RFC 8460, Section 7).
const maxReportAddresses = 4

const maxReportAddress = 1000

// ReportAddresses looks up where a domain wants its reports (RFC 8460, Section 3): at
// most four URIs, as "mailto:tlsrpt@example.net" or
// "https://report.example.net/tls", in its order. None: it wants no reports, or its
// records are not one, or say nothing that can be used. The error is that of r; nil
// is resolve.Default(). It takes at most 5 s.
func ReportAddresses(ctx context.Context, r resolve.Resolver, domain string) ([]string, error) {
	name, err := address.Domain(domain)
	if err != nil {
		return nil, fmt.Errorf("domain: %w", err)
	}
	if len("_smtp._tls.")+len(name) > 253 {
		return nil, nil // no such name can be
	}
	ctx, cancel := context.WithTimeout(ctx, stsLookupTime)
	defer cancel()
	answer, err := orDNS(r).Lookup(ctx, resolve.Question{Name: "_smtp._tls." + name, Type: resolve.TypeTXT})
	if err != nil {
		return nil, err
	}
	return parseReporting(answer.TXT), nil
}

// parseReporting finds the addresses in the TXT records of a domain. Other records are
// left out; of those that are left there must be exactly one.
func parseReporting(records []string) []string {
	var found []string
	for _, r := range records {
		rest, ok := strings.CutPrefix(r, "v=TLSRPTv1")
		// The grammar allows spaces before the semicolon, if the text below it does not.
		if rest = strings.TrimLeft(rest, " \t"); ok && strings.HasPrefix(rest, ";") {
			found = append(found, rest)
		}
	}
	if len(found) != 1 {
		return nil
	}
	for field := range strings.SplitSeq(found[0], ";") {
		if list, ok := strings.CutPrefix(trimWSP(field), "rua="); ok {
			return parseReportURIs(list)
		}
	}
	return nil
}

// parseReportURIs reads a list of URIs, and leaves out what cannot be used.
func parseReportURIs(list string) []string {
	var uris []string
	for text := range strings.SplitSeq(list, ",") {
		uri, ok := parseReportURI(trimWSP(text))
		if ok && len(uris) < maxReportAddresses {
			uris = append(uris, uri)
		}
	}
	return uris
}

func parseReportURI(text string) (uri string, ok bool) {
	scheme, rest, _ := strings.Cut(text, ":")
	switch {
	case len(text) > maxReportAddress || strings.Contains(text, "!"):
		return "", false
	case strings.EqualFold(scheme, "mailto"):
		to, ok := parseMailto(rest)
		return "mailto:" + escapeMailto(to), ok
	case strings.EqualFold(scheme, "https"):
		u, err := url.Parse(text)
		if err != nil || !isReportURL(u) {
			return "", false
		}
		u.Fragment, u.RawFragment = "", ""
		return u.String(), len(u.String()) <= maxReportAddress
	}
	return "", false
}

// parseMailto reads the one address of a mailto URI (RFC 6068), without the header
// fields that may follow it.
func parseMailto(rest string) (to string, ok bool) {
	rest, _, _ = strings.Cut(rest, "?")
	plain, err := url.PathUnescape(rest)
	if err != nil {
		return "", false
	}
	box, err := address.Parse(plain)
	if err != nil || !box.ASCII() {
		return "", false
	}
	return box.String(), true
}

// escapeMailto keeps parseMailto and the list around it from finding something in an
// address that is not meant so.
func escapeMailto(to string) string {
	return strings.NewReplacer("%", "%25", "?", "%3F", ",", "%2C", ";", "%3B", "!", "%21", " ", "%20", "\t", "%09").Replace(to)
}

// isReportURL tells whether reports may be posted there: to a host by its name, and to
// no other port than that of HTTPS.
func isReportURL(u *url.URL) bool {
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return false
	}
	name, err := address.Domain(u.Hostname())
	return err == nil && strings.EqualFold(name, u.Hostname()) && u.User == nil && u.Opaque == "" && (u.Port() == "" || u.Port() == "443")
}
