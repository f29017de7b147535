package smtpclient_test

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// smuggled is what follows a sequence that some server has taken for the end of
// the data: another message, if the sequence works.
const smuggled = "MAIL FROM:<eve@example.org>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nSubject: smuggled\r\n\r\ntext\r\n.\r\n"

// smuggling are the sequences: a dot between line ends of every kind, and what
// ends a line only for some.
func smuggling() []string {
	ends := []string{"\n", "\r", "\r\n", "\r\r\n", "\n\r", "\n\n", "\r\r", "\r\n\r"}
	var all []string
	for _, before := range ends {
		for _, after := range ends {
			all = append(all, before+"."+after)
		}
	}
	return all
}

// padTo fills with lines, so that the next byte is at the offset.
func padTo(b []byte, offset int) []byte {
	for len(b) < offset {
		n := min(offset-len(b), 72)
		if rest := offset - len(b) - n; rest > 0 && rest < 3 {
			n -= 3
		}
		b = append(b, strings.Repeat("x", max(0, n-2))+"\r\n"[max(0, 2-n):]...)
	}
	return b
}

// smugglingAtBuffers has every sequence at the end of a buffer: the scan reads 32
// KiB at a time, and a block of 64 KiB is written.
func smugglingAtBuffers(offset int) string {
	b := []byte("From: ann@example.org\r\nSubject: buffers\r\n\r\n")
	for i, sequence := range smuggling() {
		b = padTo(b, (i+1)<<15+offset)
		b = append(b, sequence+smuggled...)
	}
	return string(b) + "last\r\n"
}

// smugglingAtTail has one sequence where the last piece of the content begins,
// which is written with the end of the data.
func smugglingAtTail(sequence string, offset int) string {
	b := padTo([]byte("From: ann@example.org\r\nSubject: tail\r\n\r\n"), 5000)
	end := len(b) + len(sequence) + 16<<10 + offset
	b = append(b, sequence+smuggled...)
	return string(padTo(b, end))
}

// Nothing that was ever taken for the end of the data ends it, wherever it stands
// and however it goes: one message arrives, and it is the one that was meant.
func TestSmuggling(t *testing.T) {
	var texts []string
	for offset := -6; offset <= 1; offset++ {
		texts = append(texts, smugglingAtBuffers(offset))
	}
	for _, sequence := range smuggling() {
		for offset := -5; offset <= 5; offset++ {
			texts = append(texts, smugglingAtTail(sequence, offset))
		}
		texts = append(texts, hello+"text"+sequence, sequence+smuggled)
	}
	file := newFile(t, "")
	for i, text := range texts {
		for n, mode := range []smtpclient.Chunking{smtpclient.ChunkingOff, smtpclient.ChunkingAfter} {
			// Each sequence comes from every kind of content, at one place or another.
			var content smtpclient.Content
			switch (i + n) % 3 {
			case 0:
				content = smtpclient.Bytes([]byte(text))
			case 1:
				write(t, file, text, 0)
				content = smtpclient.File(file)
			case 2:
				content = reader{text, 1000, -1}
			}
			inWorld(t, func(t *testing.T, w *world) {
				mx := w.mx(10, &smtptest.Server{Extensions: chunking})
				w.client.Dialer.Quirks = withQuirks(smtpclient.Quirks{Chunking: mode})
				env := fromAnn("bob@example.net")
				report, err := w.client.Deliver(t.Context(), env, content)
				if err != nil {
					t.Fatalf("%.2000q: %v", text, err)
				}
				checkEnds(t, w.net, env, text, report)
				if n := len(mx.Messages()); n != 1 {
					t.Errorf("%.2000q: %d messages", text, n)
				}
			})
		}
	}
}

// A NUL beside the dot is refused before anything is sent.
func TestSmugglingWithNUL(t *testing.T) {
	for _, sequence := range []string{"\r\n\x00.\r\n", "\r\n.\x00\r\n", "\r\x00\n.\r\n", "\r\n.\r\x00\n"} {
		inWorld(t, func(t *testing.T, w *world) {
			w.untouched()
			report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello+sequence+smuggled)
			expect(t, report, "bob@example.net failed input 5.6.0")
		})
	}
}

// The sequences stand where they are meant to, or they test nothing.
func TestSmugglingIsAtItsPlace(t *testing.T) {
	for offset := -6; offset <= 1; offset++ {
		text := smugglingAtBuffers(offset)
		for i, sequence := range smuggling() {
			if at := (i+1)<<15 + offset; !strings.HasPrefix(text[at:], sequence+smuggled) || text[at-2:at] != "\r\n" {
				t.Fatalf("%q is not at %d", sequence, at)
			}
		}
	}
	for offset := -8; offset <= 8; offset++ {
		for _, sequence := range smuggling() {
			text := smugglingAtTail(sequence, offset)
			if at := len(text) - 16<<10 - offset; !strings.HasSuffix(text[:at], sequence) {
				t.Fatalf("%q is not at the tail%+d", sequence, offset)
			}
		}
	}
}
