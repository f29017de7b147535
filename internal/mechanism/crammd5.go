package mechanism

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"

	sasl "github.com/emersion/go-sasl"
)

type cramMD5 struct {
	user, password string
	digest         string // "": nothing was answered yet
}

// CRAMMD5 is RFC 2195: the password is the key of a hash over the challenge.
func CRAMMD5(user, password string) sasl.Client { return &cramMD5{user: user, password: password} }

func (c *cramMD5) Start() (string, []byte, error) { return "CRAM-MD5", nil, nil }

func (c *cramMD5) Next(challenge []byte) ([]byte, error) {
	// Without a challenge the answer could be used for ever after.
	if c.digest != "" || len(challenge) == 0 {
		return nil, errChallenge
	}
	mac := hmac.New(md5.New, []byte(c.password))
	mac.Write(challenge)
	c.digest = hex.EncodeToString(mac.Sum(nil))
	return []byte(c.user + " " + c.digest), nil
}

func (c *cramMD5) Done() error {
	if c.digest == "" {
		return errUnfinished
	}
	return nil
}

func (c *cramMD5) Made() string { return c.digest }
