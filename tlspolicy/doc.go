// Package tlspolicy decides how secure a channel must be.
//
// A [Level] says it in one word, with the names and meanings of Postfix's TLS
// security levels. A [Policy] is what one channel must be, and a [Source] finds
// the policy for a host. Level and Policy are themselves sources, so that
//
//	client := &smtpclient.Client{TLS: tlspolicy.Encrypt}
//
// needs no constructor. DANE, MTA-STS, and the levels fingerprint and secure are
// not there yet; what is not there is refused, not ignored.
package tlspolicy
