package ascii

import (
	"strings"
	"testing"
)

// Each byte at each place of a long name decides, whatever its neighbours are.
func TestIsVisible(t *testing.T) {
	for _, around := range []string{"!", "~", "a"} {
		for n := range 20 {
			for at := range n {
				for c := range 256 {
					s := strings.Repeat(around, at) + string([]byte{byte(c)}) + strings.Repeat(around, n-1-at)
					if got, want := IsVisible(s), c >= '!' && c <= '~'; got != want {
						t.Fatalf("%q: %v, want %v", s, got, want)
					}
				}
			}
		}
	}
	// What one byte carries into the next must not hide either.
	for c := range 256 {
		for d := range 256 {
			s := "aa" + string([]byte{byte(c), byte(d)}) + "aaaa"
			if got, want := IsVisible(s), c >= '!' && c <= '~' && d >= '!' && d <= '~'; got != want {
				t.Fatalf("%q: %v, want %v", s, got, want)
			}
		}
	}
	if !IsVisible("") || IsVisible(strings.Repeat("\xff", 16)) || IsVisible(strings.Repeat("\x00", 16)) {
		t.Error("of an empty name, or of one byte over and over")
	}
}

func TestIs(t *testing.T) {
	for n := range 20 {
		for at := range n {
			for c := range 256 {
				s := strings.Repeat("\x7f", at) + string([]byte{byte(c)}) + strings.Repeat("\x00", n-1-at)
				if got, want := Is(s), c < 0x80; got != want {
					t.Fatalf("%q: %v, want %v", s, got, want)
				}
			}
		}
	}
	if !Is("") {
		t.Error("of an empty text")
	}
}

func TestHasControl(t *testing.T) {
	for _, around := range []string{" ", "~", "\x80", "\xff"} {
		for n := range 20 {
			for at := range n {
				for c := range 256 {
					b := []byte(strings.Repeat(around, n))
					b[at] = byte(c)
					if got, want := HasControl(b), c < ' ' || c == 0x7f; got != want {
						t.Fatalf("%q: %v, want %v", b, got, want)
					}
				}
			}
		}
	}
	for c := range 256 {
		for d := range 256 {
			b := []byte("aa" + string([]byte{byte(c), byte(d)}) + "aaaa")
			if got, want := HasControl(b), c < ' ' || c == 0x7f || d < ' ' || d == 0x7f; got != want {
				t.Fatalf("%q: %v, want %v", b, got, want)
			}
		}
	}
	if HasControl(nil) {
		t.Error("of nothing")
	}
}
