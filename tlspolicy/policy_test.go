package tlspolicy_test

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/postrider/postrider/tlspolicy"
)

func TestParseLevel(t *testing.T) {
	for name, want := range map[string]tlspolicy.Level{"none": tlspolicy.None, "may": tlspolicy.May, "Encrypt": tlspolicy.Encrypt, "verify": tlspolicy.Verify} {
		got, err := tlspolicy.ParseLevel(name)
		if err != nil || got != want || got.String() != strings.ToLower(name) {
			t.Errorf("ParseLevel(%q) = %v, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "Level(7)", "tls", "dane", "dane-only", "fingerprint", "secure"} {
		if got, err := tlspolicy.ParseLevel(name); err == nil || got != 0 {
			t.Errorf("ParseLevel(%q) = %v, %v, want an error", name, got, err)
		}
	}
	if _, err := tlspolicy.ParseLevel("dane"); err == nil || !strings.Contains(err.Error(), "not there yet") {
		t.Errorf("dane: %v, want to hear that it is not there yet", err)
	}
}

// Levels and policies are sources of themselves.
func TestDecide(t *testing.T) {
	for _, source := range []tlspolicy.Source{tlspolicy.Encrypt, tlspolicy.Policy{Level: tlspolicy.Encrypt}} {
		if p, err := source.Decide(t.Context(), tlspolicy.Query{}); err != nil || p.Level != tlspolicy.Encrypt {
			t.Errorf("%v decides %+v, %v", source, p, err)
		}
	}
	if p, err := tlspolicy.Default().Decide(t.Context(), tlspolicy.Query{}); err != nil || p.Level != tlspolicy.May {
		t.Errorf("Default() decides %+v, %v", p, err)
	}
}

// What cannot be checked is not taken for checked.
func TestCheck(t *testing.T) {
	for level := range tlspolicy.Level(20) {
		proof, err := tlspolicy.Policy{Level: level}.Check(tls.ConnectionState{})
		if known := level == tlspolicy.May || level == tlspolicy.Encrypt; known != (err == nil) || proof != "" {
			t.Errorf("level %v: proof %q, error %v", level, proof, err)
		}
	}
}

func TestMinVersion(t *testing.T) {
	for level, want := range map[tlspolicy.Level]uint16{tlspolicy.May: tls.VersionTLS10, tlspolicy.Encrypt: tls.VersionTLS12, 9: tls.VersionTLS12} {
		if got := (tlspolicy.Policy{Level: level}).MinVersion(); got != want {
			t.Errorf("level %v: %s, want %s", level, tls.VersionName(got), tls.VersionName(want))
		}
	}
}
