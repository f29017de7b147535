package main

import (
	"slices"
	"strings"
)

// chart is one plot: panels with bars, each panel with a scale of its own.
type chart struct {
	file, title, note string
	panels            []panel
}

// panel shows one figure of some senders in one experiment.
type panel struct {
	title, id string
	senders   []string
	figure    string
	relative  bool // to the floor
}

func charts() []chart {
	raw := slices.Concat(libraries, []string{"smtp-source", "raw DATA"})
	return []chart{
		{"bench-rate.svg", "Messages per second", "prebuilt bytes (raw DATA) = 1; more is better", panels(mailCases[:6], raw, rate, true)},
		{"bench-cpu.svg", "CPU time for a message", "prebuilt bytes (raw DATA) = 1; less is better", slices.Concat(
			panels(mailCases[:4], raw, cpu, true), panels(coldCases, raw, cpu, true))},
		{"bench-allocs.svg", "Allocations for a message of 1 KiB", "less is better", panels(mailCases[:2], libraries, allocs, false)},
		{"bench-trips.svg", "Round trips for a message", "time on a line with 40 ms for there and back; less is better", slices.Concat(
			panels(tripCases[:2], slices.Concat(libraries, overlapping, []string{"raw DATA"}), trips, false), panels(tripCases[2:], withRaw, trips, false))},
		{"bench-memory.svg", "Memory for a session, KiB", "heap and stack, after a collection; less is better", slices.Concat(
			panels(idleCases, withRaw, heapStack, false), panels(activeCases[:2], withRaw, heapStack, false))},
		{"bench-scale.svg", "CPU time for a message, with more of something", "one = 1, of recipients 50 = 1, for each of them; flat is better", slices.Concat(
			panels(growCases[:2], counts, cpu, true), panels(countCases[:2], countsTo500, cpu, true))},
		{"bench-postfix.svg", "CPU time for a message, beside Postfix", "microseconds; less is better", []panel{
			{"1 KiB, 20 at a time", "postfix/1 KiB", []string{"Client.Deliver", "Client.Deliver, from files", "Postfix smtp(8)"}, cpu, false}}},
	}
}

func panels(ids, senders []string, figure string, relative bool) []panel {
	var list []panel
	for _, id := range ids {
		_, title, _ := strings.Cut(id, "/")
		if strings.HasPrefix(id, "cold/") {
			title = "new connection, " + title
		}
		list = append(list, panel{title, id, senders, figure, relative})
	}
	return list
}

// bar is one sender's; those that are ours stand out.
type bar struct {
	label string
	value float64
	shown string
	color string
}

func (p panel) bars(r *record) []bar {
	e := r.find(p.id)
	if e == nil {
		return nil
	}
	var list []bar
	for _, s := range p.senders {
		value, ok := e.median(s, p.figure)
		shown := absolute(p.figure, value)
		if p.relative {
			value, ok = e.ratio(s, e.Floor, p.figure)
			shown = short(value)
		}
		if ok {
			list = append(list, bar{s, value, shown, colorOf(s)})
		}
	}
	return list
}

func colorOf(sender string) string {
	switch name, _, _ := strings.Cut(sender, ","); {
	case name == "Session.Send" || name == "Client.Deliver" || name[0] <= '9': // more and more of ours
		return "#1565c0"
	case strings.HasPrefix(name, "raw"):
		return "#cfd8dc"
	}
	return "#90a4ae"
}
