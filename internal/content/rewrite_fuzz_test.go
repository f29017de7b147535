package content

import (
	"bytes"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"testing"
)

// Other addresses stand where the old ones stood, one for each, and everything else of
// the field stays as another parser reads it. No line becomes one of another field.
func FuzzRewriteAddresses(f *testing.F) {
	for _, s := range []string{
		"a@b.example", "Ann <a@b.example>, c@d.example", `"x, <y@z>" <a@b.example> (c@d)`, "(c (n)) a@b.example (d)", "a (c) @ b.example",
		"friends: a@b.example, <c@d.example>; e@f.g", "undisclosed recipients:;", "<@r.example:a@b.example>", `"a b"@[192.0.2.1]`,
		"\n Ann\n\t<a@b.example>,\n c@d.e", `"open <a@b.example>`, "<>", "local, a@b@c", "a@b.c, " + strings.Repeat("x@y.z, ", 200), `a@b, "\\" <c@d>`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > MaxLine {
			return // a line that is too long before is so afterwards
		}
		field := []byte("To: " + strings.ReplaceAll(repaired(text), "\r\n", "\r\n ") + "x@y.z\r\n")
		var old []string
		same, err := rewriteAddresses(field, func(a string) (string, error) { old = append(old, a); return a, nil })
		if err != nil || !bytes.Equal(same, field) {
			t.Fatalf("%q became %q, %v", field, same, err)
		}
		n := 0
		out, err := rewriteAddresses(field, func(string) (string, error) { n++; return fresh(n), nil })
		if err != nil {
			return // a text that nothing can fold
		}
		checkOneField(t, field, out)
		var now []string
		_, _ = rewriteAddresses(out, func(a string) (string, error) { now = append(now, a); return a, nil })
		if len(now) != len(old) || n != len(old) {
			t.Fatalf("%q has the addresses %q, and %q has %q", field, old, out, now)
		}
		for i := range now {
			if now[i] != fresh(i+1) {
				t.Fatalf("%q: the address %q became %q in %q", field, old[i], now[i], out)
			}
		}
		checkAsNetMail(t, field, out, old)
	})
}

func fresh(n int) string { return fmt.Sprintf("new%d@fresh.example", n) }

// checkOneField: a field stays one, with lines that may be sent.
func checkOneField(t *testing.T, field, out []byte) {
	t.Helper()
	if !bytes.HasPrefix(out, []byte("To:")) || !bytes.HasSuffix(out, []byte("\r\n")) {
		t.Fatalf("%q became %q", field, out)
	}
	first := true
	for line := range bytes.Lines(out) {
		if !first && line[0] != ' ' && line[0] != '\t' {
			t.Fatalf("%q became %q: the line %q is not of the field", field, out, line)
		}
		if body := bytes.TrimSuffix(line, []byte("\r\n")); bytes.ContainsAny(body, "\r\n") {
			t.Fatalf("%q became %q, with a CR or LF alone", field, out)
		}
		first = false
	}
}

// checkAsNetMail has the standard library read both: where it finds the addresses that
// we found, it finds the new ones afterwards, under the same names.
func checkAsNetMail(t *testing.T, field, out []byte, old []string) {
	t.Helper()
	before, err := mail.ParseAddressList(unfolded(field[len("To:"):]))
	if err != nil || !slices.EqualFunc(before, old, func(a *mail.Address, s string) bool { return a.Address == s }) {
		return // it reads another language than we do
	}
	after, err := mail.ParseAddressList(unfolded(out[len("To:"):]))
	if err != nil || len(after) != len(before) {
		t.Fatalf("%q became %q, which holds %d addresses, not %d; %v", field, out, len(after), len(before), err)
	}
	for i, a := range after {
		if a.Name != before[i].Name || a.Address != fresh(i+1) {
			t.Fatalf("%q became %q: %v stands for %v", field, out, a, before[i])
		}
	}
}
