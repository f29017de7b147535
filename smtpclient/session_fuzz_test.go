package smtpclient_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"runtime/metrics"
	"strings"
	"syscall"
	"testing"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// FuzzSession sends messages to servers that say whatever the fuzzer has them
// say: to one through a Session, or to two through a Client. A referee, who reads
// both directions by himself, holds the invariants of DESIGN.md 8 against the
// reports.
//
// said is what the servers say, one connection after the other, parted by 0x1e;
// cuts is how that comes (see cut); flags are those of a plan; room is how many
// bytes each connection takes, 0 for all.
func FuzzSession(f *testing.F) {
	for _, s := range sessionSeeds() {
		f.Add([]byte(s.said), s.cuts, s.flags, s.room)
	}
	texts := fuzzTexts()
	f.Fuzz(func(t *testing.T, said, cuts []byte, flags, room uint32) {
		p := &plan{flags: flags, text: texts[int(flags>>16&7)%len(texts)]}
		for _, stream := range bytes.Split(said, []byte{0x1e}) {
			c := &tape{stream: stream, pieces: cut(stream, cuts), room: math.MaxInt, end: p.end(), full: syscall.ECONNRESET}
			if room > 0 {
				c.room = int(room)
			}
			if p.is(fullStalls) {
				c.full = os.ErrDeadlineExceeded
			}
			p.tapes = append(p.tapes, c)
		}
		before := allocated()
		p.run(t)
		// The bound is for all that is ever allocated, which is more than what is
		// held at any time.
		if got, most := allocated()-before, int64(len(p.used))<<20+int64(64*len(said)+8*len(p.text.message)); got > most {
			t.Errorf("%d bytes were allocated, over %d connections and %d bytes of replies", got, len(p.used), len(said))
		}
		r := &referee{t: t, plan: p, fates: make(map[string][]smtpclient.Status)}
		r.judge()
	})
}

// Flags of a plan. Above them stand two bits of more recipients, two of the use
// of BDAT, and from bit 16 three of the text.
const (
	byClient     = 1 << iota // a Client with two hosts, else one Session
	speakLMTP                // with a Session only
	twoMessages              // with a Session only
	mayTLS                   // level May, else none
	noMemory                 // the text comes from a reader
	smallChunks              // BDAT in several chunks
	twin                     // the last recipient is the first again; not in LMTP
	endReset                 // behind its last byte the server resets the connection, else closes it
	endSilence               // and with this it is silent
	fullStalls               // a connection that is full takes no more, else it is reset
	sayQuit                  // with a Session only
	moreRcpts    = 1 << 11   // two bits
	chunkingMode = 1 << 13   // two bits
)

// plan is what one run of FuzzSession does.
type plan struct {
	flags   uint32
	text    fuzzText
	tapes   []*tape // of the connections to come
	used    []*tape
	sent    []smtpclient.Envelope
	reports []smtpclient.Report
}

func (p *plan) is(flag uint32) bool { return p.flags&flag != 0 }

func (p *plan) lmtp() bool { return p.is(speakLMTP) && !p.is(byClient) }

// end is what the client reads when a server has said everything.
func (p *plan) end() error {
	switch {
	case p.is(endSilence):
		return os.ErrDeadlineExceeded
	case p.is(endReset):
		return syscall.ECONNRESET
	}
	return io.EOF
}

// dial gives the next tape.
func (p *plan) dial(context.Context, string, string) (net.Conn, error) {
	if len(p.tapes) == 0 {
		return nil, errors.New("nobody there")
	}
	c := p.tapes[0]
	p.tapes = p.tapes[1:]
	p.used = append(p.used, c)
	return c, nil
}

// envelope is that of message i.
func (p *plan) envelope(i int) smtpclient.Envelope {
	env := smtpclient.Envelope{From: fmt.Sprintf("sender%d@example.org", i)}
	for n := range min(3, 1+p.flags/moreRcpts&3) {
		env.To = append(env.To, smtpclient.Recipient{Address: fmt.Sprintf("to%d-%d@example.net", i, n)})
	}
	if p.is(twin) && !p.lmtp() {
		env.To[len(env.To)-1] = env.To[0]
	}
	return env
}

// content is the text, each time anew.
func (p *plan) content() smtpclient.Content {
	if p.is(noMemory) {
		return &closing{text: p.text.message}
	}
	return smtpclient.Bytes([]byte(p.text.message))
}

func (p *plan) run(t *testing.T) {
	quirks := smtpclient.Quirks{Chunking: smtpclient.Chunking(p.flags / chunkingMode & 3)}
	if p.is(smallChunks) {
		quirks.ChunkSize = 16 << 10
	}
	d := &smtpclient.Dialer{LocalName: "client.example.org", DialContext: p.dial, Quirks: withQuirks(quirks)}
	level := tlspolicy.None
	if p.is(mayTLS) {
		level = tlspolicy.May
	}
	if p.is(byClient) {
		client := &smtpclient.Client{Dialer: d, TLS: level, Cache: &cache.Memory{}, Resolver: resolve.Static{}, NextHops: []string{"[192.0.2.10]:25", "[192.0.2.20]:25"}}
		p.take(t, p.envelope(0), client.Deliver)
		return
	}
	target := smtpclient.Target{Addr: "192.0.2.10:25", Policy: tlspolicy.Policy{Level: level}}
	if p.lmtp() {
		target.Protocol = smtpclient.LMTP
	}
	s, err := d.Dial(t.Context(), target)
	if err != nil {
		return
	}
	p.take(t, p.envelope(0), s.Send)
	if p.is(twoMessages) {
		p.take(t, p.envelope(1), s.Send)
	}
	if p.is(sayQuit) {
		s.Quit(t.Context())
	}
	s.Close()
}

// take sends a message and keeps the report.
func (p *plan) take(t *testing.T, env smtpclient.Envelope, send func(context.Context, smtpclient.Envelope, smtpclient.Content) (smtpclient.Report, error)) {
	report, err := send(t.Context(), env, p.content())
	checkError(t, report, err)
	p.sent = append(p.sent, env)
	p.reports = append(p.reports, report)
}

// allocated is how many bytes this process has ever allocated.
func allocated() int64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// fuzzText is a message and what it has to be on the wire.
type fuzzText struct{ message, data, chunk string }

// fuzzTexts are messages that go as they are, that need repair, and that take
// several writes.
func fuzzTexts() []fuzzText {
	dirty := "Subject: x\n\n.\n..\r.\r\n.\r\nlast"
	var texts []fuzzText
	for _, m := range []string{hello, dirty, longMessage(100_000), strings.Repeat(dirty+"\n", 1500), "", ".", longMessage(20_000)} {
		chunk := arrives(m)
		lines := strings.SplitAfter(chunk, "\n")
		for i, l := range lines {
			if strings.HasPrefix(l, ".") {
				lines[i] = "." + l
			}
		}
		texts = append(texts, fuzzText{m, strings.Join(lines, "") + ".\r\n", chunk})
	}
	return texts
}

type sessionSeed struct {
	said        string
	cuts        []byte
	flags, room uint32
}

// sessionSeeds are dialogues that get as far as possible in each mode.
func sessionSeeds() []sessionSeed {
	const (
		lockstep  = "220 mx\r\n250-mx\r\n250 8BITMIME\r\n"
		pipelined = "220 mx\r\n250-mx\r\n250-PIPELINING\r\n250 SIZE 1000000\r\n"
		chunking  = "220 mx\r\n250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
		ok        = "250 2.0.0 ok\r\n"
		all       = ok + ok + ok + ok
	)
	after, grouped := uint32(smtpclient.ChunkingAfter)*chunkingMode, uint32(smtpclient.ChunkingGrouped)*chunkingMode
	const large, three = 2 << 16, 2 * moreRcpts
	return []sessionSeed{
		{said: lockstep + ok + ok + "354 go\r\n" + ok + "221 bye\r\n"},
		{said: pipelined + ok + ok + "354 go\r\n" + ok + ok + ok + ok + "354 go\r\n554 5.7.1 no\r\n221 bye\r\n", flags: twoMessages | sayQuit},
		{said: pipelined + all + "354 go\r\n" + ok, flags: three},
		{said: pipelined + ok + ok + "550 5.1.1 no\r\n452 4.5.3 later\r\n354 go\r\n" + ok + ok + ok + "354 go\r\n" + ok, flags: three},
		{said: pipelined + all + "354 go\r\n250-2.0.0 a\r\n250 b\r\n550 c\r\n421 d\r\n", flags: three | speakLMTP},
		{said: pipelined + ok + "550 no\r\n354 go\r\n" + ok + ok + ok + "354 go\r\n" + ok, flags: twoMessages},
		{said: pipelined + "550 no\r\n503 no\r\n503 no\r\n" + ok + ok + ok + "354 go\r\n" + ok, flags: twoMessages},
		{said: pipelined + ok + ok + "354 go\r\n451 4.3.0 later\r\n\x1e" + pipelined + ok + ok + "354 go\r\n" + ok, flags: byClient | large},
		{said: "554 no\r\n\x1e" + lockstep + ok + ok + "354 go\r\n" + ok, flags: byClient | mayTLS},
		{said: "220 mx\r\n250-mx\r\n250 STARTTLS\r\n220 go\r\nxxxxx\x1e" + pipelined + ok + ok + "354 go\r\n" + ok, flags: mayTLS},
		{said: "220 mx\r\n\x1e220 mx\r\n250 mx\r\n" + ok + ok + "354 go\r\n" + ok, flags: byClient},
		{said: "220 mx\r\n500 what\r\n250 mx\r\n" + ok + ok + "354 go\r\n" + ok, flags: noMemory | 1<<16},
		{said: chunking + ok + ok + ok + ok, flags: after | large | smallChunks | endSilence},
		{said: chunking + ok + ok + ok + ok + ok + ok + ok + ok + ok + ok + ok, flags: after | large | smallChunks | twoMessages},
		{said: chunking + ok + ok + ok + ok + ok + ok, flags: grouped | twoMessages | noMemory},
		{said: chunking + ok + "550 no\r\n503 no\r\n" + ok + ok + ok + ok, flags: grouped | twoMessages},
		{said: chunking + all + ok + "450 x\r\n550 x\r\n" + all + all, flags: grouped | twoMessages | speakLMTP | three},
		{said: chunking + "550 no\r\n" + ok + all + all, flags: grouped | twoMessages | speakLMTP},
		{said: pipelined + ok + ok + "354 go\r\n552 5.3.4 big\r\n", cuts: []byte{0, 0, 0, 0, 0, 0, 0, 0x80}, flags: large},
		{said: pipelined + ok + ok + "354 go\r\n" + ok, flags: large, room: 90_000},
		{said: pipelined + ok + ok + "354 go\r\n" + "552 5.3.4 big\r\n", flags: large, room: 50_000},
		{said: lockstep + ok + ok + "354 go\r\n" + ok, flags: fullStalls, room: 100},
		{said: pipelined + ok + ok + "354 go\r\n" + ok, cuts: []byte{1}, flags: byClient | twin | moreRcpts},
		{said: pipelined + ok + ok + "354 go\r\n" + ok, cuts: []byte{0x7f}},
		{said: pipelined + ok + ok + "354 go\r\n250 2.0", flags: endReset | 4<<16},
		{said: pipelined + ok + ok + "354 go\r\n221 bye\r\n" + all, flags: twoMessages},
		{said: pipelined + ok + ok + "354 go\r\n421 4.3.2 bye\r\n" + all + all, flags: twoMessages},
		{said: pipelined + ok + "550 no\r\n354 go\r\n" + all, flags: speakLMTP | twoMessages},
		{said: pipelined + "550 no\r\n" + ok + "354 go\r\n" + all, flags: twoMessages},
		{said: pipelined + ok + ok + "354 go\r\n\x1e" + pipelined + ok + ok + "354 go\r\n" + ok, flags: byClient},
		{said: pipelined + ok + ok + "354 go\r\n" + ok, cuts: []byte{0, 0, 0, 0, 0, 0, 0, 0x80}, flags: large},
		{said: chunking + ok + ok + "552 no\r\n" + all + all, flags: after | twoMessages},
	}
}
