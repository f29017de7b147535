package smtpclient_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
)

// store is a Cache of which what is kept about credentials can be seen.
type store struct {
	values map[string]string
	ttl    time.Duration
}

func (s *store) Get(_ context.Context, key string) ([]byte, bool, error) {
	v, ok := s.values[key]
	return []byte(v), ok, nil
}

func (s *store) Set(_ context.Context, key string, value []byte, ttl time.Duration) error {
	if !strings.HasPrefix(key, "route") {
		s.values[key], s.ttl = string(value), ttl
	}
	return nil
}

func (s *store) Delete(_ context.Context, key string) error { return nil }

func (s *store) text() string {
	var b strings.Builder
	for k, v := range s.values {
		b.WriteString(k + " " + v + "\n")
	}
	return b.String()
}

// A password that was refused is not shown to the same host again for a time; a
// changed one is at once. Nothing in the cache tells it.
func TestAuthMemory(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := w.smarthost(submission("AUTH PLAIN"))
		wrong := &smtpclient.Credential{User: "ann", Password: wrongPassword}
		for range 3 {
			report := w.deliverAs(wrong)
			expect(t, report, deferredBob+"auth 4.7.8")
			if o := report.Outcomes[0]; o.Reply.Code != 535 || !errors.Is(o.Err(), smtpclient.AuthBadCredentials) {
				t.Errorf("remembered as %v", o.Err())
			}
		}
		if got := s.Sessions(); got != 1 {
			t.Errorf("%d sessions with the wrong password, want 1", got)
		}
		w.client.Auth = ann()
		expect(t, w.deliver(t.Context(), fromAnn("carol@example.net"), hello), "carol@example.net delivered data-done 2.0.0")
		time.Sleep(time.Hour)
		w.deliverAs(wrong)
		if got := s.Sessions(); got != 3 {
			t.Errorf("%d sessions after an hour, want a third", got)
		}
	})
	inWorld(t, func(t *testing.T, w *world) {
		s := w.smarthost(submission("AUTH PLAIN"))
		w.client.AuthMemory.TTL = -1
		for range 3 {
			w.deliverAs(&smtpclient.Credential{User: "ann", Password: wrongPassword})
		}
		if got := s.Sessions(); got != 3 {
			t.Errorf("without memory: %d sessions, want 3", got)
		}
	})
	inWorld(t, func(t *testing.T, w *world) {
		w.smarthost(submission("AUTH PLAIN"))
		seen := &store{values: map[string]string{}}
		w.client.Cache = seen
		key := []byte(theKey)
		w.client.AuthMemory = smtpclient.AuthMemory{TTL: time.Minute, Key: key}
		wrong := &smtpclient.Credential{User: "ann", Password: wrongPassword}
		w.deliverAs(wrong)
		w.deliverAs(wrong)
		if len(seen.values) != 1 || seen.ttl != time.Minute {
			t.Errorf("the cache has %v for %v", seen.values, seen.ttl)
		}
		if overheard.Check(seen.text()) || strings.Contains(seen.text(), "ann") || strings.Contains(seen.text(), "smtp.example") {
			t.Errorf("the cache tells %s", seen.text())
		}
		// Another key is another memory.
		w.client.AuthMemory.Key = append(key, '!')
		w.deliverAs(wrong)
		if len(seen.values) != 2 {
			t.Errorf("with another key the cache has %v", seen.values)
		}
	})
}

// Temporary failures, tokens and mechanisms of one's own are not remembered.
func TestAuthMemoryIsForPasswords(t *testing.T) {
	for name, tt := range map[string]struct {
		replies []string
		c       *smtpclient.Credential
	}{
		"454":   {[]string{"454 4.7.0 later", "454 4.7.0 later"}, ann("PLAIN")},
		"504":   {[]string{"504 5.5.4 what", "504 5.5.4 what"}, ann("PLAIN")},
		"token": {[]string{"535 no", "535 no"}, &smtpclient.Credential{User: "robot", Token: tokenOf(staleToken), Mechanisms: []string{"XOAUTH2"}}},
		"own":   {[]string{"535 no", "535 no"}, singer()},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			s := submission(allMechanisms, "AUTH X-SONG")
			s.Script = script(tt.replies...)
			w.smarthost(s)
			seen := &store{values: map[string]string{}}
			w.client.Cache = seen
			w.deliverAs(tt.c)
			w.deliverAs(tt.c)
			if s.Sessions() != 2 || len(seen.values) != 0 {
				t.Errorf("%s: %d sessions, cache %v", name, s.Sessions(), seen.values)
			}
		})
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.smarthost(submission())
		w.client.AuthMemory.Key = []byte("short")
		report := w.deliverAs(ann())
		expect(t, report, deferredBob+"input 4.3.5")
		if !strings.Contains(report.Err().Error(), "Client.AuthMemory") {
			t.Error(report.Err())
		}
	})
}

// A host that has refused a credential does not get it on its other addresses; the
// next host does.
func TestRefusedOnceForAllAddresses(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := w.smarthost(submission("AUTH PLAIN"))
		w.client.Cache = cache.None
		w.net["192.0.2.88:587"] = s
		w.dns[resolve.Question{Name: "smtp.example.net", Type: resolve.TypeA}] = resolve.Answer{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.87"), netip.MustParseAddr("192.0.2.88")}}
		other := submission("AUTH PLAIN")
		other.Certificate.Names = []string{"smtp.example.com"}
		w.net["192.0.2.89:587"] = other
		w.dns[resolve.Question{Name: "smtp.example.com", Type: resolve.TypeA}] = resolve.Answer{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.89")}}
		w.client.NextHops = append(w.client.NextHops, "[smtp.example.com]:587")
		report := w.deliverAs(&smtpclient.Credential{User: "ann", Password: wrongPassword})
		o := report.Outcomes[0]
		if s.Sessions() != 1 || len(o.Earlier) != 1 || o.Host != "smtp.example.com" {
			t.Errorf("%d sessions with the first host; attempts %+v, then %s", s.Sessions(), o.Earlier, o.Host)
		}
	})
}
