// Package cache remembers what was expensive to find out: DNS answers, MTA-STS
// policies, what failed at a server.
//
//	client := &smtpclient.Client{Cache: &cache.Memory{MaxBytes: 64 << 20}}
//
// [Memory] is the cache of one process; [Default] is the one that is used where
// none is set. Another store, such as one that many machines share, is a
// [Cache] of three methods; package cachetest checks it, and
// examples/custom-cache shows one.
//
// Nothing that is cached is needed: a value that is missing is found out again.
// A cache may therefore forget at any time, and an error of it never stops mail.
package cache

import (
	"context"
	"time"
)

// Cache keeps values for a while. An implementation keeps these rules, which
// package cachetest checks by their numbers:
//
//  1. Every method may be called from many goroutines at once.
//  2. A key is 1 to 250 bytes of printable ASCII without the space, '!' to '~'.
//     All of them are good, and every byte counts, also the case of a letter.
//  3. A missing key is no error: Get returns nil, false and nil, and Delete
//     returns nil.
//  4. A value is any bytes. An empty one is a value, though Get may give it as
//     nil. Set replaces value and ttl.
//  5. Slices are not shared: the cache does not keep the slice that Set was
//     given, nor change the one that Get gave, and the caller may change both.
//  6. A value may go early, but never stays longer than its ttl: a store with
//     coarser time rounds down. Set with a ttl of zero or less removes the key.
//  7. Methods return when ctx ends, with an error that wraps ctx's; if it has
//     ended before the call, nothing is changed.
//  8. With an error ok is false. The caller goes on as if the key were missing;
//     after an error of Set or Delete either value may be there, the old or the
//     new.
type Cache interface {
	Get(ctx context.Context, key string) (value []byte, ok bool, err error)
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	Delete(ctx context.Context, key string) error
}

// Default is used where no cache is set: a Memory of this process, as
// http.DefaultTransport is its transport. Assign another one before the first
// use, or set the field of whoever uses it.
var Default Cache = &Memory{}

// None remembers nothing. It is for those who want every answer fresh. It never
// returns an error and does not pass cachetest, which asks for a memory.
var None Cache = none{}

type none struct{}

func (none) Get(context.Context, string) ([]byte, bool, error)        { return nil, false, nil }
func (none) Set(context.Context, string, []byte, time.Duration) error { return nil }
func (none) Delete(context.Context, string) error                     { return nil }
