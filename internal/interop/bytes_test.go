package interop

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// Every message is stored as it was sent, but for line ends: a bare CR has
// become a space, and a last line without an end has got one. In front of it
// stand Return-Path: or Delivered-To: and Received: as the server writes them.
func TestEveryByteArrives(t *testing.T) {
	eachChannel(t, func(t *testing.T, p peer, s server, ch channel) {
		for _, m := range messages() {
			t.Run(m.name, func(t *testing.T) {
				to := s.NewMailbox("example.test")
				report := deliver(t, ch.client(s, p.door), m.content, to)
				wantDelivered(t, report)
				front, got := stored(t, s, to)
				wantChannel(t, p, ch, report.Outcomes[0], front)
				wantBytes(t, got, p.stored(m.content))
			})
		}
	})
}

// 200 recipients share one transaction, and each gets every byte.
func TestTwoHundredRecipients(t *testing.T) {
	content := simple("to two hundred")
	eachChannel(t, func(t *testing.T, p peer, s server, ch channel) {
		var to []string
		for range 200 {
			to = append(to, s.NewMailbox("example.test"))
		}
		client := ch.client(s, p.door)
		client.Limits.Recipients = -1
		wantDelivered(t, deliver(t, client, content, to...))
		ids := map[string]int{}
		for _, a := range to {
			front, got := stored(t, s, a)
			wantBytes(t, got, p.stored(content))
			ids[queueID(t, front)]++
		}
		if len(ids) != 1 {
			t.Errorf("got %d transactions, want one: %v", len(ids), ids)
		}
	})
}

// wantChannel compares what the report and the server say of the channel.
func wantChannel(t *testing.T, p peer, ch channel, o smtpclient.Outcome, front string) {
	t.Helper()
	if o.TLS.Wanted != ch.level || o.TLS.Reached != ch.reached {
		t.Errorf("TLS: report says wanted %v, reached %v; want %v, %v", o.TLS.Wanted, o.TLS.Reached, ch.level, ch.reached)
	}
	encrypted := ch.reached == tlspolicy.Encrypt
	if got := p.encrypted.MatchString(front); got != encrypted {
		t.Errorf("%s says encrypted: %v, want %v:\n%s", p.name, got, encrypted, front)
	}
	if got := o.TLS.Version != 0 && o.TLS.Cipher != 0; got != encrypted {
		t.Errorf("report has TLS version %x and cipher %x at level %v", o.TLS.Version, o.TLS.Cipher, ch.level)
	}
}

// wantBytes shows where two messages part.
func wantBytes(t *testing.T, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	at := 0
	for at < len(got) && at < len(want) && got[at] == want[at] {
		at++
	}
	from := max(0, at-20)
	t.Errorf("stored %d bytes, want %d; they part at %d: got %.60q, want %.60q", len(got), len(want), at, got[from:], want[from:])
}

// asStored gives what a message must become, written down by hand: the lines as
// Postrider promises them, with the LF that servers keep for a line's end.
func asStored(sent []byte) []byte {
	text := strings.ReplaceAll(string(sent), "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", " ")
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return []byte(text)
}

// asEximStores has the empty line that Exim puts behind a header without a body.
func asEximStores(sent []byte) []byte {
	text := asStored(sent)
	if !bytes.Contains(text, []byte("\n\n")) {
		text = append(text, '\n')
	}
	return text
}

type message struct {
	name    string
	content []byte
}

// messages gives all that has ever been lost on such a way.
func messages() []message {
	all := []message{
		{"plain", simple("plain")},
		{"dots only", body("dots only", strings.Repeat(".\r\n", 3)+"..\r\n...\r\n.\r\n")},
		{"many dots", body("many dots", strings.Repeat(".\r\n", 40_000))},
		{"dots of every length", body("dots of every length", everyLength(150_000))},
		{"8-bit", body("8-bit", "gr\xc3\xbc\xc3\x9fe\r\n\x80\xff\xfe\r\n")},
		{"every byte but NUL", body("every byte", everyByte()+"\r\n")},
		{"longest lines", body("longest lines", strings.Repeat(strings.Repeat("x", 998)+"\r\n", 100))},
		{"longest lines, dotted", body("longest lines, dotted", strings.Repeat("."+strings.Repeat("x", 997)+"\r\n", 100))},
		{"no final newline", body("no final newline", "first\r\nlast")},
		{"a dot without newline", body("a dot without newline", "first\r\n.")},
		{"a CR at the end", body("a CR at the end", "first\r\nlast\r")},
		{"bare LF", bytes.ReplaceAll(body("bare LF", "one\r\n.two\r\n\r\n.\r\nthree\r\n"), []byte("\r\n"), []byte("\n"))},
		{"bare CR", body("bare CR", "one\rtwo\r\r\n.\r.\r\n\r.\r\nthree\r\n")},
		{"line ends mixed", body("line ends mixed", "one\r\ntwo\nthree\rfour\n\r\nfive\r\r\n\n.\n\r\n.\r\r\n")},
		{"every smuggled dot", body("every smuggled dot", smuggledDots())},
		{"empty body", body("empty body", "")},
		{"headers only", header("headers only")},
		{"headers only, cut off", bytes.TrimSuffix(header("headers only"), []byte("\r\n"))},
		{"empty lines", body("empty lines", strings.Repeat("\r\n", 1000))},
		{"ten MiB", body("ten MiB", bulk(10<<20))},
	}
	for offset := -8; offset <= 8; offset++ {
		all = append(all, message{fmt.Sprintf("dots at buffers%+d", offset), dotsAtBuffers(offset)})
	}
	return all
}

func body(name, text string) []byte {
	return append(header(name), "\r\n"+text...)
}

// header has all that a server may put in if it is not there: OpenSMTPD does so
// with Date: and Message-ID:.
func header(name string) []byte {
	return []byte("From: Ann <ann@example.org>\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n" +
		"Message-ID: <1@client.example.org>\r\nSubject: " + name + "\r\n")
}

// everyLength has lines of 0 to 9 dots, in an order that brings each to every
// place in a buffer.
func everyLength(size int) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		b.WriteString(strings.Repeat(".", i*7%10))
		b.WriteString("\r\n")
	}
	return b.String()
}

func everyByte() string {
	var b strings.Builder
	for c := 1; c < 256; c++ {
		if c != '\r' && c != '\n' {
			b.WriteByte(byte(c))
		}
	}
	return b.String()
}

// smuggledDots has each wrong end of data that some server has taken for one.
func smuggledDots() string {
	var b strings.Builder
	for _, before := range []string{"\n", "\r", "\r\n", "\r\r\n", "\n\r"} {
		for _, after := range []string{"\n", "\r", "\r\n", "\r\r\n", "\n\r"} {
			b.WriteString("text" + before + "." + after)
		}
	}
	return b.String() + "\r\nlast\r\n"
}

// bulk is text of printable bytes, dots and line ends, the same each time.
func bulk(size int) string {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 0, size+100)
	for len(b) < size {
		for range r.IntN(80) {
			b = append(b, '.'+byte(r.IntN(70)))
		}
		b = append(b, "\r\n"...)
	}
	return string(b)
}

// dotsAtBuffers begins lines with dots at a distance from the ends of the
// buffers that client, TLS and server may use.
func dotsAtBuffers(offset int) []byte {
	b := body(fmt.Sprintf("dots at buffers%+d", offset), "")
	for _, end := range []int{4096, 8192, 16384, 32768, 65536} {
		b = fill(b, end+offset)
		b = append(b, ".\r\n..\r\n.end\r\n"...)
	}
	return b
}

// fill adds lines of text so that a line begins at offset.
func fill(b []byte, offset int) []byte {
	for len(b) < offset {
		n := min(offset-len(b), 72)
		if offset-len(b)-n == 1 {
			n-- // no room for a line of one byte behind
		}
		b = append(b, strings.Repeat("x", n-2)+"\r\n"...)
	}
	return b
}
