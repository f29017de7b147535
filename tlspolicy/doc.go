// Package tlspolicy decides how secure a channel must be.
//
// A [Level] says it in one word, with the names and meanings of Postfix's TLS
// security levels. A [Policy] is what one channel must be, and a [Source] finds
// the policy for a host. Level and Policy are themselves sources, so that
//
//	client := &smtpclient.Client{TLS: tlspolicy.Encrypt}
//
// needs no constructor. [Sources] asks several in order.
package tlspolicy
