// Package boltcache keeps a cache in a file, in a bbolt database, so that what
// was learned survives a restart: MTA-STS policies above all, which RFC 8461
// wants remembered.
//
//	db, err := bbolt.Open("/var/lib/example/postrider.db", 0o600, &bbolt.Options{Timeout: time.Second})
//	...
//	client.Cache = &boltcache.Cache{DB: db}
package boltcache

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// Cache is a cache.Cache in a bbolt database, which the caller opens and closes.
// It is safe for many goroutines; a bbolt file belongs to one process at a time.
//
// A value that Set has accepted is on the disk: it survives a crash of the
// process and, unless DB.NoSync is set, of the machine. That costs an fsync for
// each Set, which suits values that are rarely written. Get costs none.
type Cache struct {
	DB *bbolt.DB
	// Bucket is the name under which everything is kept. "": "postrider".
	Bucket string
	// MaxEntries bounds what is kept: where it is reached, the value that would
	// expire first goes. Zero: 100,000; negative: no bound.
	MaxEntries int
}

// Under Bucket are two buckets: values by key, each behind its expiry, and an
// index of keys by expiry. An expiry is microseconds since 1970, big endian.
var (
	valuesName = []byte("values")
	expiryName = []byte("expiry")
)

const expirySize = 8

func (c *Cache) bucket() []byte {
	if c.Bucket == "" {
		return []byte("postrider")
	}
	return []byte(c.Bucket)
}

// Get implements cache.Cache.
func (c *Cache) Get(ctx context.Context, key string) (value []byte, ok bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	err = c.DB.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(c.bucket())
		if b == nil {
			return nil
		}
		kept := b.Bucket(valuesName).Get([]byte(key))
		if len(kept) < expirySize || !time.Now().Before(expiryOf(kept)) {
			return nil
		}
		value, ok = append([]byte{}, kept[expirySize:]...), true
		return nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("boltcache: reading %q: %w", key, err)
	}
	return value, ok, nil
}

// Set implements cache.Cache. Expired values are removed on the way, a few at a
// time.
func (c *Cache) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if ttl <= 0 {
		return c.Delete(ctx, key)
	}
	return c.update(ctx, key, func(b buckets) error {
		if err := b.remove([]byte(key)); err != nil {
			return err
		}
		if err := c.makeRoom(b); err != nil {
			return err
		}
		return b.put([]byte(key), value, time.Now().Add(ttl))
	})
}

// Delete implements cache.Cache.
func (c *Cache) Delete(ctx context.Context, key string) error {
	return c.update(ctx, key, func(b buckets) error { return b.remove([]byte(key)) })
}

func (c *Cache) update(ctx context.Context, key string, change func(b buckets) error) error {
	if key == "" {
		return errors.New("boltcache: the key is empty")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	err := c.DB.Update(func(tx *bbolt.Tx) error {
		// Waiting for other writers may have taken longer than the caller has.
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := c.open(tx)
		if err != nil {
			return err
		}
		return change(b)
	})
	if err != nil {
		return fmt.Errorf("boltcache: writing %q: %w", key, err)
	}
	return nil
}

// buckets are the two, within a transaction.
type buckets struct{ root, values, expiry *bbolt.Bucket }

func (c *Cache) open(tx *bbolt.Tx) (b buckets, err error) {
	if b.root, err = tx.CreateBucketIfNotExists(c.bucket()); err != nil {
		return b, err
	}
	if b.values, err = b.root.CreateBucketIfNotExists(valuesName); err != nil {
		return b, err
	}
	b.expiry, err = b.root.CreateBucketIfNotExists(expiryName)
	return b, err
}

func (b buckets) put(key, value []byte, expires time.Time) error {
	kept := binary.BigEndian.AppendUint64(make([]byte, 0, expirySize+len(value)), uint64(expires.UnixMicro()))
	kept = append(kept, value...)
	if err := b.expiry.Put(indexKey(kept, key), nil); err != nil {
		return err
	}
	if err := b.values.Put(key, kept); err != nil {
		return err
	}
	// The sequence of the bucket counts the entries: counting them would read
	// the whole tree.
	return b.root.SetSequence(b.root.Sequence() + 1)
}

func (b buckets) remove(key []byte) error {
	kept := b.values.Get(key)
	if kept == nil {
		return nil
	}
	if err := b.expiry.Delete(indexKey(kept, key)); err != nil {
		return err
	}
	if err := b.values.Delete(key); err != nil {
		return err
	}
	return b.root.SetSequence(max(1, b.root.Sequence()) - 1)
}

// sweep is how many expired values one Set removes at most.
const sweep = 16

// makeRoom removes some of what has expired, and what would expire first where
// there is no room.
func (c *Cache) makeRoom(b buckets) error {
	most := uint64(100_000)
	switch {
	case c.MaxEntries > 0:
		most = uint64(c.MaxEntries)
	case c.MaxEntries < 0:
		most = ^uint64(0)
	}
	now := time.Now()
	for range sweep {
		first, _ := b.expiry.Cursor().First()
		if len(first) < expirySize {
			return nil
		}
		if now.Before(expiryOf(first)) && b.root.Sequence() < most {
			return nil
		}
		if err := b.remove(append([]byte{}, first[expirySize:]...)); err != nil {
			return err
		}
	}
	return nil
}

// expiryOf reads the expiry in front of a value or an index key.
func expiryOf(b []byte) time.Time {
	return time.UnixMicro(int64(binary.BigEndian.Uint64(b)))
}

// indexKey is the place of a value in the index.
func indexKey(kept, key []byte) []byte {
	return append(append(make([]byte, 0, expirySize+len(key)), kept[:expirySize]...), key...)
}
