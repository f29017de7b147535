// Soak sends many messages over real sockets and TLS through a proxy that breaks
// them, and holds what was reported against what servers have. See package trial.
//
//	go run ./internal/reliability/soak -messages 1000000
//
// It ends with one line of figures and exit code 0, or 1 if an invariant did not hold
// or something grew that must not.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/postrider/postrider/internal/reliability/trial"
	"github.com/postrider/postrider/smtpclient"
)

func main() {
	messages := flag.Int("messages", 20_000, "how many messages")
	seed := flag.Uint64("seed", 1, "what is left to chance comes from it")
	senders := flag.Int("senders", 300, "how many deliver at the same time")
	flag.Parse()
	if !soak(*messages, *seed, *senders) {
		os.Exit(1)
	}
}

// stage is the timeout of each stage: a proxy that falls silent does so for longer.
const stage = 600 * time.Millisecond

func soak(messages int, seed uint64, senders int) bool {
	start, rounds := time.Now(), max(8, messages/10_000)
	var rest []gauges
	t := trial.Trial{
		Seed: seed, Messages: messages, Rounds: rounds, Senders: senders, Sockets: true, Beat: 300 * time.Millisecond,
		Timeouts: smtpclient.Timeouts{
			Connect: stage, Greeting: stage, Hello: stage, StartTLS: stage, Auth: stage, Mail: stage, Rcpt: stage,
			DataInit: stage, DataBlock: stage, DataDone: stage, Command: stage, Quit: stage,
		},
	}
	shown := 0
	t.Rest = func(round int, f trial.Figures) {
		time.Sleep(600 * time.Millisecond) // idle sessions are given up
		g := measure(rest)
		rest = append(rest, g)
		fmt.Fprintf(os.Stderr, "%s round %d/%d: %d messages, %.0f/s, %d violations; %d goroutines, %d descriptors, heap %.1f MB\n",
			time.Now().Format(time.TimeOnly), round, rounds, f.Messages, float64(f.Messages)/time.Since(start).Seconds(), f.Violations,
			g.goroutines, g.descriptors, float64(g.heap)/1e6)
		for ; shown < len(f.Examples); shown++ {
			fmt.Fprintln(os.Stderr, f.Examples[shown])
		}
	}
	f, err := t.Run(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		return false
	}
	grown := growth(rest, messages/rounds)
	took := time.Since(start)
	fmt.Printf("seed %d, %d senders, GOMAXPROCS %d: %v (%.0f messages/s): %v; all but one call in 1000 within %v, the longest %v; %s\n",
		seed, senders, runtime.GOMAXPROCS(0), took.Round(time.Second), float64(f.Messages)/took.Seconds(), f,
		t.Within(1000).Round(time.Millisecond), t.Longest().Round(time.Millisecond), grown.text)
	return f.Violations == 0 && !grown.leak && f.Messages == messages/rounds*rounds &&
		f.Recipients == f.Delivered+f.Deferred+f.Failed+f.Unknown
}

// grown says what the gauges show from the first rest on, when all caches are full.
type grown struct {
	text string
	leak bool
}

// How much the heap may grow: with each message less than anything that could be kept
// of one, where there are enough of them to tell; and in all.
const (
	heapGrowth = 8 // bytes
	heapInAll  = 8 << 20
	enough     = 200_000
)

func growth(rest []gauges, round int) grown {
	first, last := rest[0], rest[len(rest)-1]
	var heap []float64
	for _, g := range rest[len(rest)/4:] {
		heap = append(heap, float64(g.heap))
	}
	each := slope(heap) / float64(round)
	g := grown{text: fmt.Sprintf("at rest %d goroutines (first %d), %d descriptors (first %d), heap %.1f MB (first %.1f MB), growing by %.1f bytes with each message",
		last.goroutines, first.goroutines, last.descriptors, first.descriptors, float64(last.heap)/1e6, float64(first.heap)/1e6, each)}
	g.leak = last.goroutines > first.goroutines || last.descriptors > first.descriptors || last.heap > first.heap+heapInAll ||
		len(rest)*round >= enough && each > heapGrowth
	return g
}
