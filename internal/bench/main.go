package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"os"
	"regexp"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
)

func main() {
	log.SetFlags(0)
	asSink := flag.Bool("sink", false, "be the sink (for the program itself)")
	rounds := flag.Int("rounds", 7, "`rounds` in which every sender has its turn")
	who := flag.String("senders", "", "run the senders whose names match this `pattern`, and the floor")
	only := flag.String("only", "", "run the cases whose names match this `pattern`")
	profile := flag.String("profile", "", "write profiles to `file`.cpu and file.allocs")
	flag.Parse()
	if *asSink {
		if err := serveSink(); err != nil {
			log.Fatal(err)
		}
		return
	}
	if *profile != "" {
		end, err := profiled(*profile)
		if err != nil {
			log.Fatal(err)
		}
		defer end()
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		log.Fatal(err)
	}
	senders, err := regexp.Compile(*who)
	if err != nil {
		log.Fatal(err)
	}
	if err := run(*rounds, pattern, senders); err != nil {
		log.Fatal(err)
	}
}

func run(rounds int, only, who *regexp.Regexp) error {
	s, err := startSink()
	if err != nil {
		return err
	}
	defer s.stop()
	list, clean, err := trials()
	defer clean()
	if err != nil {
		return err
	}
	for _, t := range list {
		if !only.MatchString(t.name) {
			continue
		}
		floor := len(t.senders) - 1
		t.senders = append(slices.DeleteFunc(t.senders[:floor:floor], func(s sender) bool { return !who.MatchString(s.name) }), t.senders[floor])
		r, err := t.run(s, rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		show(t, r)
	}
	return nil
}

// show prints a table; the last sender is the floor.
func show(t trial, r results) {
	floor := len(t.senders) - 1
	fmt.Printf("\n%s\n\n| sender | messages/s | of %s | CPU, microseconds | of %[2]s | allocations |\n|---|---|---|---|---|---|\n", t.name, t.senders[floor].name)
	for i, from := range t.senders {
		fmt.Printf("| %s | %.0f | %.2f | %.1f | %.2f | %.1f |\n", from.name, r.median(i, cost.rate), r.ratio(i, floor, cost.rate),
			r.median(i, cost.cpuEach), r.ratio(i, floor, cost.cpuEach), r.median(i, cost.allocsEach))
	}
}

func letterTo(n, size int) *letter {
	l := &letter{from: "ann@example.org", body: text(size)}
	for i := range n {
		l.to = append(l.to, fmt.Sprintf("recipient%d@example.net", i))
	}
	return l
}

func text(size int) []byte {
	line := strings.Repeat("A line of a message that needs no repair. ", 2)[:70] + "\r\n"
	b := []byte("From: ann@example.org\r\nTo: somebody@example.net\r\nSubject: bench\r\n\r\n")
	b = append(b, bytes.Repeat([]byte(line), size/len(line)+1)...)[:size-2]
	return append(b, "\r\n"...)
}

// broken is a letter whose lines end in LF, every tenth with a dot in front.
func broken(l *letter) *letter {
	lines := bytes.SplitAfter(bytes.ReplaceAll(l.body, []byte("\r\n"), []byte("\n")), []byte("\n"))
	for i := range lines {
		if i > 5 && i%10 == 0 && len(lines[i]) > 0 {
			lines[i] = append([]byte("."), lines[i]...)
		}
	}
	return &letter{from: l.from, to: l.to, body: bytes.Join(lines, nil)}
}

func inFile(l *letter) error {
	f, err := os.CreateTemp("", "bench-*.eml")
	if err != nil {
		return err
	}
	l.file = f.Name()
	if _, err := f.Write(l.body); err != nil {
		return err
	}
	return f.Close()
}

// profiled writes profiles of all that follows.
func profiled(name string) (end func(), err error) {
	f, err := os.Create(name + ".cpu")
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(name, "allocs") {
		runtime.MemProfileRate = 1
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
		if f, err := os.Create(name + ".allocs"); err == nil {
			pprof.Lookup("allocs").WriteTo(f, 0)
			f.Close()
		}
	}, nil
}
