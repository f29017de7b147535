package debugpage_test

import (
	"fmt"
	"testing"

	"github.com/postrider/postrider/smtpclient/debugpage"
)

func TestNames(t *testing.T) {
	if got, want := fmt.Sprint(debugpage.AddressesHidden, debugpage.AddressesShown, debugpage.Addresses(2)), "hidden shown Addresses(2)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
