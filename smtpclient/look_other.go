//go:build !unix || aix

package smtpclient

import "net"

// socketWaits is not known here: an early reply is then read in the place of the
// final one.
func socketWaits(net.Conn) (bytes, end bool) { return false, false }
