package tlspolicy_test

import (
	"fmt"
	"testing"

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
		{func(i int) fmt.Stringer { return tlspolicy.Requirement(i) }, []string{"", "every hop", "not required"}, "Requirement(3)"},
		{func(i int) fmt.Stringer { return tlspolicy.RequireTLS(i) }, []string{"enforce", "encrypted", "offered", "ignore"}, "RequireTLS(4)"},
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
