//go:build unix

package main

import (
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/postrider/postrider/smtpclient/smtptest"
)

// Who is interrupted still learns what became of the message.
func TestSignalLeavesAReport(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		var once sync.Once
		w := newWorld(t, &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
			if c.Verb != "RCPT" {
				return smtptest.Action{}
			}
			once.Do(func() {
				if err := syscall.Kill(syscall.Getpid(), sig); err != nil {
					t.Error(err)
				}
			})
			return smtptest.Action{Fault: smtptest.Stall}
		}})
		code, stdout, stderr := w.run(t, "-to", "bob@example.net", "-repeat", "3")
		if code != 75 || strings.Count(stdout, "bob@example.net: deferred") != 3 {
			t.Errorf("%v: exit %d, want 75 and three reports\n%s%s", sig, code, stdout, stderr)
		}
	}
}
