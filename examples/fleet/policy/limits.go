package policy

import (
	"time"

	"github.com/postrider/postrider/smtpclient"
)

// Limits are those of all machines together for each site.
type Limits struct {
	Sessions  int // open at the same time; zero: 20
	PerSecond int // messages; zero: no bound
}

// Rules are for a Limiter, and the same in each process.
func (l Limits) Rules(u smtpclient.Use) []smtpclient.Limit {
	if u.Connection {
		sessions := l.Sessions
		if sessions <= 0 {
			sessions = 20
		}
		return []smtpclient.Limit{{Key: u.Site, Max: sessions}}
	}
	if l.PerSecond <= 0 {
		return nil
	}
	return []smtpclient.Limit{{Key: u.Site, Max: l.PerSecond, Per: time.Second, Burst: l.PerSecond}}
}
