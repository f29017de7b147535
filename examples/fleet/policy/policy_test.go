package policy

import (
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
)

func TestBackoff(t *testing.T) {
	for _, c := range []struct {
		b      Backoff
		tries  int
		random float64
		want   time.Duration
	}{
		{Backoff{}, 1, 0, 5 * time.Minute},
		{Backoff{}, 1, 1, 4 * time.Minute},
		{Backoff{}, 3, 0, 20 * time.Minute},
		{Backoff{}, 1000, 0, 4 * time.Hour},
		{Backoff{First: time.Second, Max: 3 * time.Second, Jitter: -1}, 2, 1, 2 * time.Second},
		{Backoff{First: time.Second, Max: 3 * time.Second, Jitter: 0.5}, 3, 0.5, 2250 * time.Millisecond},
	} {
		if got := c.b.After(c.tries, c.random); got != c.want {
			t.Errorf("%+v after %d: %v, want %v", c.b, c.tries, got, c.want)
		}
	}
}

// Those who are refused come at the pace of the site, each site by itself.
func TestLine(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	var l Line
	if got := l.Next("a", at(10), at(0)); got != at(10) {
		t.Errorf("where nothing is known of the pace: %v", got)
	}
	for i := range 200 {
		l.Done("a", at(20+2*float64(i)))
	}
	now := at(1000)
	first, second := l.Next("a", at(1010), now), l.Next("a", at(1010), now)
	if d := first.Sub(at(1010)); d < 1900*time.Millisecond || d > 2*time.Second || second.Sub(first) != d {
		t.Errorf("one every two seconds: %v, then %v later", d, second.Sub(first))
	}
	if got := l.Next("b", at(900), now); got != now {
		t.Errorf("another site, and a time that is over: %v", got)
	}
	l.Naive = true
	if got := l.Next("a", at(1010), now); got != at(1010) {
		t.Errorf("naive: %v", got)
	}
}

func TestLimits(t *testing.T) {
	l := Limits{PerSecond: 7}
	if got := l.Rules(smtpclient.Use{Connection: true, Site: "a"}); len(got) != 1 || got[0].Max != 20 || got[0].Key != "a" || got[0].Per != 0 {
		t.Errorf("connection: %+v", got)
	}
	if got := l.Rules(smtpclient.Use{Site: "a"}); len(got) != 1 || got[0].Max != 7 || got[0].Per != time.Second {
		t.Errorf("transaction: %+v", got)
	}
	if got := (Limits{}).Rules(smtpclient.Use{Site: "a"}); got != nil {
		t.Errorf("no rate: %+v", got)
	}
}
