package smtpclient_test

import (
	"crypto/tls"
	"errors"
	"strconv"
)

func itoa(n int) string { return strconv.Itoa(n) }

// stalledTLS is a server that does not answer a ClientHello until released.
func stalledTLS(released <-chan struct{}) *tls.Config {
	return &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		<-released
		return nil, errors.New("stalled")
	}}
}
