// Package interop holds the tests of Postrider against real servers: private
// instances of Postfix and unbound on loopback addresses, started by the tests
// with files of their own and stopped with them.
//
// A server that is not installed makes the tests skip, and name the package to
// install. With POSTRIDER_CI=1 in the environment they fail instead. Postfix
// has to be started by root.
//
// All servers of one kind of story share one port on different addresses of
// 127.0.0.0/8, so that a client with Routing.Port set to it finds each of them
// by the address that the DNS gives.
package interop
