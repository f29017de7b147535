package smtpclient

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// AuthMemory says how a wrong password is remembered, in Client.Cache: it is not
// shown to the same host again, which could lock the account, but another one is at
// once. Tokens, and mechanisms of Credential.SASL, are not remembered. Zero is a
// memory of one hour.
//
// What is kept is the server's reply under an HMAC of host, user and password:
// without the key nothing can be found out from it. It does not print its key.
type AuthMemory struct {
	// TTL is how long. Zero: one hour, since most servers forget failures in that
	// time and a password that was corrected at the server should come into use
	// soon; Postfix has 90 days. Negative: nothing is remembered.
	TTL time.Duration
	// Key is the key of the HMAC, of 32 random bytes or more, for processes that
	// share a Cache. nil: a key of this process, so that its memory ends with it.
	Key []byte
}

// processKey never changes.
var processKey = rand.Text()

func (m AuthMemory) fault() error {
	if m.Key != nil && len(m.Key) < 32 {
		return errors.New("Client.AuthMemory: Key has less than 32 bytes")
	}
	return nil
}

// String gives TTL.
func (m AuthMemory) String() string { return fmt.Sprintf("memory of wrong passwords, TTL %v", m.TTL) }

// Format prints String for every verb and flag.
func (m AuthMemory) Format(f fmt.State, _ rune) { io.WriteString(f, m.String()) }

// MarshalText is String, for JSON, slog and the like.
func (m AuthMemory) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// place is the key in the Cache of a credential at a host; "" if it is not
// remembered.
func (m AuthMemory) place(host string, c *Credential) string {
	if m.TTL < 0 || !hasPassword(c) || c.SASL != nil {
		return ""
	}
	key := m.Key
	if key == nil {
		key = []byte(processKey)
	}
	mac := hmac.New(sha256.New, key)
	for _, part := range []string{host, c.User, c.Identity, c.Password} {
		// With its length, so that no two credentials look alike.
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		mac.Write(length[:])
		io.WriteString(mac, part)
	}
	return "auth-refused:" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (m AuthMemory) ttl() time.Duration { return orDefault(m.TTL, time.Hour) }

var errRemembered = errors.New("not tried again, since the server has refused it before")

// refusedBefore is the failure of a credential that its host has refused lately;
// else nil. A Cache that fails knows nothing.
func (w *way) refusedBefore(ctx context.Context, t *Target) *Error {
	place := w.client.AuthMemory.place(t.Host, t.Credential)
	if place == "" {
		return nil
	}
	value, ok, err := w.cache.Get(ctx, place)
	var reply Reply
	if err != nil || !ok || json.Unmarshal(value, &reply) != nil {
		return nil
	}
	a := w.attempt(StageAuth, t.Host, AuthBadCredentials.enhanced(), &AuthError{Failure: AuthBadCredentials, Err: errRemembered})
	a.Reply = reply
	return &Error{Status: Deferred, Attempt: a}
}

// noteRefused remembers a credential that was refused. The other addresses of the
// host are spared it, too.
func (w *way) noteRefused(ctx context.Context, err *Error, t *Target) {
	if !errors.Is(err, AuthBadCredentials) {
		return
	}
	w.denied = t.Host
	place := w.client.AuthMemory.place(t.Host, t.Credential)
	if place == "" {
		return
	}
	if value, err := json.Marshal(err.Reply); err == nil {
		_ = w.cache.Set(ctx, place, value, w.client.AuthMemory.ttl())
	}
}
