package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"regexp"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	role := flag.String("as", "", "be the `sink` or the line, as a process that the program itself starts")
	rounds := flag.Int("rounds", 5, "`rounds` in which every contender has its turn")
	only := flag.String("run", "", "run the experiments that match this `pattern`, as rates/10 MiB")
	who := flag.String("senders", "", "run the senders that match this `pattern`, and the floor")
	docs := flag.String("docs", "", "keep the results in this `folder`, and make its plots and tables")
	profile := flag.String("profile", "", "write profiles to `file`.cpu and file.allocs")
	flag.Parse()
	if *role != "" {
		if err := play(*role, flag.Args()); err != nil {
			log.Fatal(err)
		}
		return
	}
	if *docs != "" && *who != "" {
		log.Fatal("-docs wants the results of all senders: leave out -senders")
	}
	end := func() {}
	var err error
	if *profile != "" {
		if end, err = profiled(*profile); err != nil {
			log.Fatal(err)
		}
	}
	err = run(options{rounds: *rounds, only: *only, who: *who, docs: *docs})
	end()
	if err != nil {
		log.Fatal(err)
	}
}

type options struct {
	rounds          int
	only, who, docs string
}

func run(o options) error {
	only, err := regexp.Compile(o.only)
	if err != nil {
		return err
	}
	who, err := regexp.Compile(o.who)
	if err != nil {
		return err
	}
	kept := new(record)
	if o.docs != "" {
		if kept, err = readRecord(o.docs); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if o.rounds > 0 {
		err = measureAll(kept, o, func(e experiment) bool { return only.MatchString(e.id()) }, who)
	}
	if o.docs == "" || err != nil {
		return err
	}
	return publish(kept, o.docs)
}

// measureAll prints each result, and keeps it at once: a later one may fail.
func measureAll(kept *record, o options, wanted func(experiment) bool, who *regexp.Regexp) error {
	h, err := openHall()
	if err != nil {
		return err
	}
	defer h.close()
	if err := h.stayAwake(); err != nil {
		return err
	}
	for _, e := range experiments() {
		if !wanted(e) {
			continue
		}
		start := time.Now()
		r, err := e.run(h, o.rounds, who)
		if err != nil {
			return fmt.Errorf("%s: %w", e.id(), err)
		}
		fmt.Printf("%s\n%.0f s\n", r.show(), time.Since(start).Seconds())
		if o.docs == "" {
			continue
		}
		kept.put(r)
		if err := kept.write(o.docs); err != nil {
			return err
		}
	}
	return nil
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
