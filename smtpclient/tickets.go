package smtpclient

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/internal/hasty"
)

// TicketCache keeps TLS sessions for resumption in a Cache, as one that outlives
// the process or is shared by many. Set it as the ClientSessionCache of
// Dialer.TLSConfig; for resumption within a process tls.NewLRUClientSessionCache
// is enough. What is kept is sealed with Key: who can read or write the Cache can
// neither use a session nor make one up. It is safe for many goroutines.
type TicketCache struct {
	Cache cache.Cache // nil: cache.Default
	// Key is for AES-GCM: 16, 24 or 32 random bytes. Another key forgets all.
	Key []byte
	// Life is how long a session is kept. Zero: an hour, as Postfix has it. More
	// than a week is a week (RFC 8446, Section 4.6.1).
	Life time.Duration
}

const maxTicketLife = 7 * 24 * time.Hour

// fault is what is wrong with the configuration, or nil.
func (c *TicketCache) fault() error {
	if _, err := aes.NewCipher(c.Key); err != nil {
		return fmt.Errorf("TicketCache.Key: it has %d bytes; give it 32 random ones", len(c.Key))
	}
	return nil
}

// Get implements tls.ClientSessionCache.
func (c *TicketCache) Get(key string) (*tls.ClientSessionState, bool) {
	return c.get(context.Background(), key)
}

// Put implements tls.ClientSessionCache.
func (c *TicketCache) Put(key string, cs *tls.ClientSessionState) {
	c.put(context.Background(), key, cs)
}

func (c *TicketCache) cache() cache.Cache {
	if c.Cache == nil {
		return hasty.Of(cache.Default)
	}
	return hasty.Of(c.Cache)
}

// storeKey is the key in the Cache: printable, whatever key is.
func storeKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "tls-session/" + hex.EncodeToString(sum[:])
}

// aead is the cipher, or nil if there is no good key.
func (c *TicketCache) aead() cipher.AEAD {
	block, err := aes.NewCipher(c.Key)
	if err != nil {
		return nil
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil
	}
	return aead
}

// get finds a session. What was changed, expired, or put there under another key
// is a miss.
func (c *TicketCache) get(ctx context.Context, key string) (*tls.ClientSessionState, bool) {
	at, aead := storeKey(key), c.aead()
	if aead == nil {
		return nil, false
	}
	sealed, ok, err := c.cache().Get(ctx, at)
	if err != nil || !ok {
		return nil, false
	}
	plain, err := aead.Open(nil, nil, sealed, []byte(at))
	if err != nil {
		return nil, false
	}
	return parseTicket(plain)
}

func (c *TicketCache) put(ctx context.Context, key string, cs *tls.ClientSessionState) {
	at, aead := storeKey(key), c.aead()
	if aead == nil {
		return
	}
	// An error of the cache is a session that is not resumed.
	if cs == nil {
		_ = c.cache().Delete(ctx, at)
		return
	}
	life := c.Life
	if life <= 0 {
		life = time.Hour
	}
	life = min(life, maxTicketLife)
	if plain := appendTicket(time.Now().Add(life), cs); plain != nil {
		_ = c.cache().Set(ctx, at, aead.Seal(nil, nil, plain, []byte(at)), life)
	}
}

// A ticket is written as when it ends, in seconds, the length of the server's
// part, the server's part, and our state.

func appendTicket(end time.Time, cs *tls.ClientSessionState) []byte {
	ticket, state, err := cs.ResumptionState()
	if err != nil || state == nil {
		return nil
	}
	ours, err := state.Bytes()
	if err != nil {
		return nil
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(end.Unix()))
	b = binary.BigEndian.AppendUint32(b, uint32(len(ticket)))
	return append(append(b, ticket...), ours...)
}

func parseTicket(b []byte) (*tls.ClientSessionState, bool) {
	if len(b) < 12 || time.Now().Unix() >= int64(binary.BigEndian.Uint64(b)) {
		return nil, false
	}
	n := binary.BigEndian.Uint32(b[8:])
	rest := b[12:]
	if uint64(n) > uint64(len(rest)) {
		return nil, false
	}
	state, err := tls.ParseSessionState(rest[n:])
	if err != nil {
		return nil, false
	}
	cs, err := tls.NewResumptionState(rest[:n], state)
	return cs, err == nil
}

// ticketKeeper is the ClientSessionCache of one handshake. It puts what the
// channel has to be in the place of the server's name, which is all that
// crypto/tls would go by, and writes it into each session besides.
type ticketKeeper struct {
	s     *Session // whose call pays for the time of the store
	store tls.ClientSessionCache
	id    string
}

// tickets is the ClientSessionCache for a handshake, or nil for none.
func (s *Session) tickets(c *tls.Config) tls.ClientSessionCache {
	if c.ClientSessionCache == nil || s.target.fresh || c.GetClientCertificate != nil {
		// Nobody can tell which certificate GetClientCertificate will choose.
		return nil
	}
	return &ticketKeeper{s: s, store: c.ClientSessionCache, id: s.ticketID(c)}
}

// ticketID tells apart what must never mix: the server, our identity, and all
// that the policy and the Dialer demand.
func (s *Session) ticketID(c *tls.Config) string {
	h := sha256.New()
	for _, part := range []string{s.target.Policy.ID(), s.target.Host, s.target.Addr, s.target.Protocol.String(), s.name,
		s.dialer.LocalAddr4.String(), s.dialer.LocalAddr6.String(), c.ServerName} {
		fmt.Fprintf(h, "%q ", part)
	}
	fmt.Fprint(h, c.MinVersion, c.MaxVersion, c.CipherSuites, c.CurvePreferences, c.NextProtos)
	for _, cert := range c.Certificates {
		for _, der := range cert.Certificate {
			fmt.Fprintf(h, " %x", sha256.Sum256(der))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Get finds the session of this channel, and of no other.
func (k *ticketKeeper) Get(string) (cs *tls.ClientSessionState, ok bool) {
	if sealed, is := k.store.(*TicketCache); is {
		cs, ok = sealed.get(k.s.call.ctx, k.id)
	} else {
		cs, ok = k.store.Get(k.id)
	}
	if !ok || cs == nil {
		return nil, false
	}
	_, state, err := cs.ResumptionState()
	if err != nil || state == nil || !marked(state, k.id) {
		return nil, false
	}
	return cs, true
}

// Put keeps a session, or with nil forgets the one that is kept.
func (k *ticketKeeper) Put(_ string, cs *tls.ClientSessionState) {
	if cs != nil {
		ticket, state, err := cs.ResumptionState()
		if err != nil || state == nil {
			return
		}
		if !marked(state, k.id) {
			state.Extra = append(state.Extra, mark(k.id))
		}
		if cs, err = tls.NewResumptionState(ticket, state); err != nil {
			return
		}
	}
	if sealed, is := k.store.(*TicketCache); is {
		sealed.put(k.s.call.ctx, k.id, cs)
		return
	}
	k.store.Put(k.id, cs)
}

func mark(id string) []byte { return []byte("postrider " + id) }

func marked(state *tls.SessionState, id string) bool {
	for _, extra := range state.Extra {
		if bytes.Equal(extra, mark(id)) {
			return true
		}
	}
	return false
}
