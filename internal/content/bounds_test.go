package content

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

// What goes over the bounds is refused, by a conversion and by a filter; what
// just keeps to them is not.
func TestBounds(t *testing.T) {
	boundary := func(n int) string {
		b := strings.Repeat("b", n)
		return "Content-Type: multipart/mixed; boundary=" + b + "\r\n\r\n--" + b + "\r\n\r\n\xc3\xbc\r\n--" + b + "--\r\n"
	}
	nested := func(n int) string {
		var s strings.Builder
		for i := range n {
			fmt.Fprintf(&s, "Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n", i, i)
		}
		return s.String() + "\r\n\xc3\xbc\r\n"
	}
	field := func(n int) string {
		line := " " + strings.Repeat("x", 61) + "\r\n"
		return "X:" + line + strings.Repeat(line, n/len(line)-1) + "\r\n\xc3\xbc\r\n"
	}
	parts := func(n int) string {
		return "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\n\xc3\xbc\r\n", n-1) + "--b--\r\n"
	}
	for name, tt := range map[string]struct {
		fits, over string
		plans      bool // only a Plan remembers them
	}{
		"boundary": {boundary(2048), boundary(2049), false},
		"nesting":  {nested(100), nested(101), false},
		"field":    {field(1<<20 - 64), field(1<<20 + 64), false},
		"parts":    {parts(10000), parts(10001), true},
	} {
		t.Run(name, func(t *testing.T) {
			for in, want := range map[string]string{tt.fits: "", tt.over: "5.6.0"} {
				out, _, err := converted(in, SevenBit{})
				if got := codeOf(err); got != want {
					t.Errorf("conversion: %q, want %q; %v", got, want, err)
				} else if err == nil {
					checkSevenBit(t, []byte(out))
				}
				if tt.plans {
					want = ""
				}
				filter := &Filter{Line: func(string) (Edit, error) { return Edit{}, nil }}
				_, err = io.Copy(io.Discard, filter.Apply(strings.NewReader(in)))
				if got := codeOf(err); got != want {
					t.Errorf("filter: %q, want %q; %v", got, want, err)
				}
			}
		})
	}
}

func codeOf(err error) string {
	var no *Unfit
	if errors.As(err, &no) {
		return no.Enhanced
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// endless gives the same bytes again and again, n in all.
type endless struct {
	text string
	n    int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.n == 0 {
		return 0, io.EOF
	}
	p = p[:min(len(p), e.n)]
	n := 0
	for n < len(p) {
		n += copy(p[n:], e.text)
	}
	e.n -= n
	return n, nil
}

// Memory does not depend on the size of a message, whatever its lines are like.
func TestMemoryIsConstant(t *testing.T) {
	const size = 16 << 20
	texts := map[string]string{
		"short lines":   "gr\xc3\xbc\xc3\x9fe aus einer Zeile, die nicht lang ist\r\n",
		"one long line": "\xc3\xbc\xc3\xb6",
		"binary":        "\xff\xfe\x01\r",
	}
	for name, text := range texts {
		for part, head := range map[string]string{"header": "", "body": "Subject: x\r\n\r\n"} {
			t.Run("scan/"+name+"/"+part, func(t *testing.T) {
				used := allocated(func() {
					var s Scanner
					n, err := io.Copy(&s, io.MultiReader(strings.NewReader(head), &endless{text, size}))
					if err != nil || n != s.Facts().Size || n < size {
						t.Errorf("%d bytes, %v", n, err)
					}
				})
				if used > 1<<20 {
					t.Errorf("%d bytes of memory for %d", used, size)
				}
			})
		}
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			source := func() io.Reader {
				return io.MultiReader(strings.NewReader("Subject: x\r\n\r\n"), &endless{text, size})
			}
			used := allocated(func() {
				plan, err := SevenBit{}.Plan(source())
				if err != nil {
					t.Fatal(err)
				}
				n, err := io.Copy(io.Discard, plan.Convert(source()))
				if err != nil || n < size {
					t.Fatalf("%d bytes, %v", n, err)
				}
				if n, err := io.Copy(io.Discard, Fold(source())); err != nil || n < size {
					t.Fatalf("%d bytes, %v", n, err)
				}
			})
			if used > 4<<20 {
				t.Errorf("%d bytes of memory for %d", used, size)
			}
		})
	}
}

// allocated is how much memory a function takes in all, also what it gives back.
func allocated(run func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A message of the usual kind, with text in two forms and a file.
func BenchmarkSevenBit(b *testing.B) {
	text := strings.Repeat("Gr\xc3\xbc\xc3\x9fe aus K\xc3\xb6ln, mit einer Zeile von der Art, wie sie meist sind.\r\n", 400)
	file := strings.Repeat(strings.Repeat("QUJD", 19)+"\r\n", 10000)
	in := "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + text + "--b\r\n" +
		"Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" + file + "--b--\r\n"
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		plan, err := SevenBit{}.Plan(strings.NewReader(in))
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, plan.Convert(strings.NewReader(in)))
	}
}
