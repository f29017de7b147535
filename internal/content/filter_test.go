package content

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestRewriteAddresses(t *testing.T) {
	upper := func(a string) (string, error) { return strings.ToUpper(a), nil }
	for in, want := range map[string]string{
		"To: a@b.example":                                "To: A@B.EXAMPLE",
		"To: Ann <a@b.example>, c@d.example":             "To: Ann <A@B.EXAMPLE>, C@D.EXAMPLE",
		"To: \"x, <y@z>\" <a@b.example> (c@d)":           "To: \"x, <y@z>\" <A@B.EXAMPLE> (c@d)",
		"To: (c (n)) a@b.example (d)":                    "To: (c (n)) A@B.EXAMPLE (d)",
		"To: a (c) @ b.example":                          "To: A@B.EXAMPLE (c)",
		"To: friends: a@b.example, <c@d.example>; e@f.g": "To: friends: A@B.EXAMPLE, <C@D.EXAMPLE>; E@F.G",
		"To: undisclosed recipients:;":                   "To: undisclosed recipients:;",
		"To: <@r.example,@s.example:a@b.example>":        "To: <@r.example,@s.example:A@B.EXAMPLE>",
		"To: \"a b\"@[192.0.2.1]":                        "To: \"A B\"@[192.0.2.1]",
		"To:\r\n Ann\r\n\t<a@b.example>,\r\n c@d.e":      "To:\r\n Ann\r\n\t<A@B.EXAMPLE>,\r\n C@D.E",
		"To: John Doe a@b.example":                       "To: John Doe a@b.example",
		"To: \"open <a@b.example>":                       "To: \"open <a@b.example>",
		"To: <>":                                         "To: <>",
		"To: local, a@b@c":                               "To: local, a@b@c",
	} {
		got, err := rewriteAddresses([]byte(in+"\r\n"), upper)
		if err != nil || string(got) != want+"\r\n" {
			t.Errorf("%q became %q, want %q; %v", in, got, want, err)
		}
	}
	fail := errors.New("no")
	if _, err := rewriteAddresses([]byte("To: a@b.c"), func(string) (string, error) { return "", fail }); err != fail {
		t.Error(err)
	}
}

// A list of addresses that grows is folded at a blank.
func TestRewriteFolds(t *testing.T) {
	in := "To: " + strings.Repeat("a@b.c, ", 140) + "a@b.c\r\n"
	out, err := rewriteAddresses([]byte(in), func(a string) (string, error) { return "long." + a, nil })
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(out), "\r\n") {
		if len(line) > MaxLine {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	if want := strings.ReplaceAll(in, "a@", "long.a@"); unfolded(out)+"\r\n" != want {
		t.Errorf("got %q", out)
	}
}

const filtered = `From: ann@example.org
Subject: a long
 story
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

pre
--b
Content-Type: message/rfc822
X-Part: 1

Subject: inner
To: cy@example.org

inner body
--b--
`

func TestFilterSeesEveryLine(t *testing.T) {
	var seen []string
	f := &Filter{
		Field: func(c HeaderClass, text string) (Edit, error) {
			seen = append(seen, fmt.Sprint(c, " ", text))
			return Edit{}, nil
		},
		Line: func(text string) (Edit, error) {
			seen = append(seen, text)
			return Edit{}, nil
		},
	}
	out, err := io.ReadAll(f.Apply(strings.NewReader(filtered)))
	if err != nil || string(out) != crlf(filtered) {
		t.Errorf("got %q, %v", out, err)
	}
	want := []string{"0 From: ann@example.org", "0 Subject: a long story", "1 MIME-Version: 1.0", "1 Content-Type: multipart/mixed; boundary=b",
		"pre", "--b", "1 Content-Type: message/rfc822", "1 X-Part: 1", "2 Subject: inner", "2 To: cy@example.org", "inner body", "--b--"}
	if got := strings.Join(seen, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s", got)
	}
}

func TestFilterEdits(t *testing.T) {
	edits := map[string]Edit{
		"Subject: a long story": {EditReplace, "Subject: short"},
		"MIME-Version: 1.0":     {EditPrepend, "X-Before: it"},
		"X-Part: 1":             {EditDrop, ""},
		"pre":                   {EditPrepend, "prepre"},
		"inner body":            {EditReplace, "outer"},
		"Content-Type: multipart/mixed; boundary=b": {},
		"Subject: inner": {EditDrop, ""},
		"no line of it is called so, and nothing happens": {EditDrop, ""},
	}
	f := &Filter{
		Field:   func(_ HeaderClass, text string) (Edit, error) { return edits[text], nil },
		Line:    func(text string) (Edit, error) { return edits[text], nil },
		Address: func(a string) (string, error) { return "x@example.com", nil },
	}
	out, err := io.ReadAll(f.Apply(strings.NewReader(filtered)))
	want := strings.NewReplacer("ann@example.org", "x@example.com", "a long\n story", "short", "MIME-V", "X-Before: it\nMIME-V",
		"X-Part: 1\n", "", "pre\n", "prepre\npre\n", "inner body", "outer", "Subject: inner\n", "").Replace(filtered)
	if err != nil || string(out) != crlf(want) {
		t.Errorf("got\n%s\nwant\n%s\n%v", out, want, err)
	}
}

func TestFilterRefusesWhatIsNoField(t *testing.T) {
	for _, text := range []string{"", "no field", "X Y: z", "X: " + strings.Repeat("x", MaxLine)} {
		for _, kind := range []EditKind{EditReplace, EditPrepend} {
			f := &Filter{Field: func(HeaderClass, string) (Edit, error) { return Edit{kind, text}, nil }}
			if out, err := io.ReadAll(f.Apply(strings.NewReader(filtered))); err == nil {
				t.Errorf("%.20q gives %q", text, out)
			}
		}
	}
}

// Nothing that a filter leaves alone changes.
func FuzzFilter(f *testing.F) {
	for _, s := range convertSeeds {
		f.Add([]byte(s), 3)
	}
	f.Add([]byte("To: Ann <a@b.c>, \"x\" (y) d@e.f\n\nx"), 1)
	f.Fuzz(func(t *testing.T, in []byte, n int) {
		same := &Filter{
			Field:   func(HeaderClass, string) (Edit, error) { return Edit{}, nil },
			Line:    func(string) (Edit, error) { return Edit{}, nil },
			Address: func(a string) (string, error) { return a, nil },
		}
		out, err := io.ReadAll(same.Apply(pieces(in, n)))
		var no *Unfit
		if errors.As(err, &no) {
			return
		}
		if want := repaired(string(in)); err != nil || string(out) != want {
			t.Fatalf("%q became %q, %v", want, out, err)
		}
	})
}
