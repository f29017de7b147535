package resolve

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/cache"
)

// Cached is a Resolver that remembers the answers of another one for as long as
// they hold, also those that there is nothing. Errors are never kept. A question
// that several callers have at once is asked once; see Afresh for a way past what is
// kept. It is safe for many goroutines, and must neither be changed nor copied after
// its first use.
//
// An answer with a TTL of zero, as all those of System, is not kept. What does
// not come from the cache as it was put in counts as missing.
type Cached struct {
	Resolver Resolver // nil: Default()
	// Cache keeps the answers. nil: a cache.Memory of this Cached alone. Whoever
	// can write to the cache says where mail goes, and what is Secure.
	Cache cache.Cache
	// Prefix is put before the keys: 1 to 100 bytes of printable ASCII. Set it
	// where several Cached share a Cache and ask different Resolvers. "": "dns:".
	Prefix string
	// MaxTTL bounds how long an answer is kept. Zero: 1 hour.
	MaxTTL time.Duration

	once   sync.Once
	loader cache.Loader[entry]
}

// entry is an Answer as it is kept.
type entry struct {
	Answer
	Text    [][]byte // TXT: any bytes, which JSON strings are not
	Expires time.Time
}

// Lookup implements Resolver. The error is that of the other Resolver, or of
// ctx. The TTL of the Answer is what is left of it.
func (c *Cached) Lookup(ctx context.Context, q Question) (Answer, error) {
	c.once.Do(func() {
		c.loader.Cache, c.loader.Prefix = c.Cache, cmp.Or(c.Prefix, "dns:")+"1:"
		if c.Cache == nil {
			c.loader.Cache = &cache.Memory{}
		}
		c.loader.Load, c.loader.Encode, c.loader.Decode = c.load, encodeEntry, decodeEntry
	})
	if err := ctx.Err(); err != nil {
		return Answer{}, err
	}
	find := c.loader.Get
	if IsAfresh(ctx) {
		find = c.replace
	}
	e, err := find(ctx, fmt.Sprintf("%d/%s", q.Type, canonicalName(q.Name)))
	if err != nil {
		return Answer{}, err
	}
	if !e.Expires.IsZero() {
		e.TTL = max(0, time.Until(e.Expires))
	}
	return e.Answer, nil
}

// replace asks the other Resolver whatever is in the cache. After an error that
// stays.
func (c *Cached) replace(ctx context.Context, key string) (entry, error) {
	e, life, err := c.load(ctx, key)
	switch {
	case err != nil:
		return entry{}, err
	case life.Fresh > 0:
		c.loader.Put(ctx, key, e, life)
	default:
		_ = c.loader.Forget(ctx, key) // as with every error of a Cache: at worst the old one is used
	}
	return e, nil
}

// load asks the other Resolver.
func (c *Cached) load(ctx context.Context, key string) (entry, cache.Life, error) {
	typ, name, _ := strings.Cut(key, "/")
	n, err := strconv.ParseUint(typ, 10, 16)
	if err != nil {
		return entry{}, cache.Life{}, fmt.Errorf("key %s: %w", quote(key), err)
	}
	a, err := orDefaultResolver(c.Resolver).Lookup(ctx, Question{name, Type(n)})
	if err != nil || a.TTL <= 0 {
		return entry{Answer: a}, cache.Life{}, err
	}
	a.TTL = min(a.TTL, orDefault(c.MaxTTL, time.Hour))
	return entry{Answer: a, Expires: time.Now().Add(a.TTL)}, cache.Life{Fresh: a.TTL}, nil
}

func encodeEntry(e entry) ([]byte, error) {
	for _, s := range e.TXT {
		e.Text = append(e.Text, []byte(s))
	}
	e.TXT = nil
	return json.Marshal(e)
}

func decodeEntry(s string) (e entry, err error) {
	if err := json.Unmarshal([]byte(s), &e); err != nil {
		return entry{}, err
	}
	if e.Expires.IsZero() || e.TTL <= 0 {
		return entry{}, errors.New("this is no answer")
	}
	for _, s := range e.Text {
		e.TXT = append(e.TXT, string(s))
	}
	e.Text = nil
	return e, nil
}
