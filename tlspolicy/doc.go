// Package tlspolicy decides how secure a channel must be.
//
// A [Level] says it in one word, with the names and meanings of Postfix's TLS
// security levels. A [Policy] is what one channel must be, and a [Source] finds
// the policy for a host. Level and Policy are themselves sources, so that
//
//	client := &smtpclient.Client{TLS: tlspolicy.Encrypt}
//
// needs no constructor. [Sources] asks several in order.
//
// # What domains publish
//
// STARTTLS by itself protects from nobody who can change what is on the wire: he
// strikes the offer out. A domain can say in advance that its servers have TLS,
// and how to know them.
//
// With DANE it says so in TLSA records, which DNSSEC protects. The levels [DANE]
// and [DANEOnly] look them up below the name of each host. This needs a Resolver
// whose Answers are Secure where they were validated, as resolve.DNS with a
// validating name server on this machine. An answer that cannot be had makes the
// host unusable for now, as otherwise it could be held back to turn DANE off.
//
// With MTA-STS it says so in a file on a web server, which the authorities of the
// web protect; [MTASTS] finds it and remembers it. Nothing protects the first
// meeting, so that the memory counts: see there what is lost with the Cache.
//
// A Client without a Source takes [Default]: DANE, else MTA-STS, else [May].
//
// # Reports
//
// Domains can ask to be told how TLS went (RFC 8460). A [Collector] counts what clients
// report to it, and a [Reporter] sends it to the domains, day after day.
package tlspolicy
