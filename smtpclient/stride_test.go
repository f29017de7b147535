//go:build !race

package smtpclient_test

// stride is how far apart the nth operations are that go wrong.
const stride = 1

// slack multiplies bounds on allocations.
const slack = 1
