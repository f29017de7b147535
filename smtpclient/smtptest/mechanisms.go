package smtptest

import (
	"cmp"
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strings"
)

// exchange is the server's part in a mechanism.
type exchange struct {
	mechanism string
	passwords map[string]string
	tls       *tls.ConnectionState
	prompts   [2]string
	user      string
	sent      string // the last challenge; in SCRAM all that was said so far
	nonce     string // of SCRAM, both parts
	binding   string // of SCRAM: what c= has to hold
	step      int
	failed    bool // an error was told, and the reply waits for a dummy response
}

// mechanisms take the client's response, and give the reply.
var mechanisms = map[string]func(a *exchange, response string) string{
	"PLAIN": (*exchange).plain, "LOGIN": (*exchange).login, "CRAM-MD5": (*exchange).cramMD5,
	"SCRAM-SHA-1": (*exchange).scram, "SCRAM-SHA-256": (*exchange).scram,
	"SCRAM-SHA-1-PLUS": (*exchange).scram, "SCRAM-SHA-256-PLUS": (*exchange).scram,
	"XOAUTH2": (*exchange).token, "OAUTHBEARER": (*exchange).token,
	"EXTERNAL": (*exchange).external, "ANONYMOUS": (*exchange).anonymous,
}

func (a *exchange) check(password string) string {
	want, ok := a.passwords[a.user]
	if !ok || want != password {
		return authRefused
	}
	return authAccepted
}

// plain is RFC 4616.
func (a *exchange) plain(response string) string {
	parts := strings.Split(response, "\x00")
	if len(parts) != 3 {
		return authBroken
	}
	a.user = parts[1]
	return a.check(parts[2])
}

func (a *exchange) login(response string) string {
	if a.user == "" {
		a.user = response
		return challenge(cmp.Or(a.prompts[1], "Password:"))
	}
	return a.check(response)
}

// cramMD5 is RFC 2195.
func (a *exchange) cramMD5(response string) string {
	user, digest, ok := strings.Cut(response, " ")
	if !ok || a.sent == "" {
		return authBroken
	}
	a.user = user
	mac := hmac.New(md5.New, []byte(a.passwords[user]))
	mac.Write([]byte(a.sent))
	if a.passwords[user] == "" || digest != hex.EncodeToString(mac.Sum(nil)) {
		return authRefused
	}
	return authAccepted
}

// token is OAUTHBEARER (RFC 7628) and XOAUTH2. The password is the token.
func (a *exchange) token(response string) string {
	if a.failed {
		return authRefused
	}
	for part := range strings.SplitSeq(response, "\x01") {
		if user, ok := strings.CutPrefix(part, "user="); ok {
			a.user = user
		}
		if user, ok := strings.CutPrefix(part, "n,a="); ok {
			a.user = strings.NewReplacer("=2C", ",", "=3D", "=").Replace(strings.TrimSuffix(user, ","))
		}
	}
	_, rest, _ := strings.Cut(response, "\x01auth=Bearer ")
	token, end, _ := strings.Cut(rest, "\x01")
	if end != "\x01" || a.user == "" {
		return authBroken
	}
	if a.check(token) != authAccepted {
		a.failed = true
		return challenge(`{"status":"401","schemes":"bearer","scope":"mail"}`)
	}
	return authAccepted
}

// external is RFC 4422, Appendix A: who is in the client's certificate, or with it
// acts for whom it names.
func (a *exchange) external(response string) string {
	a.user = response
	if a.user == "" {
		a.user = "external"
	}
	return authAccepted
}

// anonymous is RFC 4505.
func (a *exchange) anonymous(string) string {
	a.user = "anonymous"
	return authAccepted
}

const (
	scramSalt       = "salt of smtptest"
	scramIterations = 4096
)

// scram is RFC 5802.
func (a *exchange) scram(response string) string {
	a.step++
	switch {
	case a.step == 1:
		return a.scramFirst(response)
	case a.step == 2:
		return a.scramFinal(response)
	case response != "":
		return authBroken
	}
	return authAccepted
}

func (a *exchange) scramFirst(first string) string {
	parts := strings.SplitN(first, ",", 3)
	if len(parts) != 3 {
		return authBroken
	}
	a.binding = parts[0] + "," + parts[1] + ","
	plus := strings.HasSuffix(a.mechanism, "-PLUS")
	switch {
	case plus && parts[0] == "p=tls-exporter" && a.tls != nil:
		secret, err := a.tls.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
		if err != nil {
			return authBroken
		}
		a.binding += string(secret)
	case plus, strings.HasPrefix(parts[0], "p="):
		return authBroken
	}
	user, nonce, ok := strings.Cut(parts[2], ",r=")
	if !ok || !strings.HasPrefix(user, "n=") {
		return authBroken
	}
	a.user = strings.NewReplacer("=2C", ",", "=3D", "=").Replace(user[2:])
	a.nonce = nonce + "smtptest"
	answer := "r=" + a.nonce + ",s=" + base64.StdEncoding.EncodeToString([]byte(scramSalt)) + ",i=4096"
	a.sent = parts[2] + "," + answer
	return challenge(answer)
}

func (a *exchange) scramFinal(final string) string {
	without, proof, ok := strings.Cut(final, ",p=")
	want := "c=" + base64.StdEncoding.EncodeToString([]byte(a.binding)) + ",r=" + a.nonce
	if !ok || without != want {
		return authRefused
	}
	newHash := sha256.New
	if strings.HasPrefix(a.mechanism, "SCRAM-SHA-1") {
		newHash = sha1.New
	}
	password := a.passwords[a.user]
	salted, err := pbkdf2.Key(newHash, password, []byte(scramSalt), scramIterations, newHash().Size())
	if err != nil || password == "" {
		return authRefused
	}
	said := a.sent + "," + without
	key := sum(newHash, salted, "Client Key")
	h := newHash()
	h.Write(key)
	signature := sum(newHash, h.Sum(nil), said)
	for i := range key {
		key[i] ^= signature[i]
	}
	if proof != base64.StdEncoding.EncodeToString(key) {
		return authRefused
	}
	return challenge("v=" + base64.StdEncoding.EncodeToString(sum(newHash, sum(newHash, salted, "Server Key"), said)))
}

func sum(hash func() hash.Hash, key []byte, text string) []byte {
	mac := hmac.New(hash, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
