package classes

import (
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/smtpclient"
)

// Verdict is what the table makes of an outcome.
type Verdict struct {
	Class Class
	// After is when another try makes sense, counted from now: what the server or the
	// Limiter has said, else what the row or the class has. Zero: no use without a
	// change, as for a mailbox that does not exist, or no try needed. A rate limit and
	// a greylist have one even where the server has said 5yz.
	After time.Duration
	Row   Row // that decided; zero if none did
}

// Of asks the standard table. For an *smtpclient.Error make an Outcome of its Status
// and its Attempt. Without an Attempt there is nothing to judge: the zero Verdict.
func Of(o smtpclient.Outcome) Verdict { return (&Table{}).Of(o) }

// Table is the standard table with something of your own. The zero value adds
// nothing. It is safe for many goroutines while nobody changes it.
type Table struct {
	// Rows are asked before the standard ones, in their order.
	Rows []Row
	// Override has the last word: it is given what the table says, and its answer is
	// the verdict. It is not asked about what was delivered. nil: the table's word stands.
	Override func(o smtpclient.Outcome, v Verdict) Verdict
}

// Of gives the verdict on an outcome.
func (t *Table) Of(o smtpclient.Outcome) Verdict {
	if o.Status == smtpclient.Delivered || o.Attempt == nil {
		return Verdict{}
	}
	v := t.find(&o)
	v.After = v.after(&o)
	if t.Override != nil {
		v = t.Override(o, v)
	}
	return v
}

func (t *Table) find(o *smtpclient.Outcome) Verdict {
	s := saidIn(o.Attempt)
	if s.code == "" {
		if class := unsaid(o.Attempt); class != Unclassified {
			return Verdict{Class: class}
		}
	}
	for _, rows := range [][]Row{t.Rows, standard()} {
		for i := range rows {
			if rows[i].matches(&s) {
				return Verdict{Class: rows[i].Class, Row: rows[i]}
			}
		}
	}
	return Verdict{}
}

// unsaid is the class of what no reply has decided, as far as the stage says it. The
// rest is in our enhanced codes.
func unsaid(a *smtpclient.Attempt) Class {
	switch a.Stage {
	case smtpclient.StageLimit, smtpclient.StagePool:
		return RateLimit
	case smtpclient.StagePolicy, smtpclient.StageStartTLS:
		return TLS
	case smtpclient.StageAuth:
		if a.Enhanced != "4.4.2" {
			return Auth
		}
	}
	return Unclassified
}

// usual is when to come back for a class. RFC 5321, Section 4.5.4.1 has half an hour
// as the least in general, and more sophisticated times where the reason is known.
var usual = [...]time.Duration{
	Unclassified: 30 * time.Minute,
	BadMailbox:   time.Hour,
	Full:         4 * time.Hour,
	Spam:         4 * time.Hour,
	RateLimit:    15 * time.Minute,
	Greylist:     5 * time.Minute,
	Auth:         time.Hour,
	Policy:       time.Hour,
	TLS:          time.Hour,
	Network:      30 * time.Minute,
	Message:      time.Hour,
	Server:       30 * time.Minute,
	Protocol:     time.Hour,
}

func (v *Verdict) after(o *smtpclient.Outcome) time.Duration {
	pauses := v.Class == Greylist || v.Class == RateLimit
	switch {
	case !o.NotBefore.IsZero():
		return max(time.Until(o.NotBefore), 0)
	case o.Status == smtpclient.Unknown, o.Status == smtpclient.Failed && !pauses:
		return 0
	case pauses:
		text, _ := wordsOf(o.Reply)
		if d := spoken(text); d > 0 {
			return d
		}
	}
	if v.Row.After > 0 {
		return v.Row.After
	}
	return usual[v.Class]
}

// longest bounds what a server can ask for.
const longest = 24 * time.Hour

// spoken is the time that a text names, as in "greylisted for 5 minutes" or "try
// again in 300 seconds"; 0 if it names none.
func spoken(text string) time.Duration {
	w := strings.Fields(text)
	for i := 1; i+1 < len(w); i++ {
		n, err := strconv.Atoi(w[i])
		if err != nil || n <= 0 {
			continue
		}
		switch w[i-1] {
		case "for", "in", "after", "wait", "least":
		default:
			continue
		}
		var unit time.Duration
		switch {
		case strings.HasPrefix(w[i+1], "sec"):
			unit = time.Second
		case strings.HasPrefix(w[i+1], "min"):
			unit = time.Minute
		case strings.HasPrefix(w[i+1], "hour"):
			unit = time.Hour
		default:
			continue
		}
		return min(time.Duration(min(n, 1e6))*unit, longest)
	}
	return 0
}
