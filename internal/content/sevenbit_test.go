package content

import (
	"io"
	"strings"
	"testing"
)

// converted plans and converts a message.
func converted(in string, how SevenBit) (string, *Plan, error) {
	plan, err := how.Plan(strings.NewReader(in))
	if err != nil {
		return "", nil, err
	}
	out, err := io.ReadAll(plan.Convert(strings.NewReader(in)))
	return string(out), plan, err
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func TestSevenBit(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"undeclared": {
			"Subject: x\n\ngr\xc3\xbc\xc3\x9fe\n",
			"Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=unknown-8bit\nContent-Transfer-Encoding: quoted-printable\n\ngr=C3=BC=C3=9Fe\n",
		},
		"declared": {
			"MIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\nContent-Type: text/plain; charset=utf-8\nSubject: x\n\n.\nFrom b\n-- \n\xc3\xbc.\n",
			"MIME-Version: 1.0\nContent-Transfer-Encoding: quoted-printable\nContent-Type: text/plain; charset=utf-8\nSubject: x\n\n=2E\n=46rom b\n=2D-=20\n=C3=BC.\n",
		},
		"text that is binary": {
			"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: binary\n\n\xc3\xbcber\n",
			"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\nw7xiZXINCg==\n",
		},
		"text that is mostly 8-bit": {
			"MIME-Version: 1.0\nContent-Type: text/plain; charset=koi8-r\n\n\xc1\xc2\xc3\xc4\xc5 a\n",
			"MIME-Version: 1.0\nContent-Type: text/plain; charset=koi8-r\nContent-Transfer-Encoding: base64\n\nwcLDxMUgYQ0K\n",
		},
		"parts": {
			"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"a b\"\nContent-Transfer-Encoding: 8bit\n\npre\n--a b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n\xc3\xbcber\nx\n--a b\n\nplain\n--a b\nContent-Type: image/png\nContent-Transfer-Encoding: binary\n\n\xff\xfe\n\n--a b--\npost\n",
			"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"a b\"\nContent-Transfer-Encoding: 7bit\n\npre\n--a b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n=C3=BCber\nx\n--a b\n\nplain\n--a b\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\n//4NCg==\n--a b--\npost\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, plan, err := converted(crlf(tt.in), SevenBit{})
			if err != nil || got != crlf(tt.want) || !plan.Changed {
				t.Errorf("got\n%s\nwant\n%s\nerror %v", got, tt.want, err)
			}
		})
	}
}
