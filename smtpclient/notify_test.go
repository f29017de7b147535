package smtpclient

import "testing"

func TestNotifyString(t *testing.T) {
	for n, want := range map[Notify]string{
		0:                             "",
		NotifyNever:                   "NEVER",
		NotifyDelay:                   "DELAY",
		NotifySuccess | NotifyFailure: "SUCCESS,FAILURE",
	} {
		if got := n.String(); got != want {
			t.Errorf("%d: %q, want %q", uint8(n), got, want)
		}
	}
}
