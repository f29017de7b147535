package trial

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// number reads a setting of the long form.
func number(t *testing.T, name string, usual int) int {
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestSimulation is a trial in memory and fake time. The settings that it prints repeat
// it; the long form is run by internal/reliability/run.
func TestSimulation(t *testing.T) {
	messages, seed := number(t, "POSTRIDER_MESSAGES", 10_000), number(t, "POSTRIDER_SEED", 1)
	f := simulate(t, messages, seed)
	if f.Messages != messages {
		t.Errorf("%d of %d messages were sent", f.Messages, messages)
	}
	if sum := f.Delivered + f.Deferred + f.Failed + f.Unknown; sum != f.Recipients {
		t.Errorf("%d recipients, %d verdicts", f.Recipients, sum)
	}
	if f.Violations > 0 {
		t.Errorf("%d violations, among them\n%s", f.Violations, strings.Join(f.Examples, "\n"))
	}
	for what, n := range map[string]int{"delivered": f.Delivered, "deferred": f.Deferred, "failed": f.Failed, "unknown": f.Unknown, "arrived though unknown": f.UnknownTaken} {
		if n == 0 {
			t.Errorf("not one was %s: the town is too peaceful", what)
		}
	}
}

// TestSimulationRepeats plays a trial twice: every verdict and every copy is the same.
func TestSimulationRepeats(t *testing.T) {
	first, again, other := simulate(t, 1000, 5), simulate(t, 1000, 5), simulate(t, 1000, 6)
	if first.Digest != again.Digest {
		t.Errorf("the same seed gave %+v, then %+v", first, again)
	}
	if first.Digest == other.Digest {
		t.Error("another seed gave the same")
	}
}

func simulate(t *testing.T, messages, seed int) (f Figures) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		trial := Trial{Seed: uint64(seed), Messages: messages, Rounds: max(2, messages/5000), Senders: 120, Beat: 10 * time.Second}
		start := time.Now()
		var err error
		if f, err = trial.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Logf("POSTRIDER_SEED=%d POSTRIDER_MESSAGES=%d: %v of simulated time, %v; longest call %v", seed, messages, time.Since(start).Round(time.Second), f, trial.Longest())
		if longest := trial.Longest(); longest > trial.longestCall() {
			t.Errorf("a call took %v", longest) // invariant 8
		}
	})
	return f
}
