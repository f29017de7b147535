//go:build race

package cuts

// thin is how many runs stand for one: the race detector makes each ten times slower,
// and finds what it can find in any of them.
const thin = 19
