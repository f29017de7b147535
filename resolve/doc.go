// Package resolve finds the hosts that mail goes to.
//
//	client := &smtpclient.Client{Resolver: &resolve.DNS{Servers: []string{"192.0.2.53"}}}
//
// asks a name server of your own; without a Resolver it is that of the system. A Resolver
// that you write is shown in examples/custom-resolver.
//
// A [NextHop] says where mail is to go: to the mail exchangers of a domain, to
// one host, or to a socket of this machine. [Routing.Route] turns it into a
// [Route], an ordered list of hosts with their addresses, in these steps:
//
//  1. The MX records of the domain are looked up, or where [Routing].Service asks
//     for it the SRV records. If there are no MX records, the domain itself is the
//     only host; a null MX ends here (RFC 7505).
//  2. The hosts are sorted by preference, and those of equal preference
//     shuffled (RFC 5321, Section 5.1), or drawn by weight (RFC 2782).
//  3. The IPv4 and IPv6 addresses of the hosts are looked up.
//  4. This machine, where [Routing].Self names it, and all hosts that are not
//     better are left out.
//  5. Addresses that no other machine can have, as 127.0.0.1, are dropped,
//     unless [Routing].Local allows them.
//
// [Routes] does the same with a cache, in which a whole Route is one entry, and
// looks up hosts only when they are needed.
//
// Every lookup goes through a [Resolver], which is one method. [DNS] asks name
// servers, [System] the operating system with its hosts file, [Static] has its
// records in memory. They are put together by [First], which asks one after the
// other, [Override], [Filter] and [Cached]; [Func] makes one of a function.
// Package resolvetest checks that a Resolver of one's own keeps the rules.
//
// DANE needs answers that were validated by DNSSEC, and is off without a word where
// there are none: [Validates] is for a health check.
package resolve
