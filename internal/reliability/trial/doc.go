// Package trial puts a Client under fire and keeps the books.
//
// A Town is a small internet: domains with mail exchangers, two local stores, a
// relay that wants a password, and a name server. While many senders deliver, its
// servers refuse, stumble, fall silent and are restarted, its wires are cut, the DNS
// and the TLS policies change. Everything that is left to chance comes from a seed
// and from what it is about, never from the order in which things happen, so that a
// trial can be played again.
//
// The wires are in memory, for the bubbles of testing/synctest where a day takes a
// minute; or they are sockets behind a proxy that cuts, delays, resets, falls silent
// and has tiny windows.
//
// The Ledger has both ends: what was reported for every recipient, and what every
// server has stored and answered. At the end of each round all servers are closed and
// the two are held against each other by the invariants 1 to 4 and 6 of
// ARCHITECTURE.md, to the message. The gauges show whether anything remains (10).
package trial
