// Package interop holds the tests of Postrider against real servers: private
// instances of Postfix, Exim, OpenSMTPD, unbound and knot on loopback addresses,
// started by the tests with files of their own and stopped with them, and go-smtp's
// server in this process. nginx takes what is posted.
//
// A server that is not there makes the tests skip, and say what to install or
// unpack. With POSTRIDER_CI=1 in the environment they fail instead. All but unbound
// and knot have to be started by root. Postfix, unbound, knot and ldnsutils, which
// sign zones, are installed, and so are nginx, and Dovecot and Cyrus SASL, which look after the
// accounts of Postfix. The packages of
// Exim and OpenSMTPD would push Postfix out: .ci/mtas unpacks them into a folder,
// whose name is put into POSTRIDER_MTAS, and each instance runs in a copy of its own
// after a chroot.
//
// A story that is the same for several servers is told once, over the table of
// peers.
//
// Every server takes a thousand messages through a few sessions; POSTRIDER_BULK in
// the environment asks for another number:
//
//	POSTRIDER_BULK=10000 go test -timeout 1h -run TestBulk ./...
//
// All doors of one Postfix share one port on different addresses of
// 127.0.0.0/8, so that a client with Routing.Port set to it finds each of them
// by the address that the DNS gives.
package interop
