package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"
)

// The test program is the sink and the line, too, as the program itself is.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "-as" {
		if err := play(os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// Every contender of every experiment gets its mail to the sink: a table with a
// sender that fails fast would be a good one.
func TestEverySender(t *testing.T) {
	h, err := openHall()
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	h.small, h.rtt = true, time.Millisecond
	for _, e := range experiments() {
		t.Run(e.id(), func(t *testing.T) {
			r, err := e.run(h, 1, regexp.MustCompile(""))
			if errors.Is(err, errMissing) && os.Getenv("POSTRIDER_CI") == "" {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range r.Rows {
				for name, figures := range row.Figures {
					if len(figures) != 1 || figures[0] < 0 || slices.Contains([]string{rate, cpu, trips}, name) && figures[0] == 0 {
						t.Errorf("%s has %s %v", row.Sender, name, figures)
					}
				}
			}
		})
	}
}
