package resolve

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// Site names who receives the mail: it is the same for all domains that have the
// same hosts, whatever their preferences, in every process and in whatever order
// they came. Receivers count connections by it, and so should a limit. It is
//
//   - the name that Routing.Provider has for all the hosts, or else
//   - the names of all hosts, sorted, with commas between them, as
//     "mx1.example.org,mx2.example.org", or, if that is longer than 200 bytes,
//     the first of them and a hash, as "mx1.example.org#2f7e...".
//
// Hosts that Routing.Self leaves out count, too. It has no spaces; a socket is
// "unix:" with its path.
func (r *Route) Site() string {
	hosts := r.all
	if hosts == nil {
		hosts = r.Hosts // made by hand
	}
	if r.NextHop.Kind == ViaSocket || len(hosts) == 0 {
		return r.NextHop.String()
	}
	names := make([]string, len(hosts))
	for i := range hosts {
		names[i] = hosts[i].Name
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if p := r.provider(names); p != "" {
		return p
	}
	site := strings.Join(names, ",")
	if len(names) == 1 || len(site) <= 200 {
		return site
	}
	sum := sha256.Sum256([]byte(site))
	return names[0] + "#" + hex.EncodeToString(sum[:16])
}

// provider is the one that all of the hosts have.
func (r *Route) provider(names []string) string {
	if r.routes == nil || r.routes.Routing.Provider == nil {
		return ""
	}
	first := r.routes.Routing.Provider(names[0])
	for _, name := range names[1:] {
		if first == "" || r.routes.Routing.Provider(name) != first {
			return ""
		}
	}
	return first
}
