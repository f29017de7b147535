package mechanism

import (
	"strconv"
	"strings"

	sasl "github.com/emersion/go-sasl"
)

// bearer shows a token of OAuth 2.0. A server that refuses it says why in a
// challenge, in JSON, and gives its final reply after a dummy response.
type bearer struct {
	refusal
	name, first, dummy string
}

// XOAuth2 is Google's and Microsoft's mechanism of before RFC 7628. After a
// failure it sends an empty response.
func XOAuth2(user, token string) sasl.Client {
	return &bearer{name: "XOAUTH2", first: "user=" + user + "\x01auth=Bearer " + token + "\x01\x01"}
}

// OAuth are the words of OAUTHBEARER. "" and 0 are left out.
type OAuth struct {
	Identity string // whom to act for
	Host     string // of the server, as the client knows it
	Port     int
	Token    string
}

// OAuthBearer is RFC 7628. After a failure it sends a single 0x01 (Section
// 3.2.3).
func OAuthBearer(o OAuth) sasl.Client {
	var b strings.Builder
	b.WriteString("n,")
	if o.Identity != "" {
		b.WriteString("a=" + saslName.Replace(o.Identity))
	}
	b.WriteString(",\x01")
	if o.Host != "" {
		b.WriteString("host=" + o.Host + "\x01")
	}
	if o.Port != 0 {
		b.WriteString("port=" + strconv.Itoa(o.Port) + "\x01")
	}
	b.WriteString("auth=Bearer " + o.Token + "\x01\x01")
	return &bearer{name: "OAUTHBEARER", first: b.String(), dummy: "\x01"}
}

// saslName writes a name so that it can stand in a GS2 header: RFC 5801, Section
// 4.
var saslName = strings.NewReplacer("=", "=3D", ",", "=2C")

func (b *bearer) Start() (string, []byte, error) { return b.name, []byte(b.first), nil }

func (b *bearer) Next(challenge []byte) ([]byte, error) {
	if err := b.tell(challenge); err != nil {
		return nil, err
	}
	return []byte(b.dummy), nil
}
