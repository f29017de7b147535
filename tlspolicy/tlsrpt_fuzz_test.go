package tlspolicy

import (
	"math"
	"testing"
)

// However parts of counts are put together, no session is lost or counted twice: what
// finds no room is told, order does not matter, and what is stored comes back.
func FuzzMergedCounts(f *testing.F) {
	f.Add([]byte(`{"d":[{"t":"sts","d":"x","s":5,"f":[{"t":"a","l":"192.0.2.1","n":3}]}]}`), []byte(`{"d":[{"t":"sts","d":"x","s":1,"f":[{"t":"a","l":"192.0.2.1","n":3},{"t":"b","n":1}]}]}`), 1000)
	f.Add([]byte(`{"d":[{"t":"tlsa","l":["3 1 1 aa"],"s":9223372036854775807},{"t":"tlsa","s":9223372036854775807}]}`), []byte(`{"d":[{"t":"tlsa","l":["3 1 1 aa"],"s":1}]}`), -1)
	f.Add([]byte(`{"d":[{"t":"a","s":1},{"t":"a","d":"x","s":2},{"t":"a","s":3}]}`), []byte(`{"d":[{"f":[{"t":"x","n":1},{"t":"y","n":2}]}]}`), 0)
	f.Add([]byte(manyPolicies(40)), []byte(manyPolicies(50)), 1<<20)
	f.Fuzz(func(t *testing.T, a, b []byte, room int) {
		first, second := decodePart(a), decodePart(b)
		for name, x := range first {
			y := second[name]
			if y == nil {
				y = x
			}
			both, turned := mergedOf(x, y), mergedOf(y, x)
			want := plus(x.sessions(), y.sessions())
			if both.sessions() != want || turned.sessions() != want {
				t.Fatalf("%d and %d sessions are %d together, and %d the other way round", x.sessions(), y.sessions(), both.sessions(), turned.sessions())
			}
			checkSums(t, sums(both), sums(turned))
			checkTallyBounds(t, both)
			stored := decodePart(encodePart(map[string]*tally{name: both}))[name]
			if len(both.Policies) > 0 && (stored == nil || stored.sessions() != want) {
				t.Fatalf("%d sessions were stored, and %+v came back", want, stored)
			}
			checkMergeWithin(t, x, y, room)
		}
	})
}

func manyPolicies(n int) string {
	text := `{"d":[`
	for i := range n {
		text += `{"t":"sts","d":"` + string(rune('a'+i)) + `","s":1,"f":[{"t":"starttls-not-supported","n":2}]},`
	}
	return text + `{"t":"tlsa","s":1}]}`
}

func mergedOf(parts ...*tally) *tally {
	all := &tally{}
	for _, p := range parts {
		all.merge(p, func(int) bool { return true })
	}
	return all
}

// sums are successes and failures for each kind of policy.
func sums(t *tally) map[string][2]int64 {
	all := make(map[string][2]int64)
	for i := range t.Policies {
		p := &t.Policies[i]
		s := all[p.Type]
		all[p.Type] = [2]int64{plus(s[0], p.Successes), plus(s[1], p.failures())}
	}
	return all
}

func checkSums(t *testing.T, a, b map[string][2]int64) {
	t.Helper()
	for kind, s := range a {
		if len(a) != len(b) || b[kind] != s {
			t.Fatalf("in one order %v, in the other %v", a, b)
		}
	}
}

// checkTallyBounds: beyond the bound there is one policy of each kind without its
// particulars, and one failure of each type that reports know.
func checkTallyBounds(t *testing.T, all *tally) {
	t.Helper()
	if n := len(all.Policies); n > maxTallyPolicies+len(sums(all)) {
		t.Fatalf("%d policies", n)
	}
	for i := range all.Policies {
		if n := len(all.Policies[i].Details); n > maxTallyDetails+len(resultTypes) {
			t.Fatalf("%d kinds of failures", n)
		}
	}
}

// checkMergeWithin merges where there is little room.
func checkMergeWithin(t *testing.T, x, y *tally, room int) {
	t.Helper()
	all := mergedOf(x)
	before, left := all.cost(), room
	lost := all.merge(y, func(n int) bool {
		if n > left {
			return false
		}
		left -= n
		return true
	})
	if want := plus(x.sessions(), y.sessions()); want < math.MaxInt64 && plus(all.sessions(), lost) != want {
		t.Fatalf("of %d and %d sessions %d are there, and %d are said to be lost", x.sessions(), y.sessions(), all.sessions(), lost)
	}
	if grown := all.cost() - before; grown > max(room, 0) {
		t.Fatalf("it grew by %d, the room was %d", grown, room)
	}
}
