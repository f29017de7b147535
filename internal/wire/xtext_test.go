package wire

import (
	"strconv"
	"strings"
	"testing"
)

func TestAppendXtext(t *testing.T) {
	for in, want := range map[string]string{
		"":             "",
		"abc":          "abc",
		"a+b=c":        "a+2Bb+3Dc",
		"a b":          "a+20b",
		"\r\n\x00\x7f": "+0D+0A+00+7F",
		"ü":            "+C3+BC",
		"!~":           "!~",
	} {
		if got := string(AppendXtext(nil, in)); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func FuzzAppendXtext(f *testing.F) {
	f.Add("a+b=c\r\n")
	f.Fuzz(func(t *testing.T, in string) {
		out := string(AppendXtext(nil, in))
		var back strings.Builder
		for rest := out; rest != ""; {
			if rest[0] != '+' {
				if rest[0] <= ' ' || rest[0] > '~' || rest[0] == '=' {
					t.Fatalf("%q holds %q", out, rest[0])
				}
				back.WriteByte(rest[0])
				rest = rest[1:]
				continue
			}
			n, err := strconv.ParseUint(rest[1:3], 16, 8)
			if err != nil || rest[1:3] != strings.ToUpper(rest[1:3]) {
				t.Fatalf("%q holds %q", out, rest[:3])
			}
			back.WriteByte(byte(n))
			rest = rest[3:]
		}
		if back.String() != in {
			t.Fatalf("%q became %q, which is %q", in, out, back.String())
		}
	})
}

func TestAppendUTF8Address(t *testing.T) {
	for in, want := range map[string][2]string{
		"bob@example.net":  {"bob@example.net", "bob@example.net"},
		"bö+b@exämple.net": {`b\x{F6}\x{2B}b@ex\x{E4}mple.net`, `bö\x{2B}b@exämple.net`},
		`a\b c`:            {`a\x{5C}b\x{20}c`, `a\x{5C}b\x{20}c`},
		"𝄞":                {`\x{1D11E}`, "𝄞"},
	} {
		if got := string(AppendUTF8Address(nil, in, ASCIIOnly)); got != want[0] {
			t.Errorf("%q: got %q, want %q", in, got, want[0])
		}
		if got := string(AppendUTF8Address(nil, in, Unitext)); got != want[1] {
			t.Errorf("%q: got %q, want %q", in, got, want[1])
		}
	}
}
