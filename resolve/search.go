package resolve

import (
	"context"
	"strings"
)

// Search is a set of rules by which DNS completes names. Zero: none, every name
// is absolute.
type Search uint8

// The rules, with the names that resolver(3) has for them.
const (
	// SearchSingle completes a name without a dot by the first domain of the
	// list (RES_DEFNAMES).
	SearchSingle Search = 1 << iota
	// SearchDotted completes a name with a dot by each domain of the list, if
	// it is not found as it is (RES_DNSRCH). With SearchSingle a name without a
	// dot is completed by each domain, too.
	SearchDotted
)

// maxName is the length of the longest name.
const maxName = 253

// candidates are the absolute names that a name may mean, in order.
func (d *DNS) candidates(conf config, name string) []string {
	dots := strings.Count(name, ".")
	list := conf.search
	switch {
	case dots == 0 && d.Search&SearchSingle == 0, dots > 0 && d.Search&SearchDotted == 0:
		list = nil
	case d.Search&SearchDotted == 0:
		list = list[:min(1, len(list))]
	}
	var names []string
	for _, domain := range list {
		if domain = canonicalName(domain); domain != "" && len(name)+1+len(domain) <= maxName {
			names = append(names, name+"."+domain)
		}
	}
	if dots >= conf.dots {
		return append([]string{name}, names...)
	}
	return append(names, name)
}

// search looks a name up by each of its meanings, until there are records. An
// error ends it: the next name might be another's. That there is nothing is
// certain only if it is for each.
func (d *DNS) search(ctx context.Context, conf config, q Question) (Answer, error) {
	var none *Answer
	for _, name := range d.candidates(conf, canonicalName(q.Name)) {
		a, err := d.lookup(ctx, conf, Question{name, q.Type})
		if err != nil {
			return Answer{}, err
		}
		a.Secure = false // nobody has signed that this is what the name means
		if a.hasRecords(q.Type) {
			return a, nil
		}
		if none == nil {
			none = &a
			continue
		}
		none.NoName = none.NoName && a.NoName
		none.TTL = min(none.TTL, a.TTL)
	}
	return *none, nil
}

// hasRecords tells whether there is anything of the type.
func (a *Answer) hasRecords(t Type) bool {
	if t == TypeCNAME {
		return a.Canonical != ""
	}
	return len(a.Addrs)+len(a.MX)+len(a.SRV)+len(a.TLSA)+len(a.TXT) > 0
}
