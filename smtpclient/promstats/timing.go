package promstats

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// bounds are those of histograms: a reply takes milliseconds, a greylisting server or
// one that is gone minutes.
var bounds = [...]time.Duration{5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute}

// timing is a histogram of durations. A prometheus.Histogram does three times the
// work for each, so that counts and sum always fit; here a duration that is just
// being added may be in one and not yet in the other.
type timing struct {
	counts      [len(bounds) + 1]atomic.Uint64 // of each bucket alone; the last one has no bound
	nanoseconds atomic.Int64
}

func (t *timing) add(d time.Duration) {
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	t.counts[i].Add(1)
	t.nanoseconds.Add(int64(d))
}

// metric is what was added so far; a bucket of Prometheus holds those below it, too.
func (t *timing) metric(desc *prometheus.Desc, since time.Time, labels ...string) prometheus.Metric {
	sum := time.Duration(t.nanoseconds.Load()).Seconds()
	var count uint64
	buckets := make(map[float64]uint64, len(bounds))
	for i, bound := range bounds {
		count += t.counts[i].Load()
		buckets[bound.Seconds()] = count
	}
	count += t.counts[len(bounds)].Load()
	return prometheus.MustNewConstHistogramWithCreatedTimestamp(desc, count, sum, buckets, since, labels...)
}
