// Package ascii checks text that is in the fast path of a message.
package ascii

import "encoding/binary"

// A bit of each byte of a word: the lowest, and the highest.
const each, highest = 0x0101010101010101, 0x8080808080808080

// IsVisible tells whether all bytes of s are printable ASCII but the space, '!' to
// '~'. Keys and names of a cache are checked for every message, so it looks at eight
// bytes at a time.
func IsVisible(s string) bool {
	for ; len(s) >= 8; s = s[8:] {
		w := binary.LittleEndian.Uint64([]byte(s[:8]))
		// No byte above 0x7e, so that the next sum carries nothing into its
		// neighbour; then each is at least '!'.
		if (w|(w+each))&highest != 0 || (w+(0x80-'!')*each)&highest != highest {
			return false
		}
	}
	for i := range len(s) {
		if s[i] < '!' || s[i] > '~' {
			return false
		}
	}
	return true
}

// Is tells whether all bytes of s are ASCII.
func Is(s string) bool {
	var all uint64
	if len(s) < 8 {
		for i := range len(s) {
			all |= uint64(s[i])
		}
		return all < 0x80
	}
	last := s[len(s)-8:] // it may have bytes of the others
	for ; len(s) > 8; s = s[8:] {
		all |= binary.LittleEndian.Uint64([]byte(s[:8]))
	}
	return (all|binary.LittleEndian.Uint64([]byte(last)))&highest == 0
}

// HasControl tells whether b holds a control character of ASCII, DEL among them.
func HasControl(b []byte) bool {
	if len(b) < 8 {
		for _, c := range b {
			if c < ' ' || c == 0x7f {
				return true
			}
		}
		return false
	}
	last := b[len(b)-8:] // it may have bytes of the others
	found := controls(last)
	for ; len(b) > 8; b = b[8:] {
		found |= controls(b)
	}
	return found&highest != 0
}

// controls has the highest bit of a byte where one of the next eight is a control
// character. A byte is below n where n is taken from it and its highest bit comes up,
// which was not there before. What it borrows from its neighbour it borrows only where it
// was below itself.
func controls(b []byte) uint64 {
	w := binary.LittleEndian.Uint64(b)
	del := w ^ 0x7f*each
	return (w-' '*each)&^w | (del-each)&^del
}
