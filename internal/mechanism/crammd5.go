package mechanism

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"

	sasl "github.com/emersion/go-sasl"
)

type cramMD5 struct {
	user, password string
	answered       bool
}

// CRAMMD5 is RFC 2195: the password is the key of a hash over the challenge.
func CRAMMD5(user, password string) sasl.Client { return &cramMD5{user: user, password: password} }

func (c *cramMD5) Start() (string, []byte, error) { return "CRAM-MD5", nil, nil }

func (c *cramMD5) Next(challenge []byte) ([]byte, error) {
	// Without a challenge the answer could be used for ever after.
	if c.answered || len(challenge) == 0 {
		return nil, errChallenge
	}
	c.answered = true
	mac := hmac.New(md5.New, []byte(c.password))
	mac.Write(challenge)
	return []byte(c.user + " " + hex.EncodeToString(mac.Sum(nil))), nil
}

func (c *cramMD5) Done() error {
	if !c.answered {
		return errUnfinished
	}
	return nil
}
