package smtptest

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// The functions here are Scripts, or make one, for what receivers do against
// mail that they do not want.

// RejectNetwork turns the client away at the greeting, and at every command but
// HELP and QUIT.
func RejectNetwork(c Command) Action {
	if c.Verb == "HELP" || c.Verb == "QUIT" {
		return Action{}
	}
	return Action{Reply: "550-5.7.1 your network\n550 5.7.1 is not welcome here"}
}

// RejectSender refuses every sender, and then the recipients.
func RejectSender(c Command) Action {
	switch c.Verb {
	case "MAIL":
		return Action{Reply: "553 5.7.1 this sender is not welcome"}
	case "RCPT":
		return Action{Reply: "550 5.7.1 this sender is not welcome"}
	}
	return Action{}
}

// RelayDenied refuses recipients outside of these domains.
func RelayDenied(domains ...string) func(Command) Action {
	return func(c Command) Action {
		path, _, ok := parsePath(c.Args, "TO:")
		domain := strings.ToLower(path[strings.LastIndexByte(path, '@')+1:])
		if c.Verb != "RCPT" || !ok || slices.Contains(domains, domain) {
			return Action{}
		}
		return Action{Reply: "550 5.7.1 relaying denied"}
	}
}

// Greylist refuses each recipient for a time, from the first RCPT for him on.
func Greylist(wait time.Duration) func(Command) Action {
	var mu sync.Mutex
	first := map[string]time.Time{} // guarded by mu
	return func(c Command) Action {
		if c.Verb != "RCPT" {
			return Action{}
		}
		mu.Lock()
		defer mu.Unlock()
		began, known := first[c.Args]
		if !known {
			first[c.Args] = time.Now()
		}
		if known && time.Since(began) >= wait {
			return Action{}
		}
		return Action{Reply: "451 4.7.1 greylisted, come back later"}
	}
}

// RateLimit refuses each MAIL beyond n within a time, which begins with the
// first.
func RateLimit(n int, per time.Duration) func(Command) Action {
	var mu sync.Mutex
	var began time.Time // guarded by mu
	var count int       // guarded by mu
	return func(c Command) Action {
		if c.Verb != "MAIL" {
			return Action{}
		}
		mu.Lock()
		defer mu.Unlock()
		if began.IsZero() || time.Since(began) >= per {
			began, count = time.Now(), 0
		}
		count++
		if count <= n {
			return Action{}
		}
		return Action{Reply: "451 4.7.1 too many messages, come back later"}
	}
}
