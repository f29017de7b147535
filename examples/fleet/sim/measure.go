package main

import (
	"fmt"
	"math"
	"time"
)

// measure is what is seen of a run.
type measure struct {
	arrived, done, expired                    int
	dialled, reused, transactions             int
	tooMany, tooFast, greylisted, cut, putOff int

	ages    histogram // of what was delivered
	every   time.Duration
	series  []point
	current point
	hour    histogram
}

// point is what was seen in a time of the length every.
type point struct {
	arrived, delivered int
	waiting            int     // at its end
	age                float64 // 99 % of what was delivered was younger, in seconds
}

func newMeasure(length time.Duration) *measure { return &measure{every: length / 96} }

func (m *measure) came() {
	m.arrived++
	m.current.arrived++
}

func (m *measure) delivered(_, age time.Duration) {
	m.current.delivered++
	m.ages.add(age)
	m.hour.add(age)
	m.over(age)
}

func (m *measure) over(time.Duration) { m.done++ }

// tick ends a point when its time is over.
func (m *measure) tick(now time.Duration) {
	for now >= time.Duration(len(m.series)+1)*m.every {
		m.current.waiting = m.arrived - m.done
		m.current.age = m.hour.quantile(0.99).Seconds()
		m.series = append(m.series, m.current)
		m.current, m.hour = point{}, histogram{}
	}
}

// histogram counts durations in steps of a tenth of an octave, from a millisecond on.
type histogram struct {
	count [400]int
	total int
	most  time.Duration
}

func (h *histogram) add(d time.Duration) {
	n := 0
	if d > time.Millisecond {
		n = min(int(10*math.Log2(float64(d)/float64(time.Millisecond))), len(h.count)-1)
	}
	h.count[n]++
	h.total++
	h.most = max(h.most, d)
}

// quantile is the upper end of the step in which a share of all is reached.
func (h *histogram) quantile(share float64) time.Duration {
	want, sum := int(math.Ceil(share*float64(h.total))), 0
	for n, c := range h.count {
		if sum += c; sum >= want && c > 0 {
			return min(h.most, time.Duration(float64(time.Millisecond)*math.Pow(2, float64(n+1)/10)))
		}
	}
	return 0
}

// report is one line of the table.
func (m *measure) report(c choice) string {
	peak := 0
	for _, p := range m.series {
		peak = max(peak, p.delivered)
	}
	return fmt.Sprintf("%-10s %9d %7d %7.0f %6.1f%% %9s %9s %9s %8d %8d %9d %6.2f",
		c.name, m.ages.total, m.expired, float64(peak)/m.every.Seconds(), 100*float64(m.reused)/float64(max(m.reused+m.dialled, 1)),
		short(m.ages.quantile(0.5)), short(m.ages.quantile(0.99)), short(m.ages.most), m.tooMany, m.tooFast, m.putOff,
		float64(m.transactions)/float64(max(m.done, 1)))
}

const header = "policy     delivered expired  peak/s  reuse  age 50 %  age 99 %   oldest too many too fast   put off tr/msg"

// short gives a duration with three digits or so.
func short(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return d.Round(time.Minute).String()
}
