//go:build !race

package cuts

// thin is how many runs stand for one.
const thin = 1
