package interop

import (
	"regexp"
	"sync"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

var (
	startExim = sync.OnceValues(func() (*Exim, error) {
		e, err := StartExim()
		if err == nil {
			atEnd(e.Stop)
		}
		return e, err
	})
	startOpenSMTPD = sync.OnceValues(func() (*OpenSMTPD, error) {
		o, err := StartOpenSMTPD()
		if err == nil {
			atEnd(o.Stop)
		}
		return o, err
	})
)

func exim(t *testing.T) *Exim {
	t.Helper()
	e, err := startExim()
	present(t, err)
	return e
}

func openSMTPD(t *testing.T) *OpenSMTPD {
	t.Helper()
	o, err := startOpenSMTPD()
	present(t, err)
	return o
}

// ownPostfix is one for a single test, with settings of its own.
func ownPostfix(t *testing.T, settings PostfixSettings) *Postfix {
	t.Helper()
	p, err := StartPostfixWith(settings)
	present(t, err)
	t.Cleanup(p.Stop)
	return p
}

// ownExim is one for a single test, with settings of its own.
func ownExim(t *testing.T, settings EximSettings) *Exim {
	t.Helper()
	e, err := StartEximWith(settings)
	present(t, err)
	t.Cleanup(e.Stop)
	return e
}

// server is what a story needs that is told of each of them.
type server interface {
	Addr(door string) string
	NewMailbox(domain string) string
	Stored(address string, n int) ([][]byte, error)
}

// The tables of servers start them by these.
func postfixServer(t *testing.T) server   { return postfix(t) }
func eximServer(t *testing.T) server      { return exim(t) }
func openSMTPDServer(t *testing.T) server { return openSMTPD(t) }

// peer is a server and what is known of it.
type peer struct {
	name      string
	start     func(t *testing.T) server
	door      string
	channels  []channel
	stored    func(sent []byte) []byte // what its files hold, behind what it puts in front
	encrypted *regexp.Regexp           // what it puts in front of a message that came through TLS
	refuse    []refusal
	smtpUTF8  bool
}

// refusal is a recipient that a server does not take.
type refusal struct {
	to       string
	status   smtpclient.Status
	code     int
	enhanced string
}

func peers() []peer {
	return []peer{
		{
			name:      "Postfix",
			start:     postfixServer,
			door:      PostfixFull,
			channels:  channels(),
			stored:    asStored,
			encrypted: regexp.MustCompile(`\(using TLSv1\.[^)]*\)(?s:.*) with ESMTPS id `),
			refuse: []refusal{
				{"reject@example.test", smtpclient.Failed, 550, "5.1.1"},
				{"tempfail@example.test", smtpclient.Deferred, 450, "4.2.1"},
			},
			smtpUTF8: true,
		},
		{
			name:      "Exim",
			start:     eximServer,
			door:      EximFull,
			channels:  channels(),
			stored:    asEximStores,
			encrypted: regexp.MustCompile(`with esmtps +\(TLS1\.3\) tls TLS_`),
			refuse: []refusal{
				{"reject@example.test", smtpclient.Failed, 550, "5.1.1"},
				{"tempfail@example.test", smtpclient.Deferred, 451, "4.2.1"},
			},
			smtpUTF8: true,
		},
		{
			name:      "OpenSMTPD",
			start:     openSMTPDServer,
			door:      OpenSMTPDFull,
			channels:  plaintextOnly(),
			stored:    asStored,
			encrypted: regexp.MustCompile(` with ESMTPS id `),
			// Its reply has no enhanced code; ours then says no more than
			// the class.
			refuse: []refusal{{"bob@elsewhere.test", smtpclient.Failed, 550, "5.0.0"}},
		},
	}
}

// eachChannel tells a story of every server through every channel. The servers
// have their stories at the same time, since Exim holds its reply to the final dot
// for 200 ms where QUIT came with it in plaintext.
func eachChannel(t *testing.T, story func(t *testing.T, p peer, s server, ch channel)) {
	for _, p := range peers() {
		t.Run(p.name, func(t *testing.T) {
			s := p.start(t) // one after the other: they look for free ports
			t.Parallel()
			for _, ch := range p.channels {
				t.Run(ch.name, func(t *testing.T) { story(t, p, s, ch) })
			}
		})
	}
}

// channel is a way to a server.
type channel struct {
	name    string
	level   tlspolicy.Level // that is asked for
	reached tlspolicy.Level
	quirk   smtpclient.Quirks
}

func channels() []channel {
	lockstep := smtpclient.Quirks{Discard: []string{"PIPELINING"}}
	return []channel{
		{"plaintext, pipelined", tlspolicy.None, tlspolicy.None, smtpclient.Quirks{}},
		{"plaintext, lockstep", tlspolicy.None, tlspolicy.None, lockstep},
		{"TLS, pipelined", tlspolicy.Encrypt, tlspolicy.Encrypt, smtpclient.Quirks{}},
		{"TLS, lockstep", tlspolicy.Encrypt, tlspolicy.Encrypt, lockstep},
		{"TLS if offered", tlspolicy.May, tlspolicy.Encrypt, smtpclient.Quirks{}},
		{"chunked", tlspolicy.None, tlspolicy.None, smtpclient.Quirks{Chunking: smtpclient.ChunkingAfter}},
		{"chunked, in lockstep and pieces", tlspolicy.None, tlspolicy.None, smtpclient.Quirks{
			Discard: []string{"PIPELINING"}, Chunking: smtpclient.ChunkingAfter, ChunkSize: 16 << 10}},
		{"chunked, grouped", tlspolicy.Encrypt, tlspolicy.Encrypt, smtpclient.Quirks{Chunking: smtpclient.ChunkingGrouped}},
	}
}

// plaintextOnly is for a server without STARTTLS.
func plaintextOnly() []channel {
	return []channel{
		{"plaintext", tlspolicy.None, tlspolicy.None, smtpclient.Quirks{}},
		{"TLS if offered", tlspolicy.May, tlspolicy.None, smtpclient.Quirks{}},
	}
}

func (c channel) client(s server, addr string) *smtpclient.Client {
	client := clientTo(s, addr)
	client.TLS = c.level
	return withQuirks(client, c.quirk)
}
