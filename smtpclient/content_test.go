package smtpclient_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// messages are contents as callers bring them; what arrives is computed by the
// oracle.
func messages() map[string]string {
	head := "From: ann@example.org\r\nSubject: x\r\n\r\n"
	m := map[string]string{
		"plain":            hello,
		"dots only":        head + ".\r\n..\r\n...\r\n.",
		"8-bit":            head + "gr\xc3\xbc\xc3\x9fe \xff\r\n",
		"998":              head + strings.Repeat("x", 998) + "\r\n",
		"no final newline": head + "hello",
		"final CR":         head + "hello\r",
		"bare LF":          strings.ReplaceAll(head+"a\r\n.\r\nb\r\n", "\r\n", "\n"),
		"bare CR":          head + "a\r.\rb\r\n",
		"mixed":            head + "a\r\nb\nc\r\r\nd\n\re\r\n",
		"empty":            "",
		"headers only":     "From: ann@example.org\r\nSubject: x\r\n",
		"empty lines":      head + "\r\n\r\n\r\n",
		"one dot":          ".",
		"one LF":           "\n",
		"one CR":           "\r",
		"large":            longMessage(1 << 20),
		"large, LF":        strings.ReplaceAll(longMessage(1<<20), "\r\n", "\n"),
		"one long line":    head + strings.Repeat("y", 300_000),
	}
	// A line that begins with a dot, and the end of the message, at every
	// boundary of the engine's buffers.
	for _, boundary := range []int{16 << 10, 32 << 10, 64 << 10, 80 << 10} {
		for off := -3; off <= 3; off++ {
			pad := strings.Repeat("p", 70) + "\r\n"
			body := head + strings.Repeat(pad, boundary/len(pad)+1)
			body = body[:boundary+off-2] + "\r\n"
			m[fmt.Sprintf("dot at %d%+d", boundary, off)] = body + ".dot\r\n.\r\nend\r\n"
			m[fmt.Sprintf("end at %d%+d", boundary, off)] = body
			m[fmt.Sprintf("bare LF at %d%+d", boundary, off)] = body[:len(body)-2] + "\n.\nend"
		}
	}
	return m
}

// reader is a Content that is not in memory, read in pieces of n bytes.
type reader struct {
	text string
	n    int
	size int64
}

func (r reader) Open() (io.ReadCloser, error) {
	return io.NopCloser(&pieces{strings.NewReader(r.text), r.n}), nil
}
func (r reader) Size() int64 { return r.size }

type pieces struct {
	r io.Reader
	n int
}

func (p *pieces) Read(b []byte) (int, error) { return p.r.Read(b[:min(p.n, len(b))]) }

// Every message arrives as the rule says, from memory and from a reader, in
// plaintext and in TLS (invariants 2 and 5).
func TestContentArrives(t *testing.T) {
	for name, text := range messages() {
		t.Run(name, func(t *testing.T) {
			for kind, content := range map[string]smtpclient.Content{
				"memory":             smtpclient.Bytes([]byte(text)),
				"reader":             reader{text, 1 << 20, int64(len(text))},
				"reader in pieces":   reader{text, 4093, -1},
				"reader, one by one": reader{text[:min(len(text), 5000)], 1, -1},
			} {
				want := text
				if r, ok := content.(reader); ok {
					want = r.text
				}
				for _, extensions := range [][]string{pipelined, nil} {
					inWorld(t, func(t *testing.T, w *world) {
						w.mx(10, &smtptest.Server{Extensions: extensions})
						env := fromAnn("bob@example.net")
						report, err := w.client.Deliver(t.Context(), env, content)
						if err != nil {
							t.Fatalf("%s: %v", kind, err)
						}
						checkEnds(t, w.net, env, want, report)
					})
				}
			}
		})
	}
}

// A content may be used by many calls at once, and is scanned once.
func TestContentIsShared(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{})
		content := smtpclient.Bytes([]byte(longMessage(100_000)))
		done := make(chan error)
		for range 8 {
			go func() {
				_, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), content)
				done <- err
			}()
		}
		for range 8 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

// changing gives another text at each Open.
type changing struct {
	texts []string
	opens int
	err   error // after the first, in place of EOF
}

func (c *changing) Open() (io.ReadCloser, error) {
	text := c.texts[min(c.opens, len(c.texts)-1)]
	c.opens++
	if c.opens > 1 && c.err != nil {
		return io.NopCloser(io.MultiReader(strings.NewReader(text), failing{c.err})), nil
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

func (c *changing) Size() int64 { return -1 }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("reader gone mad") }

// B20, B21, B23, B25: a content that fails or changes midway never gets its end,
// whatever is wrong with it, and is not tried elsewhere.
func TestContentThatFails(t *testing.T) {
	long := longMessage(200_000)
	other := strings.Replace(long, "0000", "1111", 1)
	disk := errors.New("disk on fire")
	for name, content := range map[string]smtpclient.Content{
		"one byte differs": &changing{texts: []string{long, other}},
		"shorter":          &changing{texts: []string{long, long[:100_000]}},
		"longer":           &changing{texts: []string{long, long + "more\r\n"}},
		"empty":            &changing{texts: []string{long, ""}},
		"small differs":    &changing{texts: []string{hello, strings.ToUpper(hello)}},
		"an end within":    &changing{texts: []string{long, endedWithin(long, "\r\n.\r\n")}},
		"an end by LF":     &changing{texts: []string{long, endedWithin(long, "\n.\n")}},
		"an end at first":  &changing{texts: []string{long, ".\r\n" + long[3:]}},
		"error midway":     &changing{texts: []string{long, long[:150_000]}, err: disk},
		"error at once":    &changing{texts: []string{long, ""}, err: disk},
		"error at the end": &changing{texts: []string{long, long}, err: disk},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true // the connection is closed within the content
				mx := w.mx(10, &smtptest.Server{})
				mx20 := w.mx(20, &smtptest.Server{})
				report, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), content)
				checkError(t, report, err)
				expect(t, report, "bob@example.net deferred data-block 4.3.0")
				if n := len(mx.Messages()) + mx20.Sessions(); n != 0 {
					t.Errorf("a message arrived, or the next host was tried")
				}
				if c := content.(*changing); c.err != nil && !errors.Is(err, disk) {
					t.Errorf("error %v does not wrap the content's", err)
				}
			})
		})
	}
}

// endedWithin is text with an end of the data and another message in its middle.
func endedWithin(text, end string) string {
	more := end + "RSET\r\nMAIL FROM:<eve@example.org>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\nforged\r\n.\r\n"
	at := len(text) / 2
	return text[:at] + more + text[at+len(more):]
}

// Where many sessions send at once, each has little room: the messages arrive all the
// same.
func TestContentArrivesWithLittleRoom(t *testing.T) {
	for name, text := range messages() {
		inWorld(t, func(t *testing.T, w *world) {
			w.client.Dialer.Rules.LongLines = smtpclient.Keep
			mx := w.mx(10, &smtptest.Server{Extensions: pipelined})
			defer crowded(t)()
			for _, content := range []smtpclient.Content{smtpclient.Bytes([]byte(text)), reader{text, 4093, -1}, reader{text, 1 << 20, -1}} {
				env := fromAnn("bob@example.net")
				if _, err := w.client.Deliver(t.Context(), env, content); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			for _, m := range mx.Messages() {
				if string(m.Data) != arrives(text) {
					t.Errorf("%s: another message arrived", name)
				}
			}
		})
	}
}

// H1: a panic in a hook is contained, and leaves no whole message behind.
func TestPanicsAreContained(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		mx := w.mx(10, &smtptest.Server{})
		report, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), &panicContent{})
		checkError(t, report, err)
		expect(t, report, "bob@example.net deferred data-block 4.3.0")
		if len(mx.Messages()) != 0 {
			t.Error("a message arrived")
		}
		if !strings.Contains(err.Error(), "reader gone mad") || !strings.Contains(err.Error(), "content_test.go") {
			t.Errorf("error %q does not say what panicked and where", err)
		}
	})
}

type panicContent struct{ opened bool }

func (c *panicContent) Open() (io.ReadCloser, error) {
	if !c.opened {
		c.opened = true
		return io.NopCloser(strings.NewReader(hello)), nil
	}
	return io.NopCloser(io.MultiReader(strings.NewReader(hello[:20]), panicking{})), nil
}
func (c *panicContent) Size() int64 { return -1 }

// A content whose size is not what it says is refused before anything is sent.
func TestContentSizeIsChecked(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.untouched()
		report, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), reader{hello, 100, 3})
		checkError(t, report, err)
		expect(t, report, "bob@example.net deferred input 4.3.0")
	})
}

// SIZE is what goes over the wire before dots are doubled; a message that is too
// large is not even begun.
func TestSize(t *testing.T) {
	text := "Subject: x\n\n.dot\n"
	wire := len(strings.ReplaceAll(text, "\n", "\r\n"))
	for limit, want := range map[int]string{
		0: "delivered data-done 2.0.0", wire: "delivered data-done 2.0.0", wire - 1: "failed mail 5.3.4",
	} {
		inWorld(t, func(t *testing.T, w *world) {
			mx := w.mx(10, &smtptest.Server{Extensions: []string{"PIPELINING", "SIZE " + itoa(limit)}})
			mx20 := w.mx(20, &smtptest.Server{})
			report := w.deliver(t.Context(), fromAnn("bob@example.net"), text)
			expect(t, report, "bob@example.net "+want)
			if strings.HasPrefix(want, "delivered") {
				if got := mx.Messages()[0].FromArgs; got != "SIZE="+itoa(wire) {
					t.Errorf("MAIL has %q, want SIZE=%d", got, wire)
				}
				return
			}
			w.settle()
			if lines := strings.Join(clientLines(mx, 0), " "); strings.Contains(lines, "MAIL") || !strings.HasSuffix(lines, "QUIT") {
				t.Errorf("the client said %q", lines)
			}
			if mx20.Sessions() != 0 {
				t.Error("the next host was tried")
			}
		})
	}
}

// B15, B16: the server refuses in the middle of the content and closes.
func TestRefusedWithinContent(t *testing.T) {
	for reply, want := range map[string]string{
		"552 5.3.4 too big\r\n":   "failed data-block 5.3.4",
		"451 4.3.0 disk full\r\n": "deferred data-block 4.3.0",
		"421 4.3.2 bye\r\n":       "deferred data-block 4.3.2",
		"250 2.0.0 ok\r\n":        "deferred data-block 4.4.2", // B17
		"":                        "deferred data-block 4.4.2",
	} {
		inWorld(t, func(t *testing.T, w *world) {
			w.unruly = true
			w.mx(10, &smtptest.Server{Extensions: lockstep, Wire: smtptest.Wire{Window: 1 << 12}, Cuts: []smtptest.Cut{
				{Verb: "DATA", FromClient: true, After: 100_000, Action: action{Raw: []byte(reply), Fault: smtptest.DropAfter}},
			}})
			report := w.deliver(t.Context(), fromAnn("bob@example.net"), longMessage(1<<20))
			expect(t, report, "bob@example.net "+want)
		})
	}
}

// A file's bytes are not copied for a server that can take them as they are.
func TestCleanMemoryIsNotCopied(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		text := []byte(longMessage(300_000))
		shared := 0
		mx := w.mx(10, &smtptest.Server{Extensions: pipelined})
		w.client.Dialer = &smtpclient.Dialer{DialContext: w.tapped(func(p []byte) {
			if i := bytes.Index(text, p[:min(len(p), 100)]); i >= 0 && len(p) > 1000 && &text[i] == &p[0] {
				shared += len(p)
			}
		})}
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), string(text))
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		if shared != 0 {
			t.Fatal("deliver copies its text: the test is wrong")
		}
		if _, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), smtpclient.Bytes(text)); err != nil {
			t.Fatal(err)
		}
		if want := len(text) - 16<<10; shared < want {
			t.Errorf("%d bytes were written from the caller's memory, want %d", shared, want)
		}
		if len(mx.Messages()) != 2 {
			t.Errorf("%d messages", len(mx.Messages()))
		}
	})
}
