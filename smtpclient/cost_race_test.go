//go:build race

package smtpclient_test

// allocationFactor is what the race detector adds: it has a sync.Pool forget at random.
const allocationFactor = 2

// stacksCount is 0 because it also needs more stack, which is a power of two.
const stacksCount = 0
