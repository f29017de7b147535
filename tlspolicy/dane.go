package tlspolicy

import (
	"context"
	"crypto/tls"
	"errors"
)

var errNoDANE = errors.New("DANE is not there yet; use encrypt, fingerprint, verify or secure")

// checkDANE holds the certificate against p.TLSA; p.Names are the base domains.
func (p Policy) checkDANE(tls.ConnectionState) (proof string, err error) {
	return "", errNoDANE
}

// decideDANE finds the policy that the TLSA records of the host make: the zero
// Policy if there are none, so that the next Source decides.
func decideDANE(context.Context, Query, Level) (Policy, error) {
	return Policy{}, errNoDANE
}
