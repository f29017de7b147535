package smtpclient

import (
	"encoding/base64"
	"testing"
)

// What is taken out of a text, whole, in part, and as it stands in a reply.
func TestHide(t *testing.T) {
	inBase64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	long := "correct-Horse-7Qx9-battery"
	for _, tt := range []struct{ secret, text, want string }{
		{"sesame", "535 sesame is wrong", "535 *** is wrong"},
		{"sesame", "535 " + inBase64("sesame") + " is wrong", "535 *** is wrong"},
		{"abc", "535 abc is in every text", "535 abc is in every text"},
		{"", "535 no", "535 no"},
		{long, "no: " + long + "!", "no: ***!"},
		{long, "no: " + long[:12] + "!", "no: ***!"},
		{long, "no: " + long[14:] + "!", "no: ***!"},
		{long, "no: " + long[:11] + "!", "no: " + long[:11] + "!"},
		{long, long + long, "******"},
		{long, inBase64(long)[4:24] + " and " + long[3:20], "*** and ***"},
		// A short secret in a long one: here the base64 of what PLAIN shows begins
		// with the password.
		{"AGFu", inBase64("\x00ann\x00AGFu"), "***"},
		// What is not printable stands in a reply as a question mark.
		{"tab\there-\x01\xff", "tab here-??", "***"},
		{"tab\there-\x01\xff", "tab\there-\x01\xff", "***"},
	} {
		a := &authentication{}
		a.noteSecrets(tt.secret, inBase64("\x00ann\x00"+tt.secret))
		if got := a.hide(tt.text); got != tt.want {
			t.Errorf("secret %q: %q became %q, want %q", tt.secret, tt.text, got, tt.want)
		}
	}
	a := &authentication{}
	a.noteSecrets(long)
	for text, want := range map[string]bool{"it is corr": true, "it is correct-Ho": true, "it is cor": false, "it is": false, "corr it is": false} {
		if a.endsWithin(text) != want {
			t.Errorf("%q ends within the secret: %v", text, !want)
		}
	}
}
