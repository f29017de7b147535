package cache

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Sealed is a Cache in another one to which others can write, too. What they make
// up, change or move to another key is missing; what they bring back is good no
// longer than it was. All they can do is remove. They cannot read values either, but
// keys stay as they are. Seal makes one.
//
// A Cache is believed as the DNS is. Where others than your programs can write to
// one, as to a Redis that is shared, put it behind Sealed: otherwise they could say
// that a domain publishes neither DANE nor MTA-STS. It is safe for many goroutines
// if its Cache is.
type Sealed struct {
	cache Cache
	aead  cipher.AEAD
}

// Seal keeps values in c under key, which is for AES-GCM: 16, 24 or 32 random bytes,
// the same in all programs that share c. Another key forgets all. The error is about
// the key.
func Seal(c Cache, key []byte) (*Sealed, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("the key has %d bytes; give it 32 random ones", len(key))
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &Sealed{c, aead}, nil
}

var errNotSealed = errors.New("the value was not sealed by us under this key")

// Get implements Cache. A value that is not ours is an error, as are those of the
// Cache below.
func (s *Sealed) Get(ctx context.Context, key string) (value []byte, ok bool, err error) {
	sealed, ok, err := s.cache.Get(ctx, key)
	if err != nil || !ok {
		return nil, false, err
	}
	plain, err := s.aead.Open(nil, nil, sealed, []byte(key))
	if err != nil || len(plain) < 8 {
		return nil, false, errNotSealed
	}
	if time.Now().UnixMilli() >= int64(binary.BigEndian.Uint64(plain)) {
		return nil, false, nil
	}
	return plain[8:], true, nil
}

// Set implements Cache. With the value goes when it ends.
func (s *Sealed) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if ttl <= 0 {
		return s.cache.Set(ctx, key, nil, ttl)
	}
	plain := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(value)), uint64(time.Now().Add(ttl).UnixMilli()))
	return s.cache.Set(ctx, key, s.aead.Seal(nil, nil, append(plain, value...), []byte(key)), ttl)
}

// Delete implements Cache.
func (s *Sealed) Delete(ctx context.Context, key string) error { return s.cache.Delete(ctx, key) }
