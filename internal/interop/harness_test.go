package interop

import (
	"bytes"
	"testing"
)

// A line must begin exactly where dotsAtBuffers says, or it tests nothing.
func TestDotsAreAtTheBuffers(t *testing.T) {
	for offset := -8; offset <= 8; offset++ {
		b := dotsAtBuffers(offset)
		for _, end := range []int{4096, 8192, 16384, 32768, 65536} {
			if got := b[end+offset-2 : end+offset+3]; !bytes.Equal(got, []byte("\r\n.\r\n")) {
				t.Errorf("at %d%+d: got %q", end, offset, got)
			}
		}
	}
}
