package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/smtpclient"
)

// config is what the command line asks for.
type config struct {
	client   smtpclient.Client
	dialer   smtpclient.Dialer
	quirks   smtpclient.Quirks
	envelope smtpclient.Envelope
	everyone smtpclient.Recipient // what was said of recipients before the first
	hasFrom  bool                 // -from was given, if only as ""
	tls      tlsFlags
	auth     authFlags
	lockstep bool // -pipelining off
	lmtp     bool // -proto lmtp
	final    bool
	file     string // "": standard input

	deadline    time.Duration // of one call; zero: none
	repeat      int           // zero: not given, which is once and without a summary
	concurrency int           // zero: one
	pool        bool
	trace, json bool
}

// option is one flag. It is its own line of documentation.
type option struct {
	name  string
	takes string // what follows the flag; "" for a switch
	help  string
	set   func(c *config, value string) error
}

// parseFlags reads the command line. The error is one line that names the flag,
// or flag.ErrHelp.
func parseFlags(args []string) (*config, error) {
	c := &config{}
	var fault error
	set := flag.NewFlagSet("deliver", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	for _, o := range options() {
		set.Var(&flagValue{option: o, config: c, fault: &fault}, o.name, o.help)
	}
	err := set.Parse(args)
	switch {
	case fault != nil:
		return nil, fault
	case err != nil:
		return nil, explain(err)
	case set.NArg() > 0:
		return nil, fmt.Errorf("%q is not a flag; the message comes from -file or standard input", set.Arg(0))
	case !c.hasFrom:
		return nil, errors.New("-from is missing: it takes the sender's address, or <> for a notice")
	}
	if err := c.finish(); err != nil {
		return nil, err
	}
	return c, c.auth.apply(c)
}

// finish puts together what several flags have set.
func (c *config) finish() error {
	if err := c.finishProto(); err != nil {
		return err
	}
	if c.lockstep {
		c.quirks.Discard = append(c.quirks.Discard, "PIPELINING")
	}
	if len(c.quirks.Discard) > 0 || c.quirks.Chunking != smtpclient.ChunkingAuto || c.quirks.NoOverlap {
		quirks := c.quirks
		c.dialer.Quirks = func(smtpclient.Target) smtpclient.Quirks { return quirks }
	}
	if c.trace {
		// One after another, or nobody could read it.
		c.client.Limits.Destinations = 1
	}
	c.client.Cache = &cache.Memory{} // what one name server says is not for others
	c.client.Dialer = &c.dialer
	c.newPool()
	return c.tls.apply(&c.client, &c.dialer)
}

// explain adds to the two errors that the flag package finds by itself what a
// person needs to know.
func explain(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	name, missing := strings.CutPrefix(err.Error(), "flag needs an argument: -")
	if !missing {
		return fmt.Errorf("%w; deliver -h lists the flags", err)
	}
	for _, o := range options() {
		if o.name == name {
			return fmt.Errorf("-%s takes %s", name, o.takes)
		}
	}
	return err
}

// flagValue makes an option a flag.Value.
type flagValue struct {
	option
	config *config
	fault  *error // our own words for the first error, without those of package flag
}

func (v *flagValue) String() string   { return "" }
func (v *flagValue) IsBoolFlag() bool { return v.takes == "" }

func (v *flagValue) Set(value string) error {
	err := v.set(v.config, value)
	if err != nil {
		err = fmt.Errorf("-%s %q: %w", v.name, value, err)
	}
	*v.fault = err
	return err
}

// printHelp lists the flags.
func printHelp(w io.Writer) {
	fmt.Fprintln(w, "usage: deliver [flags] < message")
	for _, o := range options() {
		fmt.Fprintf(w, "  %-36s %s\n", strings.TrimSpace("-"+o.name+" "+o.takes), o.help)
	}
}
