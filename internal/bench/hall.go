package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// hall is where contests take place.
type hall struct {
	sink   *sink
	commit string
	small  bool // a few messages only, to see that everything works
	procs  []*process
	lines  map[string]*sink
	rtt    time.Duration
	c      *sink // smtp-sink
}

func openHall() (*hall, error) {
	h := &hall{lines: map[string]*sink{}, rtt: 40 * time.Millisecond, commit: commitOf()}
	p, out, err := startRole("sink")
	if err != nil {
		return nil, err
	}
	h.procs = append(h.procs, p)
	if h.sink, err = readSink(out); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

// stayAwake keeps each core busy with a process that gives way to all others. Where
// one message is on its way at a time the cores sleep in between, and in a virtual
// machine to wake them costs more than to send the message, now more and now less.
func (h *hall) stayAwake() error {
	for range runtime.NumCPU() {
		p, _, err := startRole("spinner")
		if err != nil {
			return err
		}
		h.procs = append(h.procs, p)
	}
	return nil
}

// spin burns what nobody else wants.
func spin(ended chan struct{}) error {
	runtime.LockOSThread()
	if err := unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_IDLE}, 0); err != nil {
		return err
	}
	var over atomic.Bool
	go func() {
		<-ended
		over.Store(true)
	}()
	for !over.Load() {
	}
	return nil
}

func (h *hall) close() {
	for _, p := range h.procs {
		p.stop()
	}
}

// process is a program that ends with its standard input, or is told to.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

func (p *process) stop() {
	p.stdin.Close()
	p.cmd.Wait()
}

// startRole runs this program in another role, and gives what it prints.
func startRole(role string, args ...string) (*process, *bufio.Reader, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(self, append([]string{"-as", role}, args...)...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe() // it ends with us
	if err != nil {
		return nil, nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	return &process{cmd, stdin}, bufio.NewReader(stdout), nil
}

// play is what a process does that startRole has started.
func play(role string, args []string) error {
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	switch {
	case role == "sink" && len(args) == 0:
		return playSink(ended)
	case role == "spinner" && len(args) == 0:
		return spin(ended)
	case role == "line" && len(args) == 2:
		return playLine(args[0], args[1], ended)
	}
	return fmt.Errorf("no role %q with arguments %q", role, args)
}
