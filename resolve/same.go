package resolve

import (
	"cmp"
	"slices"
)

// SameHosts tells whether r and q have the same hosts, with the same preferences and
// ports, and have found them with the same certainty: what goes to one can go with
// what goes to the other.
func (r *Route) SameHosts(q *Route) bool {
	return r.Site() == q.Site() && r.Secure == q.Secure && r.Self == q.Self &&
		slices.EqualFunc(r.sorted(), q.sorted(), func(a, b Host) bool {
			return a.Name == b.Name && a.Preference == b.Preference && a.Port == b.Port && a.weight == b.weight
		})
}

// sorted are all hosts, in an order that no chance has part in.
func (r *Route) sorted() []Host {
	hosts := r.all
	if hosts == nil {
		hosts = r.Hosts // made by hand
	}
	hosts = slices.Clone(hosts)
	slices.SortFunc(hosts, func(a, b Host) int {
		return cmp.Or(cmp.Compare(a.Preference, b.Preference), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Port, b.Port), cmp.Compare(a.weight, b.weight))
	})
	return hosts
}
