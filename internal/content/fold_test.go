package content

import (
	"io"
	"strings"
	"testing"
)

func TestFold(t *testing.T) {
	long := strings.Repeat("x", MaxLine)
	for name, tt := range map[string]struct{ in, want string }{
		"short":              {"a: b\r\n\r\nc\n", "a: b\r\n\r\nc\n"},
		"just fits":          {"\r\n" + long + "\r\n", "\r\n" + long + "\r\n"},
		"one more":           {"\r\n" + long + "y\r\nz", "\r\n" + long + "\r\n y\r\nz"},
		"the space counts":   {"\r\n" + long + long + "\n", "\r\n" + long + "\r\n " + long[1:] + "\r\n x\n"},
		"no end":             {"\r\n" + long + "y", "\r\n" + long + "\r\n y"},
		"UTF-8":              {"\r\n" + long[1:] + "\xc3\xbc\r\n", "\r\n" + long[1:] + "\r\n \xc3\xbc\r\n"},
		"four bytes":         {"\r\n" + long[3:] + "\xf0\x9f\x98\x80\r\n", "\r\n" + long[3:] + "\r\n \xf0\x9f\x98\x80\r\n"},
		"just after UTF-8":   {"\r\n" + long[2:] + "\xc3\xbcy\r\n", "\r\n" + long[2:] + "\xc3\xbc\r\n y\r\n"},
		"no UTF-8":           {"\r\n" + long[1:] + "\xfc\xfc\r\n", "\r\n" + long[1:] + "\xfc\r\n \xfc\r\n"},
		"header at a blank":  {"To: a,\t" + long + "\r\n", "To: a,\r\n\t" + long[1:] + "\r\n x\r\n"},
		"header, no blank":   {"X:" + long + "\r\n", "X:" + long[2:] + "\r\n xx\r\n"},
		"header, blank ends": {"X: a" + long[4:] + "   \r\n", "X: a" + long[4:] + "\r\n"},
	} {
		got, err := io.ReadAll(Fold(strings.NewReader(tt.in)))
		if err != nil || string(got) != tt.want {
			short := strings.NewReplacer(strings.Repeat("x", 900), "...")
			t.Errorf("%s: got %q, want %q; %v", name, short.Replace(string(got)), short.Replace(tt.want), err)
		}
	}
}
