package promstats

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// verdicts are the counters that were needed before: to find one by its labels
// costs more than all else.
type verdicts struct {
	mu      sync.RWMutex
	known   map[verdict]prometheus.Counter
	secured map[[2]tlspolicy.Level]prometheus.Counter
}

type verdict struct {
	status smtpclient.Status
	stage  smtpclient.Stage
	group  string
}

// verdict is the counter of an outcome. There are as many as groups allow.
func (s *Stats) verdict(o *smtpclient.Outcome) prometheus.Counter {
	v := verdict{o.Status, o.Stage, s.options.Groups.Name(o.Attempt)}
	s.verdicts.mu.RLock()
	c := s.verdicts.known[v]
	s.verdicts.mu.RUnlock()
	if c != nil {
		return c
	}
	c = s.recipients.WithLabelValues(o.Status.String(), o.Stage.String(), v.group)
	s.verdicts.mu.Lock()
	defer s.verdicts.mu.Unlock()
	if s.verdicts.known == nil {
		s.verdicts.known = make(map[verdict]prometheus.Counter)
	}
	s.verdicts.known[v] = c
	return c
}

// secured is the counter of how TLS came out.
func (s *Stats) secured(o *smtpclient.Outcome) prometheus.Counter {
	v := [2]tlspolicy.Level{o.TLS.Wanted, o.TLS.Reached}
	s.verdicts.mu.RLock()
	c := s.verdicts.secured[v]
	s.verdicts.mu.RUnlock()
	if c != nil {
		return c
	}
	c = s.tls.WithLabelValues(v[0].String(), v[1].String())
	s.verdicts.mu.Lock()
	defer s.verdicts.mu.Unlock()
	if s.verdicts.secured == nil {
		s.verdicts.secured = make(map[[2]tlspolicy.Level]prometheus.Counter)
	}
	s.verdicts.secured[v] = c
	return c
}
