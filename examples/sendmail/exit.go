package main

import (
	"fmt"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/classes"
)

// Exit codes of sysexits.h.
const (
	exOK, exUsage, exDataErr, exNoUser, exNoHost = 0, 64, 65, 67, 68
	exUnavailable, exTempFail, exNoPerm, exConf  = 69, 75, 77, 78
)

// fault is an error with its exit code.
type fault struct {
	code int
	text string
}

func (f *fault) Error() string { return f.text }

// say prints an error, and gives its exit code.
func (p *program) say(err error) int {
	if err == nil {
		return exOK
	}
	fmt.Fprintf(p.err, "%s: %v\n", p.name, err)
	if f, ok := err.(*fault); ok {
		return f.code
	}
	return exUnavailable
}

// verdict tells of everyone who did not get the message; the exit code is that of
// the first.
func (p *program) verdict(report smtpclient.Report, err error) error {
	var first *fault
	for _, o := range report.Outcomes {
		if o.Status == smtpclient.Delivered {
			continue
		}
		f := &fault{exitCode(o), fmt.Sprintf("%s: %v: %v", o.Address, o.Status, o.Err())}
		if first != nil {
			p.say(first)
		}
		first = f
	}
	if first == nil {
		return err
	}
	return first
}

func exitCode(o smtpclient.Outcome) int {
	if o.Status != smtpclient.Failed {
		return exTempFail
	}
	switch v := classes.Of(o); v.Class {
	case classes.BadMailbox:
		return exNoUser
	case classes.Message:
		return exDataErr
	case classes.Auth:
		return exNoPerm
	case classes.Network:
		return exNoHost
	}
	return exUnavailable
}
