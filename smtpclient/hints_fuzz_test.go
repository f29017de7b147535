package smtpclient

import (
	"reflect"
	"testing"
)

// Whatever stands in the cache, a hint takes away PIPELINING, or bounds what goes
// over a connection, and nothing else of what the server offers.
func FuzzHints(f *testing.F) {
	f.Add("k", "k\ntrue 2 20", "250-x\nPIPELINING\nSTARTTLS\nLIMITS MAILMAX=5")
	f.Add("k", "k\nfalse 3 -1", "PIPELINING")
	f.Add("k", "other\ntrue 2 20", "")
	f.Fuzz(func(t *testing.T, key, value, offers string) {
		h := parseHints(key, []byte(value))
		s := &Session{memo: &memo{hints: h}, ext: parseExtensions([]string{"mx.example.net", offers, "PIPELINING", "STARTTLS", "AUTH PLAIN"}, nil)}
		before := s.ext
		s.heed()
		if s.ext.pipelining != (before.pipelining && h.strikes < struckOut) {
			t.Errorf("%q: pipelining %v", value, s.ext.pipelining)
		}
		if s.ext.mailMax < 0 || before.mailMax > 0 && (s.ext.mailMax == 0 || s.ext.mailMax > before.mailMax) {
			t.Errorf("%q: %d mails, offered %d", value, s.ext.mailMax, before.mailMax)
		}
		s.ext.pipelining, s.ext.mailMax = before.pipelining, before.mailMax
		if !reflect.DeepEqual(s.ext, before) {
			t.Errorf("%q changes %+v to %+v", value, before, s.ext)
		}
	})
}
