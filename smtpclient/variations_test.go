package smtpclient_test

import (
	"context"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"

	"github.com/postrider/postrider/smtpclient/smtptest"
)

// variation is a way for the bytes of the server to reach the client. What is
// covered by which:
//
//   - "as it is": S lines that follow each other are one write, so all replies to
//     a group are merged, and a reply that comes with another is read with it.
//   - "one byte a read": all is there, but each Read gives one byte. Every byte
//     of every session is an end of a Read, also those between two replies.
//   - "some bytes a read": each Read gives a few of the bytes that are there, so
//     that its ends fall within lines and across them, as in no other variation.
//   - "one byte a write": the bytes come one after the other, the client waiting
//     for each: nothing is there to be read beyond it. Where a second reply
//     follows in the same write, its first byte comes with the last one of the
//     first, for a reply that is not there yet cannot be noticed. See slowly.
//
// A server cannot merge more than that: what follows a line of the client may
// not be written before it.
type variation struct {
	name    string
	maxRead int // of the wire
	wrap    func(dial dialFunc) dialFunc
	session func(text string) string // rewrites the dialogue
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

var variations = []variation{
	{name: "as it is", wrap: unwrapped, session: unchanged},
	{name: "one byte a read", maxRead: 1, wrap: unwrapped, session: unchanged},
	{name: "some bytes a read", wrap: choppy, session: unchanged},
	{name: "one byte a write", wrap: unwrapped, session: slowly},
}

func unchanged(text string) string     { return text }
func unwrapped(dial dialFunc) dialFunc { return dial }

// choppyConn gives a few bytes of what is there. It is a connection in memory in
// all else, as in telling what waits.
type choppyConn struct {
	*smtptest.Conn
	random *rand.Rand
}

func (c choppyConn) Read(p []byte) (int, error) {
	return c.Conn.Read(p[:min(len(p), 1+c.random.IntN(9))])
}

// choppy has the same numbers in each run, and others for each connection.
func choppy(dial dialFunc) dialFunc {
	count := uint64(0)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		hash := fnv.New64()
		hash.Write([]byte(addr))
		count++
		return choppyConn{conn.(*smtptest.Conn), rand.New(rand.NewPCG(hash.Sum64(), count))}, nil
	}
}

// slowly writes what the server says byte by byte, with an instant in between in
// which the client comes to rest.
//
// The last words of a session are slow up to the end of their first reply: the
// client may close then, and what is written to nobody is an error.
func slowly(text string) string {
	var out strings.Builder
	in := "session" // before the first marker may be one, too
	var said strings.Builder
	early := false
	flush := func(last bool) {
		writeSlowly(&out, said.String(), last, early)
		said.Reset()
		early = false
	}
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		marker := strings.HasPrefix(line, "-- ") && strings.HasSuffix(line, " --")
		if marker {
			flush(true)
			in = strings.Trim(line, "- ")
		}
		if data, ok := spoken(line, "S"); ok && in == "session" {
			said.WriteString(data)
			continue
		}
		if in == "session" && (line == "" || line[0] == '#') {
			continue
		}
		flush(line == "!close" || line == "!reset" || line == "!eof" || line == "!stall")
		early = line == "!early"
		out.WriteString(line + "\n")
	}
	return out.String()
}

// spoken is what a line of a dialogue has the server ("S") or the client ("C")
// say.
func spoken(line, who string) (data string, ok bool) {
	if rest, ok := strings.CutPrefix(line, who+": "); ok {
		return rest + "\r\n", true
	}
	if rest, ok := strings.CutPrefix(line, who+"> "); ok {
		data, err := strconv.Unquote(`"` + rest + `"`)
		return data, err == nil
	}
	return "", false
}

// writeSlowly writes a step in pieces of one byte. What comes early is one piece,
// since it is not the client's turn; so is the answer to QUIT.
func writeSlowly(out *strings.Builder, said string, last, early bool) {
	for len(said) > 0 {
		n := pieceOf(said)
		if early || last && (said[0] == '\n' || strings.HasPrefix(said, "221")) {
			n = len(said)
		}
		out.WriteString("S> " + strings.Trim(strconv.Quote(said[:n]), `"`) + "\n")
		if said = said[n:]; said != "" {
			out.WriteString("!wait 1ns\n")
		}
	}
}

// pieceOf is one byte, or two where the first may be the end of a reply.
func pieceOf(said string) int {
	if said[0] == '\n' && len(said) > 1 {
		return 2
	}
	return 1
}
