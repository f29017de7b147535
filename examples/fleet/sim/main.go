// Sim plays a fleet at the scale of the internet in fake time: destinations with
// limits of their own, greylisting and outages on one side, the Limiter of package
// smtpclient and the policies of the workers on the other. It prints what comes of
// several choices, and draws it as SVG:
//
//	go run ./sim                     10,000 destinations, 10,000,000 messages
//	go run ./sim -short              three hundredths of it
//	go run ./sim -svg ../../docs     with pictures
//
// The same seed gives the same figures.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/postrider/postrider/smtpclient"
)

func main() {
	seed := flag.Uint64("seed", 1, "of all that is chance")
	small := flag.Bool("short", false, "three hundredths of it")
	svg := flag.String("svg", "", "folder for the pictures; else none are drawn")
	only := flag.String("only", "", "policies, with commas between them; else all")
	flag.Parse()
	s := full
	if *small {
		s = brief
	}
	results := play(os.Stdout, s, *seed, *only)
	if *svg == "" {
		return
	}
	for name, draw := range plots {
		if err := os.WriteFile(filepath.Join(*svg, "fleet-"+name+".svg"), []byte(draw(results)), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "sim:", err)
			os.Exit(1)
		}
	}
}

// full is a day of ten million messages; brief is what CI plays.
var (
	full  = size{destinations: 10_000, messages: 10_000_000, length: 24 * time.Hour, workers: 8, parts: 64, slots: 64, expire: 2 * 24 * time.Hour, short: 2 * time.Second}
	brief = size{destinations: 300, messages: 300_000, length: 24 * time.Hour, workers: 8, parts: 16, slots: 32, expire: 2 * 24 * time.Hour, short: 2 * time.Second}
)

// fixed allows 20 connections to each site from the first.
func fixed(u smtpclient.Use) []smtpclient.Limit {
	if !u.Connection {
		return nil
	}
	return []smtpclient.Limit{{Key: u.Site, Max: 20}}
}

// choices are what is compared.
var choices = []choice{
	{name: "fixed", about: "20 connections to each site; who is refused comes back at the limiter's time", rules: fixed, naive: true},
	{name: "line", about: "the same, but who is refused stands in line", rules: fixed},
	{name: "learning", about: "smtpclient.UsualLimits, which finds out how many a site stands, and which are dead", rules: smtpclient.UsualLimits},
	{name: "rates", about: "learning, with the rates of the sites configured", rules: smtpclient.UsualLimits, known: true},
	{name: "rates-0", about: "the same without a line", rules: smtpclient.UsualLimits, known: true, naive: true},
	{name: "spread", about: "rates, with messages at any worker", rules: smtpclient.UsualLimits, known: true, spread: true},
	{name: "quick", about: "rates, with a first retry after one minute", rules: smtpclient.UsualLimits, known: true, first: time.Minute},
}

// result is a run.
type result struct {
	choice
	*measure
}

// play runs the policies and prints the table.
func play(out io.Writer, s size, seed uint64, only string) []result {
	fmt.Fprintf(out, "%d messages in %v to %d destinations, %d workers, seed %d\n\n%s\n", s.messages, s.length, s.destinations, s.workers, seed, header)
	var results []result
	for _, c := range choices {
		if only != "" && !strings.Contains(","+only+",", ","+c.name+",") {
			continue
		}
		m := newFleet(c, s, seed).run()
		fmt.Fprintln(out, m.report(c))
		results = append(results, result{c, m})
	}
	fmt.Fprintln(out)
	for _, r := range results {
		fmt.Fprintf(out, "%-10s %s\n", r.name, r.about)
	}
	return results
}
