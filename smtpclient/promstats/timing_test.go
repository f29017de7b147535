package promstats_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/promstats"
)

// A duration belongs to the first bucket whose bound is not below it, and to all
// behind that.
func TestBuckets(t *testing.T) {
	s := promstats.New(promstats.Options{})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(s)
	told := s.Trace()
	sum := 0.0
	for _, d := range []time.Duration{0, 5 * time.Millisecond, 5*time.Millisecond + 1, 2500 * time.Millisecond, 10 * time.Minute, time.Hour} {
		told.Took(context.Background(), smtpclient.Took{Stage: smtpclient.StageMail, Duration: d})
		sum += d.Seconds()
	}
	_, families := samples(t, registry)
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() != "postrider_stage_duration_seconds" || m.Label[0].GetValue() != "ok" || m.Label[1].GetValue() != "mail" {
				continue
			}
			var got []string
			for _, b := range m.Histogram.Bucket {
				got = append(got, fmt.Sprint(b.GetUpperBound(), ":", b.GetCumulativeCount()))
			}
			want := []string{"0.005:2", "0.01:3", "0.025:3", "0.05:3", "0.1:3", "0.25:3", "0.5:3", "1:3", "2.5:4", "5:4", "10:4", "30:4", "60:4", "300:4", "600:5"}
			if !slices.Equal(got, want) {
				t.Errorf("buckets %v\nwant %v", got, want)
			}
			if m.Histogram.GetSampleCount() != 6 || m.Histogram.GetSampleSum() != sum {
				t.Errorf("%d durations, %v s; want 6, %v s", m.Histogram.GetSampleCount(), m.Histogram.GetSampleSum(), sum)
			}
			return
		}
	}
	t.Error("the histogram is not there")
}
