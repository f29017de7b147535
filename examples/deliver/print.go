package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/postrider/postrider/smtpclient"
)

// printer takes the reports of all deliveries: it prints them, whole ones and
// one after another, and counts.
type printer struct {
	json  bool
	start time.Time

	mu             sync.Mutex // guards the rest
	stdout, stderr io.Writer
	total          tally
}

// report prints what became of one message.
func (p *printer) report(r smtpclient.Report, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total.add(r, err)
	if len(r.Outcomes) == 0 && err != nil {
		fmt.Fprintln(p.stderr, "deliver:", err) // no recipient could carry it
	}
	if !p.json {
		writeText(p.stdout, r)
		return
	}
	if err := writeJSON(p.stdout, r); err != nil {
		fmt.Fprintln(p.stderr, "deliver: the report cannot be printed:", err)
	}
}

// note prints a line for people on standard error.
func (p *printer) note(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintln(p.stderr, line)
}

// summary prints what became of all messages, and how fast.
func (p *printer) summary() {
	p.note(p.total.summary(time.Since(p.start)))
}
