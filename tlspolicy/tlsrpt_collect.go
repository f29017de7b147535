package tlspolicy

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/internal/address"
	"github.com/postrider/postrider/internal/ascii"
	"github.com/postrider/postrider/resolve"
)

// Collector is a Recorder that counts the results of each day, in UTC, for the
// domains that want to know (RFC 8460). A [Reporter] makes reports of them and
// sends them. Set the same Collector in all clients of a program:
//
//	collector := &tlspolicy.Collector{Organization: "Example", Contact: "tlsrpt@example.org"}
//	client := &smtpclient.Client{TLSResults: collector}
//
// It counts for the next hop: the domain of the recipient, or the host that was
// configured in its place. A next hop that is an address or a socket gets no
// report, nor does one in LMTP. Of each domain the results are kept by policy, and
// failures by their type, the two addresses, the host, its EHLO name and the
// reason.
//
// Memory is bounded by MaxBytes. A domain that publishes no address for reports is
// found out by [Collector.Save], in the background, and costs only its name from
// then on; nothing is ever asked in the way of a delivery.
//
// Several processes share the work by a Cache: each has a Name and calls Keep, and
// the one with the Reporter has the Names of the others in Peers. Their counts add
// up exactly.
//
// It is safe for many goroutines, and must not be copied or changed after its first
// use.
type Collector struct {
	// Organization is who reports. "": the domain of Contact.
	Organization string
	// Contact is the mail address of who is responsible for the reports, in ASCII;
	// needed. Reports come from it, and its domain has to sign them with DKIM.
	Contact string
	// Information is a URI under which there is more to read about failures. "":
	// there is none.
	Information string
	// Resolver finds the addresses for reports. nil: resolve.Default().
	Resolver resolve.Resolver
	// Cache keeps the counts beyond the end of the process, and brings those of
	// several together: it should not lose what it was given. Without a Cache what
	// was counted is lost with the process. Addresses for reports are kept in it for
	// a day.
	Cache cache.Cache
	// Name tells this process from others that share the Cache; it must be the same
	// after a restart. "": the name of this machine.
	Name string
	// Peers are the Names of the other processes, whose counts go into the reports
	// of this one.
	Peers []string
	// MaxBytes bounds the memory for counts of all days that are not reported yet.
	// What finds no room is left out and counted by Dropped; domains that are known
	// already are counted on. Zero: 64 MiB, which is enough for 100,000 domains.
	MaxBytes int
	// SkipResumed leaves out connections on which an earlier TLS session was resumed.
	SkipResumed bool

	once    sync.Once
	salt    string                 // of report IDs
	asked   cache.Loader[[]string] // addresses for reports
	saving  sync.Mutex             // one Save at a time
	bytes   atomic.Int64
	dropped atomic.Int64
	open    atomic.Int64 // the first day that was not taken out
	buckets [partsOfDay]bucket
}

// partsOfDay is into how many parts a day is divided, by domain. It must be the same in
// all processes that share a Cache.
const partsOfDay = 256

// bucket has the counts of some domains.
type bucket struct {
	mu    sync.Mutex
	parts map[day]*part
}

// part is a bucket on one day.
type part struct {
	domains map[string]*tally
	loaded  bool // with what this process stored before it was started again
	dirty   bool // there is something that is not stored
}

// day is a day in UTC, counted from 1970.
type day int64

const secondsOfDay = 24 * 60 * 60

func dayOf(t time.Time) day { return day(t.Unix() / secondsOfDay) }

func (d day) begin() time.Time { return time.Unix(int64(d)*secondsOfDay, 0).UTC() }

func (d day) String() string { return d.begin().Format(time.DateOnly) }

func bucketOf(domain string) int {
	h := fnv.New32a()
	h.Write([]byte(domain))
	return int(h.Sum32() % partsOfDay)
}

// Record implements Recorder. It counts, and asks nobody.
func (c *Collector) Record(_ context.Context, r Result) {
	if r.Domain == "" || r.Resumed && c.SkipResumed {
		return
	}
	on := c.dayFor(r.Time)
	b := &c.buckets[bucketOf(r.Domain)]
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.part(on)
	t := p.domains[r.Domain]
	if t == nil {
		if !c.reserve(domainCost + len(r.Domain)) {
			c.dropped.Add(1)
			return
		}
		t = &tally{}
		p.domains[strings.Clone(r.Domain)] = t
	}
	if t.silent {
		return
	}
	if !t.add(r, c.reserve) {
		c.dropped.Add(1)
	}
	p.dirty = true
}

// dayFor is the day for which a result of that time counts: today, or yesterday as long as
// that was not sent.
func (c *Collector) dayFor(t time.Time) day {
	now := dayOf(time.Now())
	if t.IsZero() {
		return now
	}
	return min(max(dayOf(t), now-1, day(c.open.Load())), now)
}

// closeUntil has what is told of earlier days count for d.
func (c *Collector) closeUntil(d day) {
	for old := c.open.Load(); old < int64(d) && !c.open.CompareAndSwap(old, int64(d)); {
		old = c.open.Load()
	}
}

// part is that of a day; b.mu is held.
func (b *bucket) part(d day) *part {
	if b.parts == nil {
		b.parts = make(map[day]*part)
	}
	if b.parts[d] == nil {
		b.parts[d] = &part{domains: make(map[string]*tally)}
	}
	return b.parts[d]
}

// Dropped is how many results found no room since the start.
func (c *Collector) Dropped() int64 { return c.dropped.Load() }

// reserve takes n bytes of the room that is left.
func (c *Collector) reserve(n int) bool {
	limit := int64(c.MaxBytes)
	if limit == 0 {
		limit = 64 << 20
	}
	if c.bytes.Add(int64(n)) > limit {
		c.bytes.Add(int64(-n))
		return false
	}
	return true
}

func (c *Collector) release(n int) { c.bytes.Add(int64(-n)) }

// dropLocked forgets the part of a day.
func (c *Collector) dropLocked(b *bucket, d day) {
	p := b.parts[d]
	if p == nil {
		return
	}
	for name, t := range p.domains {
		c.release(domainCost + len(name) + t.cost())
	}
	delete(b.parts, d)
}

// fault is what is wrong with the configuration, or nil.
func (c *Collector) fault() error {
	contact, err := address.Parse(c.Contact)
	switch {
	case err != nil:
		return fmt.Errorf("Collector.Contact: %w", err)
	case !contact.ASCII():
		return errors.New("Collector.Contact: an address in ASCII is needed, as not all receivers have SMTPUTF8")
	case strings.HasPrefix(contact.Domain, "["):
		return errors.New("Collector.Contact: an address at a domain is needed, which signs the reports")
	}
	for _, name := range append([]string{c.name()}, c.Peers...) {
		if name == "" || len(name) > 150 || !ascii.IsVisible(name) {
			return fmt.Errorf("Collector.Name and Peers: %.200q is not 1 to 150 printable letters without spaces", name)
		}
	}
	if _, err := url.Parse(c.Information); err != nil {
		return fmt.Errorf("Collector.Information: %w", err)
	}
	return nil
}

// name is that of this process.
func (c *Collector) name() string {
	if c.Name != "" {
		return c.Name
	}
	host, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return host
}

// contact is the Contact as it is written in a message; its domain submits the reports.
func (c *Collector) contact() (box, submitter string) {
	contact, _ := address.Parse(c.Contact) // fault has looked at it
	return contact.String(), contact.Domain
}
