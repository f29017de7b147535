package smtptest_test

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient/smtptest"
)

// Each Situation has a name of its own, up to the last one, and what is none says its
// number.
func TestNamesOfSituations(t *testing.T) {
	seen := make(map[string]smtptest.Situation)
	for s := smtptest.BadCharacter; s <= smtptest.IdleTooLong; s++ {
		name := s.String()
		if other, twice := seen[name]; name == "" || twice || strings.HasPrefix(name, "Situation(") {
			t.Errorf("situation %d is %q, as %d", uint8(s), name, uint8(other))
		}
		seen[name] = s
	}
	if got := (smtptest.IdleTooLong + 1).String(); !strings.HasPrefix(got, "Situation(") {
		t.Errorf("behind the last one there is %q", got)
	}
}
