package smtpclient_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// newFile makes a file whose last change is an hour ago.
func newFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "message")
	write(t, name, text, time.Hour)
	return name
}

// write writes a file as if it had been changed so long ago.
func write(t *testing.T, name, text string, ago time.Duration) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	setAge(t, name, ago)
}

func setAge(t *testing.T, name string, ago time.Duration) {
	t.Helper()
	when := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC).Add(-ago)
	if err := os.Chtimes(name, when, when); err != nil {
		t.Fatal(err)
	}
}

// Every message arrives from a file and from a ReaderAt as from memory.
func TestFileAndReaderAtArrive(t *testing.T) {
	for name, text := range messages() {
		t.Run(name, func(t *testing.T) {
			file := newFile(t, text)
			for kind, content := range map[string]smtpclient.Content{
				"file": smtpclient.File(file), "ReaderAt": smtpclient.ReaderAt(strings.NewReader(text), int64(len(text))),
			} {
				for _, q := range []smtpclient.Quirks{{}, {Chunking: smtpclient.ChunkingAfter}} {
					inWorld(t, func(t *testing.T, w *world) {
						w.mx(10, &smtptest.Server{Extensions: chunking})
						w.client.Dialer.Quirks = withQuirks(q)
						env := fromAnn("bob@example.net")
						report, err := w.client.Deliver(t.Context(), env, content)
						if err != nil {
							t.Fatalf("%s: %v", kind, err)
						}
						checkEnds(t, w.net, env, text, report)
					})
				}
			}
		})
	}
}

// A content that cannot be read waits, and nothing is looked up for it.
func TestContentThatCannotBeRead(t *testing.T) {
	folder := t.TempDir()
	for name, content := range map[string]smtpclient.Content{
		"no file":        smtpclient.File(filepath.Join(folder, "gone")),
		"a folder":       smtpclient.File(folder),
		"nil ReaderAt":   smtpclient.ReaderAt(nil, 5),
		"negative size":  smtpclient.ReaderAt(strings.NewReader(hello), -1),
		"size too large": smtpclient.ReaderAt(strings.NewReader(hello), 1000),
		"no scan":        &smtpclient.Scanned{Content: smtpclient.Bytes([]byte(hello))},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.untouched()
				report, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), content)
				checkError(t, report, err)
				expect(t, report, "bob@example.net deferred input 4.3.0")
			})
		})
	}
	if _, err := smtpclient.Scan(t.Context(), smtpclient.File(filepath.Join(folder, "gone"))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Scan gives %v", err)
	}
	if _, err := smtpclient.Scan(t.Context(), nil); err == nil {
		t.Error("Scan of nil gives no error")
	}
	if _, err := smtpclient.Scan(t.Context(), (*funcContent)(nil)); err == nil || !strings.Contains(err.Error(), "panic") {
		t.Errorf("Scan of a content that panics gives %v", err)
	}
}

// Scan shows what it found.
func TestScanShowsTheFacts(t *testing.T) {
	text := "Subject: gr\u00fcn\n\n.dot\r\n\x00" + strings.Repeat("x", 1500) + "\n"
	for kind, content := range map[string]smtpclient.Content{
		"memory": smtpclient.Bytes([]byte(text)), "reader": reader{text, 3, -1},
		"file": smtpclient.File(newFile(t, text)), "ReaderAt": smtpclient.ReaderAt(strings.NewReader(text), int64(len(text))),
	} {
		s, err := smtpclient.Scan(t.Context(), content)
		if err != nil {
			t.Fatal(err)
		}
		if !s.EightBit || !s.HeaderUTF8 || !s.NUL || !s.StrayCRLF || !s.LeadingDots || s.LongestLine != 1501 || s.WireSize != int64(len(arrives(text))) {
			t.Errorf("%s: %+v, want a size of %d", kind, *s, len(arrives(text)))
		}
	}
	s, err := smtpclient.Scan(t.Context(), smtpclient.Bytes([]byte(hello)))
	if err != nil || s.EightBit || s.HeaderUTF8 || s.NUL || s.StrayCRLF || s.LeadingDots || s.LongestLine != 21 || s.WireSize != int64(len(hello)) {
		t.Errorf("%+v, %v", s, err)
	}
}

// counting is a ReaderAt that counts what is read of it, and may block.
type counting struct {
	io.ReaderAt
	bytes atomic.Int64
	block func()
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	if c.block != nil {
		c.block()
	}
	n, err := c.ReaderAt.ReadAt(p, off)
	c.bytes.Add(int64(n))
	return n, err
}

// What remembers its scan is read once for the scan and once for each delivery;
// anything else twice for each.
func TestScanIsShared(t *testing.T) {
	text := longMessage(100_000)
	for name, tt := range map[string]struct {
		of   func(c smtpclient.Content) smtpclient.Content
		want int
	}{
		"ReaderAt": {func(c smtpclient.Content) smtpclient.Content { return c }, 1 + 5},
		"Scanned": {func(c smtpclient.Content) smtpclient.Content {
			s, err := smtpclient.Scan(t.Context(), struct{ smtpclient.Content }{c})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}, 1 + 5},
		"any other": {func(c smtpclient.Content) smtpclient.Content { return struct{ smtpclient.Content }{c} }, 5 + 5},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.mx(10, &smtptest.Server{})
				source := &counting{ReaderAt: strings.NewReader(text)}
				content := tt.of(smtpclient.ReaderAt(source, int64(len(text))))
				for range 5 {
					if _, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), content); err != nil {
						t.Fatal(err)
					}
				}
				if got := int(source.bytes.Load()); got != tt.want*len(text) {
					t.Errorf("%d bytes were read, want %d times %d", got, tt.want, len(text))
				}
			})
		})
	}
}

// Of those who use a content first at the same time one scans it. If he gives up,
// the next one does, and nobody else notices.
func TestScanGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := longMessage(100_000)
		source := &counting{ReaderAt: strings.NewReader(text), block: func() { time.Sleep(time.Second) }}
		content := smtpclient.ReaderAt(source, int64(len(text)))
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error)
		go func() {
			_, err := smtpclient.Scan(ctx, content)
			first <- err
		}()
		time.Sleep(1500 * time.Millisecond) // he is at it
		hasty, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer stop()
		if _, err := smtpclient.Scan(hasty, content); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("one who waits no longer gets %v", err)
		}
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				s, err := smtpclient.Scan(t.Context(), content)
				if err != nil || s.WireSize != int64(len(text)) {
					t.Errorf("%+v, %v", s, err)
				}
			})
		}
		synctest.Wait()
		before := source.bytes.Load()
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("who gave up gets %v", err)
		}
		wg.Wait()
		if got, most := source.bytes.Load()-before, int64(len(text)+32<<10); got > most {
			t.Errorf("%d bytes were read after that, want %d at most", got, most)
		}
	})
}

// A file that changes between two deliveries is scanned again, whatever shows the
// change.
func TestFileIsScannedAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{})
		name := newFile(t, hello)
		content := smtpclient.File(name)
		other := strings.ReplaceAll(hello, "H", "J")
		for i, step := range []struct {
			change func()
			want   string
		}{
			{func() {}, hello},
			{func() { write(t, name, hello+"more\r\n", time.Hour) }, hello + "more\r\n"}, // size
			{func() { write(t, name, hello, time.Minute) }, hello},
			{func() { write(t, name, other, time.Second) }, other}, // time
			{func() { replace(t, name, hello, time.Second) }, hello},
		} {
			step.change()
			if _, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), content); err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
			if got := string(mx.Messages()[i].Data); got != step.want {
				t.Errorf("step %d: got %q, want %q", i, got, step.want)
			}
		}
	})
}

// replace renames another file to name.
func replace(t *testing.T, name, text string, ago time.Duration) {
	t.Helper()
	write(t, name+".new", text, ago)
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// What a file can suffer between scan and end, before it is opened for the
// attempt and after. The text that was scanned arrives, or nothing does; what
// stands there then goes with the next call.
func TestFileChanges(t *testing.T) {
	long := longMessage(200_000)
	other := strings.Replace(long, "0000", "1111", 1)
	const (
		opening  = "deferred input 4.3.0"
		sending  = "deferred data-block 4.3.0"
		accepted = "delivered data-done 2.0.0"
	)
	for name, tt := range map[string]struct {
		change        func(name string)
		before, after string // opening
	}{
		"grows":                 {func(name string) { write(t, name, long+"more\r\n", time.Minute) }, opening, sending},
		"grows, time set back":  {func(name string) { write(t, name, long+"more\r\n", time.Hour) }, opening, sending},
		"shrinks":               {func(name string) { write(t, name, long[:100_000], time.Minute) }, opening, sending},
		"is emptied":            {func(name string) { write(t, name, "", time.Minute) }, opening, sending},
		"other bytes":           {func(name string) { write(t, name, other, time.Minute) }, opening, sending},
		"other bytes, same age": {func(name string) { write(t, name, other, time.Hour) }, sending, sending},
		"is replaced":           {func(name string) { replace(t, name, other, time.Hour) }, opening, accepted},
		"is removed":            {func(name string) { os.Remove(name) }, opening, accepted},
		"is touched":            {func(name string) { setAge(t, name, time.Minute) }, opening, accepted},
	} {
		for verb, want := range map[string]string{"EHLO": tt.before, "RCPT": tt.after} {
			for _, mode := range []smtpclient.Chunking{smtpclient.ChunkingAuto, smtpclient.ChunkingAfter} {
				t.Run(name+"/"+verb, func(t *testing.T) {
					inWorld(t, func(t *testing.T, w *world) {
						w.unruly = true // the connection is closed within the content
						file, changed := newFile(t, long), false
						mx := w.mx(10, &smtptest.Server{Extensions: chunking, Script: func(c smtptest.Command) action {
							if c.Verb == verb && !changed {
								changed = true
								tt.change(file)
							}
							return action{}
						}})
						mx20 := w.mx(20, &smtptest.Server{})
						w.client.Dialer.Quirks = withQuirks(smtpclient.Quirks{Chunking: mode})
						env, content := fromAnn("bob@example.net"), smtpclient.File(file)
						report, err := w.client.Deliver(t.Context(), env, content)
						checkError(t, report, err)
						expect(t, report, "bob@example.net "+want)
						checkEnds(t, w.net, env, long, report)
						if mx20.Sessions() != 0 || len(mx.Messages()) > 1 {
							t.Error("sent again")
						}
						now, err := os.ReadFile(file)
						if err != nil {
							return
						}
						if _, err := w.client.Deliver(t.Context(), env, content); err != nil {
							t.Fatalf("the next call: %v", err)
						}
						all := mx.Messages()
						if got := all[len(all)-1].Data; !bytes.Equal(got, []byte(arrives(string(now)))) {
							t.Errorf("the next call delivers %d bytes, want the %d that are there", len(got), len(now))
						}
					})
				})
			}
		}
	}
}

// A ReaderAt, or what was scanned by hand, that gives other bytes later.
func TestReaderAtChanges(t *testing.T) {
	long := longMessage(200_000)
	other := strings.Replace(long, "0000", "1111", 1)
	inWorld(t, func(t *testing.T, w *world) {
		w.unruly = true
		mx := w.mx(10, &smtptest.Server{})
		source := &counting{ReaderAt: strings.NewReader(long)}
		content := smtpclient.ReaderAt(source, int64(len(long)))
		scanned, err := smtpclient.Scan(t.Context(), content)
		if err != nil {
			t.Fatal(err)
		}
		source.ReaderAt = strings.NewReader(other)
		for i, c := range []smtpclient.Content{scanned, content, scanned} {
			report, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), c)
			checkError(t, report, err)
			want := "bob@example.net deferred data-block 4.3.0"
			if i == 1 { // the first delivery had found that the scan is of no use
				want = "bob@example.net delivered data-done 2.0.0"
			}
			expect(t, report, want)
		}
		if n := len(mx.Messages()); n != 1 || string(mx.Messages()[0].Data) != other {
			t.Errorf("%d messages", n)
		}
	})
}

// Memory does not depend on the size of what is scanned.
func TestScanIsConstantInMemory(t *testing.T) {
	const size = 16 << 20
	for kind, content := range map[string]smtpclient.Content{
		"ReaderAt": smtpclient.ReaderAt(same("gr\u00fcn\r\n"), size), "any other": struct{ smtpclient.Content }{smtpclient.ReaderAt(same("x"), size)},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s, err := smtpclient.Scan(t.Context(), content)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; err != nil || s.WireSize < size || used > 1<<20 {
			t.Errorf("%s: %d bytes of memory for %d; %v", kind, used, size, err)
		}
	}
}

// same is a ReaderAt that gives the same text at every place.
type same string

func (s same) ReadAt(p []byte, _ int64) (int, error) {
	n := 0
	for n < len(p) {
		n += copy(p[n:], s)
	}
	return n, nil
}
