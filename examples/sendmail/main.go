// Sendmail stands in the place of /usr/sbin/sendmail, for cron, mutt, git send-email
// and all who call it, with the flags of Postfix's and of ssmtp's:
//
//	sendmail [-t] [-i] [-f SENDER] [-F NAME] [-N WHEN] [-R full|hdrs] [-V ID] [TO...] < message
//
// It hands the message to the server of a file as ssmtp has it, and keeps nothing
// itself: the exit code of sysexits.h says what became of it, 0 if the server took it
// for everyone, 75 if it may take it later. The file is /etc/ssmtp/ssmtp.conf, or what
// -C or the environment variable SENDMAIL_CONF names:
//
//	mailhub=smtp.example.org:587
//	AuthUser=ann
//	AuthPass=...
//
// Without any argument sendmail has nobody to write to, and only complains. This one
// sends a message to a server of its own on this machine instead.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"

	"github.com/postrider/postrider/smtpclient"
)

// program is what sendmail has of the world around it.
type program struct {
	name     string
	in       io.Reader
	out, err io.Writer
	login    string // who calls
	fullName string
	conf     string // the file, where -C does not name one
}

func main() {
	p := program{name: filepath.Base(os.Args[0]), in: os.Stdin, out: os.Stdout, err: os.Stderr, conf: os.Getenv("SENDMAIL_CONF")}
	if p.conf == "" {
		p.conf = "/etc/ssmtp/ssmtp.conf"
	}
	if u, err := user.Current(); err == nil {
		p.login, p.fullName = u.Username, os.Getenv("NAME")
	}
	os.Exit(p.run(context.Background(), os.Args[1:]))
}

// run does what the arguments say and gives the exit code.
func (p *program) run(ctx context.Context, args []string) int {
	if len(args) == 0 && p.name != "mailq" && p.name != "newaliases" {
		return p.say(p.demo(ctx))
	}
	f, err := parseFlags(p.name, args)
	switch {
	case err != nil:
		return p.say(err)
	case f.mode == "p":
		fmt.Fprintln(p.out, "Mail queue is empty")
		return exOK
	case f.mode == "i" || f.queue: // no aliases to rebuild, no queue to run
		return exOK
	}
	if f.conf == "" {
		f.conf = p.conf
	}
	conf, err := readConfig(f)
	if err != nil {
		return p.say(err)
	}
	return p.say(p.send(ctx, f, conf))
}

// send reads the message and hands it over.
func (p *program) send(ctx context.Context, f *flags, conf *config) error {
	m, err := readMessage(p.in, f.ignoreDots)
	if err != nil {
		return err
	}
	to := f.to
	if f.fromHeader {
		listed, err := m.recipients()
		if err != nil {
			return err
		}
		to = append(to, listed...)
	}
	if len(to) == 0 {
		return &fault{exUsage, "no recipients; name them as arguments, or say -t and write them into the header"}
	}
	if f.fullName == "" {
		f.fullName = p.fullName
	}
	author := conf.complete(p.login)
	env := smtpclient.Envelope{From: conf.complete(f.from), EnvID: f.envID, Return: f.ret}
	if env.From == "" {
		env.From = author
	}
	for _, address := range to {
		env.To = append(env.To, smtpclient.Recipient{Address: conf.mailbox(address), Notify: f.notify})
	}
	if f.verbose {
		ctx = smtpclient.WithTrace(ctx, &smtpclient.Trace{Line: p.line})
	}
	report, err := conf.client().Deliver(ctx, env, smtpclient.Bytes(m.finish(f.fullName, author)))
	return p.verdict(report, err)
}

func (p *program) line(_ context.Context, line string) { fmt.Fprintln(p.err, line) }
