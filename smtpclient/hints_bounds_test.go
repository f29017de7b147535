package smtpclient

import (
	"context"
	"errors"
	"net/smtp"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/tlspolicy"
)

// noted is a memory that counts.
type noted struct {
	value []byte
	have  bool
	err   error
	sets  int
	ttl   time.Duration
}

func (n *noted) Get(context.Context, string) ([]byte, bool, error) { return n.value, n.have, n.err }
func (n *noted) Set(_ context.Context, _ string, value []byte, ttl time.Duration) error {
	n.value, n.ttl = value, ttl
	n.sets++
	return n.err
}
func (n *noted) Delete(context.Context, string) error { return nil }

func hinted(m cache.Cache, addr string) *Session {
	s := &Session{target: &Target{Addr: addr, memory: m}, work: &work{}, quirks: &Quirks{}}
	s.call.ctx = context.Background()
	return s
}

// A key is of the protocol and the address, however that is written, and one that a
// cache could not hold is none.
func TestHintKey(t *testing.T) {
	m := &noted{}
	key := hinted(m, "mx.example.net:25").hintsKey()
	if key == "" || key != hinted(m, "MX.example.NET:25").hintsKey() || key == hinted(m, "mx.example.org:25").hintsKey() {
		t.Errorf("%q", key)
	}
	lmtp := hinted(m, "mx.example.net:25")
	if lmtp.target.Protocol = LMTP; lmtp.hintsKey() == key {
		t.Errorf("%q of two protocols", key)
	}
	room := 250 - (len(key) - len("mx.example.net:25"))
	for addr, want := range map[string]bool{
		strings.Repeat("a", room): true, strings.Repeat("a", room+1): false,
		"unix:/a b": false, "unix:/a\nb": false, "unix:/\u00e4": false, "unix:/\x7f": false, "unix:/~!": true,
	} {
		if got := hinted(m, addr).hintsKey() != ""; got != want {
			t.Errorf("%q: %v", addr, got)
		}
	}
	if hinted(nil, "x:25").hintsKey()+hinted(cache.None, "x:25").hintsKey() != "" {
		t.Error("a key where nothing is kept")
	}
}

// An entry of another form, of another key, or beyond the bounds counts as missing.
func TestHintEntries(t *testing.T) {
	for entry, want := range map[string]hints{
		"k\ntrue 2 20": {true, 2, 20}, "k\nfalse 0 1048576": {mails: 1 << 20}, "k\nfalse 1 0": {strikes: 1},
		"k\nfalse 0 1048577": {}, "k\ntrue 3 1": {}, "k\ntrue -1 1": {}, "k\ntrue 1 -1": {}, "l\ntrue 1 1": {}, "k true 1 1": {},
		"k\ntrue 1": {}, "k\ntrue": {}, "k\ntrue 1 x": {}, "": {}, "k\n" + strings.Repeat(" ", 600) + "true 1 1": {},
	} {
		if got := parseHints("k", []byte(entry)); got != want {
			t.Errorf("%.30q: %+v", entry, got)
		}
	}
}

// What a memory gives with an error, or without having it, is not believed; and the
// quirks of others stay as they are.
func TestHintRecall(t *testing.T) {
	entry := []byte(hinted(&noted{}, "x:25").hintsKey() + "\ntrue 2 5")
	for name, m := range map[string]*noted{
		"had": {value: entry, have: true}, "not had": {value: entry}, "an error": {value: entry, have: true, err: errors.New("down")},
	} {
		s := hinted(m, "x:25")
		quirks := s.quirks
		s.recallHints()
		if got := s.memo.hints != (hints{}); got != (name == "had") || quirks.Chunking != 0 || (s.quirks.Chunking == ChunkingOff) != got {
			t.Errorf("%s: %+v, %+v, %+v", name, s.memo.hints, *quirks, *s.quirks)
		}
	}
}

// What is known already is not written again; what can not be written is not kept.
func TestHintLearn(t *testing.T) {
	m := &noted{}
	s := hinted(m, "x:25")
	s.recallHints()
	set := func(h *hints) { h.mails = 7 }
	for range 2 {
		if !s.learn(set) || m.sets != 1 || m.ttl != 24*time.Hour {
			t.Errorf("%d times, for %v", m.sets, m.ttl)
		}
	}
	m.err = errors.New("full")
	if s.learn(func(h *hints) { h.mails = 8 }) {
		t.Error("kept in spite of an error")
	}
}

func TestHintHeed(t *testing.T) {
	for _, tt := range []struct{ heard, offered, want int }{{0, 0, 0}, {0, 5, 5}, {3, 0, 3}, {3, 5, 3}, {5, 3, 3}} {
		s := &Session{memo: &memo{hints: hints{mails: tt.heard}}, ext: extensions{mailMax: tt.offered}}
		if s.heed(); s.ext.mailMax != tt.want {
			t.Errorf("%+v: %d", tt, s.ext.mailMax)
		}
	}
}

// A group counts against a server if it was one, in a session of one's own that
// nobody has cut, and the server was out of step.
func TestHintGroups(t *testing.T) {
	lost := &Error{Attempt: Attempt{Enhanced: "4.4.2"}}
	for name, tt := range map[string]struct {
		before int
		err    *Error
		change func(tr *transaction)
		want   int
	}{
		"lost":           {0, lost, nil, 1},
		"lost again":     {1, lost, nil, 2},
		"lost for long":  {2, lost, nil, 2},
		"out of step":    {0, &Error{Attempt: Attempt{Enhanced: "4.5.0"}}, nil, 1},
		"said":           {0, &Error{Attempt: Attempt{Enhanced: "4.4.2", Reply: Reply{Code: 421}}}, nil, 0},
		"something else": {0, &Error{Attempt: Attempt{Enhanced: "4.3.0"}}, nil, 0},
		"well":           {1, nil, nil, 0},
		"well again":     {2, nil, nil, 0},
		"one command":    {0, lost, func(tr *transaction) { tr.owed = tr.owed[:1] }, 0},
		"kept before":    {0, lost, func(tr *transaction) { tr.s.resumed = true }, 0},
		"cut":            {0, lost, func(tr *transaction) { tr.s.call.cut = true }, 0},
	} {
		s := hinted(&noted{}, "x:25")
		s.recallHints()
		s.memo.strikes = tt.before
		tr := &transaction{s: s, owed: make([]step, 2)}
		if tt.change != nil {
			tt.change(tr)
		}
		if tr.groupEnded(tt.err); s.memo.strikes != tt.want {
			t.Errorf("%s: %d strikes", name, s.memo.strikes)
		}
	}
}

// Only a 4yz about the number of messages, after some of them, makes a bound.
func TestHintWordsOfBound(t *testing.T) {
	for _, tt := range []struct {
		reused, code int
		text         string
		want         int
	}{
		{3, 421, "Too many messages for this session", 3}, {3, 450, "too many mails", 3}, {3, 451, "too many transactions", 3},
		{3, 452, "20 messages per connection", 3}, {3, 421, "no more messages per session", 3}, {3, 421, "one message per connection", 3},
		{3, 421, "message count per session", 3}, {3, 421, "100 messages in this session", 3}, {3, 421, "enough messages this session", 3},
		{3, 499, "100 messages in one session", 3}, {3, 421, "100 messages\nper connection", 3}, {3, 400, "too many messages", 3},
		{0, 421, "too many messages", 0}, {3, 500, "too many messages", 0}, {3, 550, "too many messages", 0}, {3, 250, "too many messages", 0}, {3, 421, "too many errors", 0},
	} {
		s := hinted(&noted{}, "x:25")
		s.recallHints()
		s.at.Reused = tt.reused
		if s.mailRefused(Reply{Code: tt.code, Lines: strings.Split(tt.text, "\n")}); s.memo.mails != tt.want || s.ext.mailMax != tt.want {
			t.Errorf("%+v: %d, %d", tt, s.memo.mails, s.ext.mailMax)
		}
	}
}

// A refusal by a server that knows BDAT, or had nothing else to get, stays what it is.
func TestHintBDATOnly(t *testing.T) {
	for name, tt := range map[string]struct {
		chunked  bool
		code     int
		body     Body
		protocol Protocol
	}{"DATA": {false, 500, 0, SMTP}, "binary": {true, 500, BodyBinary, SMTP}, "another code": {true, 503, 0, SMTP}, "LMTP": {true, 500, 0, LMTP}} {
		s := hinted(&noted{}, "x:25")
		s.recallHints()
		s.kind.protocol = tt.protocol
		tr := &transaction{s: s, chunked: tt.chunked, env: &Envelope{Body: tt.body}}
		if status := tr.withoutBDAT(Reply{Code: tt.code}, Failed); status != Failed || s.memo.noBDAT {
			t.Errorf("%s: %v, %+v", name, status, s.memo.hints)
		}
	}
}

// shown is an Auth that says what it was asked.
type shown struct {
	name  string
	first []byte
	err   error
	asked *smtp.ServerInfo
}

func (a *shown) Start(server *smtp.ServerInfo) (string, []byte, error) {
	a.asked = server
	return a.name, a.first, a.err
}
func (a *shown) Next([]byte, bool) ([]byte, error) { return nil, a.err }

// The Auth of SendMail knows whether there is TLS, may write its mechanism in either
// case, and its errors are those of the attempt.
func TestSendMailAuth(t *testing.T) {
	a := &shown{name: "plain", first: []byte{}}
	c := credentialOf(a, "mx.example.net")
	client, err := c.SASL("PLAIN", nil)
	if err != nil || client == nil {
		t.Fatal(client, err)
	}
	if want := (&smtp.ServerInfo{Name: "mx.example.net", Auth: []string{"PLAIN"}}); !reflect.DeepEqual(a.asked, want) {
		t.Errorf("asked %+v", a.asked)
	}
	if name, ir, err := client.Start(); name != "PLAIN" || ir != nil || err != nil {
		t.Errorf("%q %q %v: an empty response is none", name, ir, err)
	}
	a.err = errors.New("no")
	if err := client.(*netSMTPAuth).Done(); err == nil {
		t.Error("the last word of the Auth is lost")
	}
	if client, err := c.SASL("PLAIN", nil); client != nil || err == nil {
		t.Errorf("%v, %v", client, err)
	}
	if !c.ownOnly || c.Channel == tlspolicy.None || credentialOf(a, "::1").Channel != tlspolicy.None {
		t.Errorf("%+v", c)
	}
}

// An address with a part of a line end is an error before there is a connection, be
// it that of the sender or of a recipient; so is an address without a port.
func TestSendMailFaults(t *testing.T) {
	for _, tt := range []struct{ addr, from, to string }{
		{"127.0.0.1:1", "a@example.org\rx", "b@example.net"}, {"127.0.0.1:1", "a@example.org\nx", "b@example.net"},
		{"127.0.0.1:1", "a@example.org", "b@example.net\rx"}, {"127.0.0.1:1", "a@example.org", "b@example.net\nx"},
	} {
		if err := SendMail(tt.addr, nil, tt.from, []string{tt.to}, nil); err == nil || !strings.Contains(err.Error(), "more than one line") {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	if err := SendMail("127.0.0.1", nil, "a@example.org", []string{"b@example.net"}, nil); err == nil || !strings.Contains(err.Error(), "the address of the server") {
		t.Error(err)
	}
}
