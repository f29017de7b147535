package tlspolicy_test

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/postrider/postrider/tlspolicy"
)

func TestParseLevel(t *testing.T) {
	for name, want := range map[string]tlspolicy.Level{"none": tlspolicy.None, "may": tlspolicy.May, "Encrypt": tlspolicy.Encrypt, "fingerprint": tlspolicy.Fingerprint,
		"dane": tlspolicy.DANE, "dane-only": tlspolicy.DANEOnly, "verify": tlspolicy.Verify, "secure": tlspolicy.Secure} {
		got, err := tlspolicy.ParseLevel(name)
		if err != nil || got != want || got.String() != strings.ToLower(name) {
			t.Errorf("ParseLevel(%q) = %v, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "Level(7)", "tls", "half-dane"} {
		if got, err := tlspolicy.ParseLevel(name); err == nil || got != 0 {
			t.Errorf("ParseLevel(%q) = %v, %v, want an error", name, got, err)
		}
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

func TestVersions(t *testing.T) {
	for level, want := range map[tlspolicy.Level]uint16{tlspolicy.May: tls.VersionTLS10, tlspolicy.Encrypt: tls.VersionTLS12, tlspolicy.Secure: tls.VersionTLS12} {
		if low, high := (tlspolicy.Policy{Level: level}).Versions(); low != want || high != 0 {
			t.Errorf("level %v: %s to %d, want %s", level, tls.VersionName(low), high, tls.VersionName(want))
		}
	}
	if low, high := (tlspolicy.Policy{Level: tlspolicy.May, MinVersion: tls.VersionTLS13, MaxVersion: tls.VersionTLS13}).Versions(); low != tls.VersionTLS13 || high != tls.VersionTLS13 {
		t.Errorf("%d to %d, want what the policy says", low, high)
	}
}

// What a channel has come to, against the least that it must be: row and column in the
// order of the levels. The numbers of two levels say nothing about this.
func TestLevelMeets(t *testing.T) {
	const yes, no = true, false
	levels := []tlspolicy.Level{tlspolicy.None, tlspolicy.May, tlspolicy.Encrypt, tlspolicy.Fingerprint, tlspolicy.DANE, tlspolicy.DANEOnly, tlspolicy.Verify, tlspolicy.Secure}
	for i, want := range [][]bool{
		{yes, yes, no, no, no, no, no, no},       // none
		{yes, yes, no, no, no, no, no, no},       // may
		{yes, yes, yes, no, no, no, no, no},      // encrypt
		{yes, yes, yes, yes, yes, yes, yes, yes}, // fingerprint
		{yes, yes, yes, no, yes, yes, no, no},    // dane
		{yes, yes, yes, no, yes, yes, no, no},    // dane-only
		{yes, yes, yes, no, no, no, yes, no},     // verify
		{yes, yes, yes, no, no, no, yes, yes},    // secure
	} {
		for j, least := range levels {
			if got := levels[i].Meets(least); got != want[j] {
				t.Errorf("%v meets %v: %v", levels[i], least, got)
			}
		}
		if !levels[i].Meets(0) || levels[i].Meets(tlspolicy.Secure+1) {
			t.Errorf("%v: the least that is nothing has to be met, and one that is no level never is", levels[i])
		}
	}
}
