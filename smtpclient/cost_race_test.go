//go:build race

package smtpclient_test

// allocationFactor is what the race detector adds: it has a sync.Pool forget at random.
const allocationFactor = 2
