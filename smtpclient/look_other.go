//go:build !unix

package smtpclient

import "net"

// socketWaits is not known here: an early reply is then read in the place of the
// final one.
func socketWaits(net.Conn) bool { return false }
