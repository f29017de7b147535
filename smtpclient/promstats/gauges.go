package promstats

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider/smtpclient"
)

// poolCollector measures a pool when it is asked.
type poolCollector struct{ pool *smtpclient.Pool }

var (
	poolSessions = prometheus.NewDesc("postrider_pool_sessions", "Sessions of the pool, by state.", []string{"state"}, nil)
	poolWaiting  = prometheus.NewDesc("postrider_pool_waiting_deliveries", "Deliveries that wait for a session of the pool.", nil, nil)
	poolDialed   = prometheus.NewDesc("postrider_pool_dialed_total", "Places of the pool that were given to new sessions.", nil, nil)
	poolReused   = prometheus.NewDesc("postrider_pool_reused_total", "Deliveries that found an open session.", nil, nil)
	poolDropped  = prometheus.NewDesc("postrider_pool_dropped_total", "Sessions that were closed while idle.", nil, nil)
)

func (c poolCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c poolCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.pool.Stats()
	ch <- gauge(poolSessions, s.Idle, "idle")
	ch <- gauge(poolSessions, s.InUse, "in_use")
	ch <- gauge(poolWaiting, s.Waiting)
	ch <- counter(poolDialed, s.Dialed)
	ch <- counter(poolReused, s.Reused)
	ch <- counter(poolDropped, s.Dropped)
}

// limiterCollector measures a limiter when it is asked.
type limiterCollector struct{ limiter *smtpclient.LocalLimiter }

var (
	limiterUses    = prometheus.NewDesc("postrider_limiter_uses", "Uses that have not ended, each counted in all of its limits.", nil, nil)
	limiterWaiting = prometheus.NewDesc("postrider_limiter_waiting_uses", "Uses that wait for their turn.", nil, nil)
	limiterResting = prometheus.NewDesc("postrider_limiter_resting_destinations", "Destinations that were found dead and are left alone.", nil, nil)
	limiterLimits  = prometheus.NewDesc("postrider_limiter_limits", "Limits that are remembered.", nil, nil)
	limiterGranted = prometheus.NewDesc("postrider_limiter_granted_total", "Uses that were granted.", nil, nil)
	limiterRefused = prometheus.NewDesc("postrider_limiter_refused_total", "Uses that were refused.", nil, nil)
)

func (c limiterCollector) Describe(ch chan<- *prometheus.Desc) {
	prometheus.DescribeByCollect(c, ch)
}

func (c limiterCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.limiter.Stats()
	ch <- gauge(limiterUses, s.InUse)
	ch <- gauge(limiterWaiting, s.Waiting)
	ch <- gauge(limiterResting, s.Resting)
	ch <- gauge(limiterLimits, s.Keys)
	ch <- counter(limiterGranted, s.Granted)
	ch <- counter(limiterRefused, s.Refused)
}

func gauge(d *prometheus.Desc, n int, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
}

func counter(d *prometheus.Desc, n int64) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n))
}
