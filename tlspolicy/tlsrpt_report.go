package tlspolicy

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Report is what one domain is told of one day (RFC 8460, Section 4).
type Report struct {
	Domain    string    // that it is for, in A-labels
	Submitter string    // the domain that it comes from
	Contact   string    // the mail address that it comes from
	ID        string    // of this report and no other; the same if it is made again
	Day       time.Time // when the day began, in UTC
	Addresses []string  // where the domain wants it; see ReportAddresses
	JSON      []byte
	// Successes and Failures are the sums over all policies.
	Successes, Failures int64
}

// reportJSON and what it consists of are the schema of RFC 8460, Section 4.4.
type reportJSON struct {
	Organization string       `json:"organization-name"`
	Range        rangeJSON    `json:"date-range"`
	Contact      string       `json:"contact-info"`
	ID           string       `json:"report-id"`
	Policies     []policyJSON `json:"policies"`
}

type rangeJSON struct {
	Start time.Time `json:"start-datetime"`
	End   time.Time `json:"end-datetime"`
}

type policyJSON struct {
	Policy struct {
		Type   string   `json:"policy-type"`
		Lines  []string `json:"policy-string,omitempty"`
		Domain string   `json:"policy-domain"`
		Hosts  []string `json:"mx-host,omitempty"`
	} `json:"policy"`
	Summary struct {
		Successes int64 `json:"total-successful-session-count"`
		Failures  int64 `json:"total-failure-session-count"`
	} `json:"summary"`
	Details []detailJSON `json:"failure-details,omitempty"`
}

type detailJSON struct {
	Type        string     `json:"result-type"`
	LocalAddr   netip.Addr `json:"sending-mta-ip,omitzero"`
	Host        string     `json:"receiving-mx-hostname,omitempty"`
	Hello       string     `json:"receiving-mx-helo,omitempty"`
	Addr        netip.Addr `json:"receiving-ip,omitzero"`
	Sessions    int64      `json:"failed-session-count"`
	Information string     `json:"additional-information,omitempty"`
	Reason      string     `json:"failure-reason-code,omitempty"`
}

// Reports makes the reports of the day that has t in it, in UTC, of all processes, for
// the domains that want them. It takes nothing out: a Reporter does, once they are
// sent. It is for those who send reports in a way of their own, and for a look.
//
// With an error a report has its Domain only, whose addresses cannot be found now, or
// nothing: then some counts cannot be had.
func (c *Collector) Reports(ctx context.Context, t time.Time) iter.Seq2[Report, error] {
	return func(yield func(Report, error) bool) {
		if err := c.fault(); err != nil {
			yield(Report{}, err)
			return
		}
		c.init()
		for i := range c.buckets {
			reports, unknown, err := c.reports(ctx, i, dayOf(t), nil)
			if err != nil && len(unknown) == 0 && !yield(Report{}, err) {
				return
			}
			for _, r := range reports {
				if !yield(r, nil) {
					return
				}
			}
			for _, domain := range unknown {
				if !yield(Report{Domain: domain}, err) {
					return
				}
			}
		}
	}
}

// reports makes those of a bucket, in the order of the domains; only nil: of all. With
// an error unknown are the domains that could not be asked, or none: then nothing is
// known.
func (c *Collector) reports(ctx context.Context, i int, d day, only map[string][]string) (reports []Report, unknown []string, err error) {
	all, err := c.merged(ctx, i, d)
	if err != nil {
		return nil, nil, err
	}
	names := slices.Sorted(maps.Keys(all))
	if only != nil {
		names = slices.DeleteFunc(names, func(name string) bool { _, ok := only[name]; return !ok })
	}
	found, err := c.ask(ctx, names)
	for _, name := range names {
		switch uris, ok := found[name]; {
		case !ok:
			unknown = append(unknown, name)
		case len(uris) > 0:
			reports = append(reports, c.report(name, d, all[name], uris))
		}
	}
	return reports, unknown, err
}

// report writes the report for one domain.
func (c *Collector) report(domain string, d day, t *tally, uris []string) Report {
	r := Report{Domain: domain, ID: c.reportID(domain, d), Day: d.begin(), Addresses: uris}
	r.Contact, r.Submitter = c.contact()
	body := reportJSON{
		Organization: cmp.Or(c.Organization, r.Submitter),
		Range:        rangeJSON{d.begin(), (d + 1).begin().Add(-time.Second)}, // as the example of RFC 8460, Appendix B
		Contact:      r.Contact, ID: r.ID,
	}
	slices.SortStableFunc(t.Policies, func(a, b policyTally) int {
		return cmp.Or(strings.Compare(a.Type, b.Type), strings.Compare(a.Domain, b.Domain), slices.Compare(a.Lines, b.Lines), slices.Compare(a.Hosts, b.Hosts))
	})
	for i := range t.Policies {
		p := c.policyJSON(domain, &t.Policies[i])
		body.Policies = append(body.Policies, p)
		r.Successes = plus(r.Successes, p.Summary.Successes)
		r.Failures = plus(r.Failures, p.Summary.Failures)
	}
	r.JSON, _ = json.MarshalIndent(body, "", " ") // texts, numbers and times can always be written
	return r
}

func (c *Collector) policyJSON(domain string, p *policyTally) policyJSON {
	var out policyJSON
	out.Policy.Type, out.Policy.Domain = p.Type, cmp.Or(p.Domain, domain)
	out.Policy.Lines, out.Policy.Hosts = p.Lines, p.Hosts
	out.Summary.Successes, out.Summary.Failures = p.Successes, p.failures()
	slices.SortFunc(p.Details, func(a, b detailTally) int {
		return cmp.Or(strings.Compare(a.Type, b.Type), strings.Compare(a.Host, b.Host), a.Addr.Compare(b.Addr), a.LocalAddr.Compare(b.LocalAddr),
			strings.Compare(a.Hello, b.Hello), strings.Compare(a.Reason, b.Reason))
	})
	for _, d := range p.Details {
		out.Details = append(out.Details, detailJSON{Type: d.Type, LocalAddr: d.LocalAddr, Host: d.Host, Hello: d.Hello, Addr: d.Addr,
			Sessions: d.Sessions, Information: c.Information, Reason: d.Reason})
	}
	return out
}

// reportID is the same whenever the report is made, so that who gets it twice can tell
// (RFC 8460, Section 5.3).
func (c *Collector) reportID(domain string, d day) string {
	contact, submitter := c.contact()
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%v\n%s", c.salt, contact, d, domain))
	return hex.EncodeToString(sum[:12]) + "@" + submitter
}

// Filename is that of the gzipped report (RFC 8460, Section 5.1).
func (r Report) Filename() string {
	unique, _, _ := strings.Cut(r.ID, "@")
	return fmt.Sprintf("%s!%s!%d!%d!%s.json.gz", r.Submitter, r.Domain, r.Day.Unix(), r.Day.Unix()+secondsOfDay-1, unique)
}

// Gzip is the JSON, compressed.
func (r Report) Gzip() []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(r.JSON) // a Buffer takes everything
	w.Close()
	return b.Bytes()
}
