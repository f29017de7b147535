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
	mu    sync.RWMutex
	known map[verdict]counters // guarded by mu
}

// verdict is what recipients are counted by. There are as many as groups allow.
type verdict struct {
	status          smtpclient.Status
	stage           smtpclient.Stage
	wanted, reached tlspolicy.Level
	group           string
}

type counters struct {
	recipients prometheus.Counter
	tls        prometheus.Counter // nil: not delivered
}

// counters are those of an outcome.
func (s *Stats) counters(o *smtpclient.Outcome) counters {
	v := verdict{o.Status, o.Stage, o.TLS.Wanted, o.TLS.Reached, s.options.Groups.Name(o.Attempt)}
	s.verdicts.mu.RLock()
	c, ok := s.verdicts.known[v]
	s.verdicts.mu.RUnlock()
	if ok {
		return c
	}
	c.recipients = s.recipients.WithLabelValues(v.status.String(), v.stage.String(), v.group)
	if v.status == smtpclient.Delivered {
		c.tls = s.tls.WithLabelValues(v.wanted.String(), v.reached.String())
	}
	s.verdicts.mu.Lock()
	defer s.verdicts.mu.Unlock()
	if s.verdicts.known == nil {
		s.verdicts.known = make(map[verdict]counters)
	}
	s.verdicts.known[v] = c
	return c
}
