// Command bench hands the same mail to the same sink by Postrider, by other Go
// libraries and by prebuilt bytes, in turns, and prints what each costs:
//
//	go run .
//
// The sink is a process of its own, so that CPU time and allocations are those of
// the sender alone. Figures of one run are compared with each other only: each
// round has every sender once, and a ratio is the median over the rounds.
package main
