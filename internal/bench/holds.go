package main

import (
	"fmt"
	"strconv"
)

// bound is what a figure has to keep, as it was asked for.
type bound struct {
	what        string
	id          string // of the experiment
	of, to      string // senders; to "": not relative
	figure      string
	least, most float64 // one of them
}

const (
	kib1, kib50, mib10 = "rates/1 KiB", "rates/1 KiB, 50 recipients", "rates/10 MiB"
	send, deliver      = "Session.Send", "Client.Deliver"
	floor, four        = "raw DATA", "sessions/4 sessions, 64 goroutines"
	crowded            = "Client.Deliver, 64 goroutines"
)

func bounds() []bound {
	return []bound{
		{"1 KiB, `Session.Send`: messages/s of raw DATA", kib1, send, floor, rate, 0.8, 0},
		{"of mox's", kib1, send, "mox", rate, 1.4, 0},
		{"CPU of raw DATA", kib1, send, floor, cpu, 0, 1.4},
		{"allocations", kib1, send, "", allocs, 0, 8},
		{"with a ctx that cannot be cancelled", kib1, "Session.Send, plain ctx", "", allocs, 0, 4},
		{"50 recipients: messages/s of raw DATA", kib50, send, floor, rate, 0.8, 0},
		{"of mox's", kib50, send, "mox", rate, 2.5, 0},
		{"allocations with 500 recipients, of those with 50", "scale/recipients, " + send, "500", "50", allocs, 0, 1.05},
		{"10 MiB, the same content again: messages/s of raw DATA", mib10, send, floor, rate, 0.9, 0},
		{"CPU of raw DATA", mib10, send, floor, cpu, 0, 1.2},
		{"fresh content, with its scan: messages/s of raw DATA", mib10, "Session.Send, fresh content", floor, rate, 0.6, 0},
		{"CPU of raw DATA", mib10, "Session.Send, fresh content", floor, cpu, 0, 1.8},
		{"LF and dots: messages/s of raw DATA", "rates/10 MiB, LF and dots", send, floor, rate, 0.4, 0},
		{"the same file again by DATA: CPU of that from memory", mib10, "Session.Send, same file, DATA", send, cpu, 0, 1.5},
		{"by BDAT", mib10, "Session.Send, same file, BDAT", send, cpu, 0, 1},
		{"`Client.Deliver` through a pool: CPU of `Session.Send`", kib1, deliver, send, cpu, 0, 1.5},
		{"allocations", kib1, deliver, "", allocs, 0, 25},
		{"with a `LocalLimiter`: CPU of `Session.Send`", kib1, deliver + ", with a Limiter", send, cpu, 0, 1.5},
		{"allocations", kib1, deliver + ", with a Limiter", "", allocs, 0, 25},
		{"64 goroutines, 4 sessions: messages/s of raw overlapped", four, crowded, "raw overlapped", rate, 0.5, 0},
		{"of mox's on 4 sessions", four, crowded, "mox", rate, 2, 0},
		{"40 ms: round trips for a message, 64 goroutines, one session", "trips/1 recipient", crowded, "", trips, 0, 1.1},
		{"with `ChunkingGrouped`", "trips/1 recipient", crowded + ", grouped", "", trips, 0, 0.25},
		{"TLS 1.3, warm: messages/s of raw DATA", "rates/1 KiB, TLS 1.3", send, floor, rate, 0.9, 0},
		{"10 MiB", "rates/10 MiB, TLS 1.3", send, floor, rate, 0.9, 0},
		{"new connection with STARTTLS: CPU of raw DATA with crypto/tls", "cold/STARTTLS", send, floor, cpu, 0, 1.1},
		{"`Client.Deliver`: CPU of Postfix's smtp(8) alone", "postfix/1 KiB", deliver + ", from files", "Postfix smtp(8)", cpu, 0, 0.1},
		{"idle plaintext session in a pool: KiB of heap", "memory/idle, plaintext", deliver, "", heap, 0, 4},
		{"goroutines", "memory/idle, plaintext", deliver, "", goroutines, 0, 0},
		{"5,000 active sessions, 1 MiB each: KiB of heap and stack, in the midst", "memory/5,000 sessions, in the midst of 1 MiB", send, "", heapStack, 0, 40},
		{"waiting for the reply", "memory/5,000 sessions, waiting for the reply", send, "", heapStack, 0, 40},
		{"by `Client.Deliver`, in the midst", "memory/5,000 sessions, in the midst of 1 MiB", deliver, "", heapStack, 0, 40},
	}
}

// measured is where a bound stands; ok is false where nobody has measured it.
func (b bound) measured(r *record) (value float64, ok bool) {
	e := r.find(b.id)
	if b.to == "" {
		return e.median(b.of, b.figure)
	}
	if e == nil {
		return 0, false
	}
	return e.ratio(b.of, b.to, b.figure)
}

// shown is a figure as the table has it.
func (b bound) shown(value float64) string {
	if b.to == "" {
		return absolute(b.figure, value)
	}
	return short(value)
}

// holds compares what is shown, so that nobody has to wonder at 0.80.
func (b bound) holds(shown string) bool {
	value, err := strconv.ParseFloat(shown, 64)
	if b.least > 0 {
		return err == nil && value >= b.least
	}
	return err == nil && value <= b.most
}

func holdsTable(r *record) [][]string {
	rows := [][]string{{"what", "asked for", "measured", ""}}
	for _, b := range bounds() {
		line := []string{b.what, fmt.Sprintf("at most %g", b.most), "", ""}
		if b.least > 0 {
			line[1] = fmt.Sprintf("at least %g", b.least)
		}
		if value, ok := b.measured(r); ok {
			line[2], line[3] = b.shown(value), "not yet"
			if b.holds(line[2]) {
				line[3] = "holds"
			}
		}
		rows = append(rows, line)
	}
	return rows
}
