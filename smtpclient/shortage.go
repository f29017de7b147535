package smtpclient

import (
	"errors"
	"syscall"
)

// shortage tells that this machine could not open a connection to anybody: it has
// no descriptors, memory or ports left, or its proxy is away. That says nothing about the server, and
// another one would not be reached either.
func shortage(err error) bool {
	var proxy *ProxyError
	if errors.As(err, &proxy) {
		return true
	}
	for _, cause := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}
