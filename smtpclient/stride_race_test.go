//go:build race

package smtpclient_test

// stride is how far apart the nth operations are that go wrong: the race detector makes
// each run many times slower.
const stride = 7

// slack multiplies bounds on allocations: the race detector has a sync.Pool lose some of
// what it is given.
const slack = 2
