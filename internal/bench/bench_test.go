package main

import (
	"fmt"
	"os"
	"slices"
	"testing"
)

// The test program is the sink, too, as the program itself is.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "-sink") {
		if err := serveSink(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// Every sender of every trial gets its mail to the sink: a table with a sender that
// fails fast would be a good one.
func TestEverySender(t *testing.T) {
	s, err := startSink()
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	list, clean, err := trials()
	defer clean()
	if err != nil {
		t.Fatal(err)
	}
	for _, trial := range list {
		t.Run(trial.name, func(t *testing.T) {
			trial.messages = max(2, trial.sessions)
			r, err := trial.run(s, 1)
			if err != nil {
				t.Fatal(err)
			}
			for i, from := range trial.senders {
				if r.median(i, cost.rate) <= 0 {
					t.Errorf("%s sent nothing", from.name)
				}
			}
		})
	}
}
