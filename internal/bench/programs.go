package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

var errMissing = errors.New("a program is missing")

// postfixProgram finds a program of Postfix, where its package puts it.
func postfixProgram(name string) (string, error) {
	for _, dir := range []string{"/usr/lib/postfix/sbin", "/usr/sbin"} {
		path := filepath.Join(dir, name)
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: %s; install it with: apt-get install postfix", errMissing, name)
}

// smtpSink starts Postfix's sink, once.
func (h *hall) smtpSink() (*sink, error) {
	if h.c != nil {
		return h.c, nil
	}
	path, err := postfixProgram("smtp-sink")
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	args := []string{"-4"}
	if os.Getuid() == 0 {
		args = append(args, "-u", "nobody")
	}
	p, err := keep(append([]string{path}, append(args, addr, "4096")...)...)
	if err != nil {
		return nil, err
	}
	h.procs = append(h.procs, p)
	h.c = h.sink.at(addr)
	return h.c, waitUntil("smtp-sink", func() error { return greets(addr) })
}

// keep starts a program that does not look at its standard input, below a shell
// that does, and ends it when that ends: also when we die in any way.
func keep(command ...string) (*process, error) {
	const keeper = `trap : HUP INT TERM
"$@" </dev/null &
kept=$!
cat >/dev/null
kill "$kept" 2>/dev/null
wait "$kept" 2>/dev/null`
	cmd := exec.Command("/bin/sh", append([]string{"-c", keeper, "keeper"}, command...)...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	return &process{cmd, stdin}, cmd.Start()
}

// freeAddr is an address below the range of outgoing connections, where no passing
// one can take it.
func freeAddr() (string, error) {
	for port := 20000 + os.Getpid()%5000; port < 32768; port++ {
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if l, err := net.Listen("tcp", addr); err == nil {
			return addr, l.Close()
		}
	}
	return "", errors.New("no free port below 32768")
}

// greets says whether a server is there.
func greets(addr string) error {
	c, err := dialRaw(&sink{addr: addr}, false)
	if err != nil {
		return err
	}
	c.close()
	return nil
}

func waitUntil(what string, ready func() error) error {
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = ready(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("waiting for %s: %w", what, err)
}
