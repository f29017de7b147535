package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"time"
)

// site is a destination as it is, which the fleet does not know.
type site struct {
	name       string
	roundTrip  time.Duration
	work       time.Duration // what it takes for a message, on average
	sessions   int           // that it takes from us at the same time
	perMinute  int           // messages that it takes from us in a minute
	perSession int           // messages on a connection
	grey       bool          // it has everybody come again after five minutes
	outages    []outage

	open   int // sessions
	minute int64
	taken  int // messages in that minute
}

// outage is a time in which nobody answers.
type outage struct{ from, to time.Duration }

// internet is all of the sites, and how often each is written to.
type internet struct {
	sites []*site
	share []float64 // summed up
}

// newInternet makes one of its kind: few sites get most of the mail, and take much at
// the same time; most get little, and take less.
func newInternet(random *rand.Rand, z size) *internet {
	n := &internet{}
	sum := 0.0
	for i := range z.destinations {
		s := &site{name: fmt.Sprintf("mx%d.example", i)}
		s.roundTrip = 10*time.Millisecond + time.Duration(random.IntN(190))*time.Millisecond
		s.work = 50*time.Millisecond + time.Duration(random.IntN(450))*time.Millisecond
		rank := float64(i) / float64(z.destinations)
		switch {
		case rank < 0.0005: // the great providers
			s.sessions, s.perMinute, s.perSession = 50, z.messages/3000, 100
		case rank < 0.02:
			s.sessions, s.perMinute, s.perSession = 10+random.IntN(21), 60+random.IntN(600), 50
		default:
			s.sessions, s.perMinute, s.perSession = 1+random.IntN(15), 6+random.IntN(114), 5+random.IntN(96)
		}
		s.grey = random.IntN(100) < 12 && rank >= 0.0005
		if random.IntN(100) < 4 {
			from := time.Duration(random.Int64N(int64(z.length)))
			s.outages = append(s.outages, outage{from, from + 10*time.Minute + time.Duration(random.Int64N(int64(6*time.Hour)))})
		}
		n.sites = append(n.sites, s)
		sum += 1 / math.Pow(float64(i+1), 1.05)
		n.share = append(n.share, sum)
	}
	return n
}

// pick chooses the site of a message.
func (n *internet) pick(random *rand.Rand) *site {
	x := random.Float64() * n.share[len(n.share)-1]
	return n.sites[sort.SearchFloat64s(n.share, x)]
}

func (s *site) down(at time.Duration) bool {
	for _, o := range s.outages {
		if at >= o.from && at < o.to {
			return true
		}
	}
	return false
}

// admit tells whether the site takes one more message in this minute.
func (s *site) admit(at time.Duration) bool {
	if minute := int64(at / time.Minute); minute != s.minute {
		s.minute, s.taken = minute, 0
	}
	if s.taken >= s.perMinute {
		return false
	}
	s.taken++
	return true
}

// load is how many messages come in a second at a time: a day's wave, and on top the
// campaigns, each of which sends a tenth of the messages within half an hour.
type load struct {
	messages  int
	length    time.Duration
	campaigns []time.Duration
}

const campaign = 30 * time.Minute

func (l *load) rate(at time.Duration) float64 {
	if at >= l.length { // a few are left, as chance has it
		return float64(l.messages) / l.length.Seconds()
	}
	share := 0.1 * float64(len(l.campaigns))
	day := 2 * math.Pi * at.Hours() / 24
	rate := (1 - share) * float64(l.messages) / l.length.Seconds() * (1 - 0.6*math.Cos(day))
	for _, c := range l.campaigns {
		if at >= c && at < c+campaign {
			rate += 0.1 * float64(l.messages) / campaign.Seconds()
		}
	}
	return rate
}
