package postrider

import (
	"fmt"
	"testing"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// Each value of an enumeration has a name, and what is none says its number; sets name
// what is in them.
func TestNamesOfValues(t *testing.T) {
	for _, tt := range []struct {
		value   func(i int) fmt.Stringer
		names   []string // from zero on
		another string   // the value behind them; "": they are a set
	}{
		{func(i int) fmt.Stringer { return resolve.ErrorKind(i) }, []string{"other", "servfail", "refused", "timeout", "bogus", "malformed", "filtered"}, "ErrorKind(7)"},
		{func(i int) fmt.Stringer { return resolve.Kind(i) }, []string{"mx", "host", "socket"}, "Kind(3)"},
		{func(i int) fmt.Stringer { return resolve.Families(i) }, []string{"unset", "IPv4", "IPv6", "IPv4|IPv6"}, ""},
		{func(i int) fmt.Stringer { return resolve.SRVFailure(i) }, []string{"none", "missing", "fails", "missing|fails"}, ""},
		{func(i int) fmt.Stringer { return resolve.Search(i) }, []string{"none", "single", "dotted", "single|dotted"}, ""},
		{func(i int) fmt.Stringer { return tlspolicy.Requirement(i) }, []string{"", "every hop", "not required"}, "Requirement(3)"},
		{func(i int) fmt.Stringer { return tlspolicy.RequireTLS(i) }, []string{"enforce", "encrypted", "offered", "ignore"}, "RequireTLS(4)"},
		{func(i int) fmt.Stringer { return smtpclient.AuthFailure(i) }, []string{"", "refused", "bad credentials", "temporary", "transition", "weak", "encryption required", "required", "not offered", "no mechanism", "broken", "unproven"}, "AuthFailure(12)"},
		{func(i int) fmt.Stringer { return smtpclient.Body(i) }, []string{"auto", "7bit", "8bit", "binary"}, "Body(4)"},
		{func(i int) fmt.Stringer { return smtpclient.CheckAction(i) }, []string{"keep", "info", "warn", "replace", "prepend", "strip", "ignore"}, "CheckAction(7)"},
		{func(i int) fmt.Stringer { return smtpclient.Chunking(i) }, []string{"auto", "off", "after", "grouped"}, "Chunking(4)"},
		{func(i int) fmt.Stringer { return smtpclient.Feedback(i) }, []string{"used", "worked", "broken"}, "Feedback(3)"},
		{func(i int) fmt.Stringer { return smtpclient.HeaderClass(i) }, []string{"primary", "mime", "nested"}, "HeaderClass(3)"},
		{func(i int) fmt.Stringer { return smtpclient.PoolPhase(i) }, []string{"dialing", "in use", "idle"}, "PoolPhase(3)"},
		{func(i int) fmt.Stringer { return smtpclient.Return(i) }, []string{"unset", "full", "headers"}, "Return(3)"},
		{func(i int) fmt.Stringer { return smtpclient.TLSLogging(i) }, []string{"not logged", "logged"}, "TLSLogging(2)"},
		{func(i int) fmt.Stringer { return smtpclient.Transcript(i) }, []string{"off", "undelivered", "all"}, "Transcript(3)"},
		{func(i int) fmt.Stringer { return smtpclient.Treatment(i) }, []string{"repair", "refuse", "keep"}, "Treatment(3)"},
		{func(i int) fmt.Stringer { return smtpclient.Verify(i) }, []string{"no", "rcpt", "data"}, "Verify(3)"},
		{func(i int) fmt.Stringer { return tlspolicy.Level(i) }, []string{"", "none", "may", "encrypt", "fingerprint", "dane", "dane-only", "verify", "secure"}, "Level(9)"},
		{func(i int) fmt.Stringer { return smtptest.Mode(i) }, []string{"smtp", "lmtp"}, "Mode(2)"},
		{func(i int) fmt.Stringer { return smtptest.Enhanced(i) }, []string{"as offered", "always", "never", "mixed", "wrong class"}, "Enhanced(5)"},
		{func(i int) fmt.Stringer { return smtptest.Pipelining(i) }, []string{"together", "singly", "drop input", "close early", "close at hello"}, "Pipelining(5)"},
		{func(i int) fmt.Stringer { return smtptest.Fault(i) }, []string{"none", "drop", "reset", "stall", "drip", "garbage", "twice", "drop after", "reset after", "trickle", "lines", "huge",
			"unterminated", "empty line", "bare LF", "mixed codes", "eight bit", "NUL", "break TLS", "ignore TLS"}, "Fault(20)"},
		{func(i int) fmt.Stringer { return smtpclient.Final(i) }, []string{"none", "greeting", "hello", "greeting|hello"}, ""},
		{func(i int) fmt.Stringer { return smtpclient.PIX(i) }, []string{"default", "disable-esmtp", "delay-dot", "disable-esmtp|delay-dot"}, ""},
		{func(i int) fmt.Stringer { return smtpclient.Stamps(i) }, []string{"none", "return-path", "original-to", "return-path|original-to"}, ""},
	} {
		for i, want := range tt.names {
			if got := tt.value(i).String(); got != want {
				t.Errorf("%T %d is %q, want %q", tt.value(i), i, got, want)
			}
		}
		behind := tt.value(len(tt.names)).String()
		if tt.another != "" && behind != tt.another {
			t.Errorf("%T %d is %q, want %q", tt.value(0), len(tt.names), behind, tt.another)
		}
		if far, unnamed := tt.value(255).String(), fmt.Sprintf("%T", tt.value(0)); far == "" || far == unnamed {
			t.Errorf("%T 255 is %q", tt.value(0), far)
		}
	}
}

// A State that is not settled says nothing, as a Level that is no opinion: no name
// would be true, and "none" is plaintext.
func TestStateBeforeItIsSettled(t *testing.T) {
	var s tlspolicy.State
	if s.Wanted.String() != "" || s.Reached.String() != "" {
		t.Errorf("wanted %q, reached %q of a State that nothing has decided", s.Wanted, s.Reached)
	}
	if _, err := tlspolicy.ParseLevel(""); err == nil {
		t.Error("a level without a name was read")
	}
}
