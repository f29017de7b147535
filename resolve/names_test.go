package resolve_test

import (
	"fmt"
	"testing"

	"github.com/postrider/postrider/resolve"
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
