//go:build !race

package smtpclient_test

const (
	allocationFactor = 1
	stacksCount      = 1
)
