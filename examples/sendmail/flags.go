package main

import (
	"fmt"
	"strings"

	"github.com/postrider/postrider/smtpclient"
)

// flags is the command line.
type flags struct {
	to             []string
	from, fullName string
	fromHeader     bool // -t
	ignoreDots     bool // -i
	verbose        bool
	queue          bool   // -q
	mode           string // what stands behind -b: m, p or i
	conf           string
	user, password string // of ssmtp's -au and -ap
	notify         smtpclient.Notify
	ret            smtpclient.Return
	envID          string
}

// Flags with a value in the same argument or in the next, and those without one.
// What is not here is no flag of any sendmail. Most are about a queue, a daemon or a
// file that there is not: they are taken and mean nothing.
const (
	valued = "BCFLNORVXbefhopr"
	single = "46EGIMTUimnstv"
)

// parseFlags reads the arguments as getopt does, so that -ti is -t -i.
func parseFlags(name string, args []string) (*flags, error) {
	f := &flags{mode: map[string]string{"mailq": "p", "newaliases": "i"}[name]}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			f.to = append(f.to, args...)
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			f.to = append(f.to, arg)
			continue
		}
		var err error
		if args, err = f.cluster(arg[1:], args); err != nil {
			return nil, err
		}
	}
	if strings.Trim(f.mode, "mpi") != "" {
		return nil, &fault{exUsage, "-b" + f.mode + " needs a mail server; this program only sends a message"}
	}
	return f, nil
}

// cluster reads the letters of one argument, and gives the arguments that are left.
func (f *flags) cluster(letters string, args []string) ([]string, error) {
	for i := range letters {
		letter, rest := letters[i], letters[i+1:]
		switch {
		case strings.IndexByte("Aadq", letter) >= 0: // with a value in the same argument only
			f.attached(letter, rest)
			return args, nil
		case strings.IndexByte(single, letter) >= 0:
			f.set(letter)
		case strings.IndexByte(valued, letter) < 0:
			return nil, &fault{exUsage, fmt.Sprintf("-%c is no flag of sendmail", letter)}
		case rest == "" && len(args) == 0:
			return nil, &fault{exUsage, fmt.Sprintf("-%c needs a value", letter)}
		case rest == "":
			return args[1:], f.value(letter, args[0])
		default:
			return args, f.value(letter, rest)
		}
	}
	return args, nil
}

func (f *flags) set(letter byte) {
	switch letter {
	case 't':
		f.fromHeader = true
	case 'i':
		f.ignoreDots = true
	case 'v':
		f.verbose = true
	}
}

func (f *flags) attached(letter byte, rest string) {
	switch {
	case letter == 'q':
		f.queue = true
	case letter == 'a' && strings.HasPrefix(rest, "u"):
		f.user = rest[1:]
	case letter == 'a' && strings.HasPrefix(rest, "p"):
		f.password = rest[1:]
	}
}

func (f *flags) value(letter byte, value string) error {
	switch letter {
	case 'C':
		f.conf = value
	case 'F':
		f.fullName = value
	case 'f', 'r':
		if f.from = value; value == "" {
			f.from = "<>"
		}
	case 'V':
		f.envID = value
	case 'b':
		f.mode = value
	case 'o':
		f.ignoreDots = f.ignoreDots || strings.HasPrefix(value, "i")
	case 'R':
		return f.giveBack(value)
	case 'N':
		return f.tell(value)
	}
	return nil
}

func (f *flags) giveBack(what string) error {
	known := map[string]smtpclient.Return{"full": smtpclient.ReturnFull, "hdrs": smtpclient.ReturnHeaders}
	ret, ok := known[what]
	if !ok {
		return &fault{exUsage, "-R takes full or hdrs"}
	}
	f.ret = ret
	return nil
}

func (f *flags) tell(events string) error {
	known := map[string]smtpclient.Notify{"never": smtpclient.NotifyNever, "success": smtpclient.NotifySuccess,
		"failure": smtpclient.NotifyFailure, "delay": smtpclient.NotifyDelay}
	for event := range strings.SplitSeq(events, ",") {
		bit, ok := known[strings.TrimSpace(event)]
		if !ok || f.notify&smtpclient.NotifyNever != 0 || bit == smtpclient.NotifyNever && f.notify != 0 {
			return &fault{exUsage, "-N takes never, or of success,failure,delay"}
		}
		f.notify |= bit
	}
	return nil
}
