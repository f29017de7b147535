// Command bench hands the same mail to the same sinks by Postrider, by other Go
// libraries, by Postfix and by prebuilt bytes, in turns, and says what each costs:
//
//	go run .                          # print tables
//	go run . -run rates/              # some experiments only
//	go run . -rounds 5 -docs ../../docs
//
// The last is the run for the documentation: it keeps what was measured in
// bench.json and makes the plots and the tables of performance.md from that, and from
// nothing else; -rounds 0 makes them anew without measuring. An experiment that
// was not run keeps what is there.
//
// Sinks are processes of their own, so that CPU time and allocations are those of
// the sender alone. Figures of one experiment are compared with each other only:
// each round has every contender once, and a ratio is the median over the rounds.
// Runs on Linux, with Debian's package postfix.
package main
