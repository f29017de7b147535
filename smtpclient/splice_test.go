package smtpclient

import (
	"bytes"
	"strings"
	"testing"
)

// What goes out in pieces is the memory of the caller itself, with a dot between
// where one is due. Dots that are too many for that are left to a copy.
func TestSplice(t *testing.T) {
	for name, tt := range map[string]struct {
		lines  string
		pieces int // 0: it gives up
	}{
		"no dot":       {"one\r\ntwo.\r\n", 1},
		"a dot":        {"one\r\n.two\r\n", 3},
		"first":        {".one\r\ntwo\r\n", 2},
		"last":         {"one\r\n.\r\n", 3},
		"dots":         {".\r\n..\r\n", 4},
		"many":         {strings.Repeat("x\r\n.\r\n", maxPieces/2-1), maxPieces - 1},
		"one more":     {strings.Repeat("x\r\n.\r\n", maxPieces/2), 0},
		"far too many": {strings.Repeat(".\r\n", 1000), 0},
		"late":         {strings.Repeat("x\r\n", 10_000) + ".\r\n", 3},
	} {
		t.Run(name, func(t *testing.T) {
			lines := []byte(tt.lines)
			vec, ok := splice(nil, lines)
			if ok != (tt.pieces > 0) || len(vec) != tt.pieces {
				t.Fatalf("%d pieces, %v; want %d", len(vec), ok, tt.pieces)
			}
			if !ok {
				return
			}
			copy(lines, bytes.ToUpper(lines)) // a copy would not show it
			want := strings.ToUpper(strings.ReplaceAll("\n"+tt.lines, "\n.", "\n..")[1:])
			if got := bytes.Join(vec, nil); string(got) != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
