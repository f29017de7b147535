// Package observe measures what it costs to look: all adapters together, and each
// by itself, against the CPU that a delivery takes without them.
//
//	go test -run '^$' -bench Overhead -benchtime 1x
package observe
