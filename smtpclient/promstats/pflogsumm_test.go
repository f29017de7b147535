package promstats_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/promstats"
)

// pflogsumm reads a log and gives its grand totals. Debian has it in a package of
// its own; in CI it has to be there.
func pflogsumm(t *testing.T, log []byte) (totals map[string]int64, report string) {
	t.Helper()
	path, err := exec.LookPath("pflogsumm")
	if err != nil {
		if os.Getenv("POSTRIDER_CI") == "1" {
			t.Fatal("pflogsumm is missing: install Debian's package pflogsumm")
		}
		t.Skip("pflogsumm is missing: install Debian's package pflogsumm")
	}
	cmd := exec.Command(path)
	cmd.Stdin = bytes.NewReader(log)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("pflogsumm: %v\n%s", err, out)
	}
	totals = make(map[string]int64)
	for _, m := range regexp.MustCompile(`(?m)^ +(\d+)([km]?)\s+(delivered|forwarded|deferred|bounced|bytes delivered|recipients|recipient hosts/domains)(?: +\((\d+) +deferrals\))?`).FindAllStringSubmatch(string(out), -1) {
		if m[2] != "" {
			t.Fatalf("%s is rounded to %s%s: send less", m[3], m[1], m[2])
		}
		totals[m[3]], _ = strconv.ParseInt(m[1], 10, 64)
		if m[4] != "" {
			totals["deferrals"], _ = strconv.ParseInt(m[4], 10, 64)
		}
	}
	return totals, string(out)
}

// An hour of mail with every outcome, in fake time: what pflogsumm makes of the log is
// what the counters of the core and of Prometheus say.
func TestPflogsumm(t *testing.T) {
	var log bytes.Buffer
	var stats smtpclient.Stats
	registry := prometheus.NewPedanticRegistry()
	deferred := make(map[int]bool) // messages with a recipient that is
	var perHour [2]int             // delivered in each half of the hour
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		defer w.close(t.Context())
		s := promstats.New(promstats.Options{})
		registry.MustRegister(s)
		ctx := smtpclient.WithTrace(smtpclient.WithTrace(t.Context(), stats.Trace()), s.Trace())
		ctx = smtpclient.WithTrace(ctx, (&smtpclient.PostfixLog{Writer: &log, Host: "mail"}).Trace())
		random := rand.New(rand.NewPCG(1, 2))
		start := time.Now()
		for i := range 600 {
			env := smtpclient.Envelope{From: fmt.Sprintf("ann%d@example.org", i%7), Arrival: time.Now().Add(-time.Duration(random.IntN(100)) * time.Second)}
			for range 1 + random.IntN(3) {
				env.To = append(env.To, smtpclient.Recipient{Address: everybody[random.IntN(len(everybody)-1)]})
			}
			if i%50 == 0 { // the message that breaks the connection goes alone
				env.To = []smtpclient.Recipient{{Address: "eve@example.net"}}
			}
			content := smtpclient.Bytes(fmt.Appendf(nil, "Subject: for %s\r\n\r\n%s\r\n", env.To[0].Address, bytes.Repeat([]byte("x"), random.IntN(300))))
			report, _ := w.client.Deliver(smtpclient.WithQueueID(ctx, fmt.Sprintf("%X", 0x3F9A2+i)), env, content)
			for _, o := range report.Outcomes {
				switch o.Status {
				case smtpclient.Deferred, smtpclient.Unknown:
					deferred[i] = true
				case smtpclient.Delivered:
					perHour[time.Since(start)/(30*time.Minute)]++
				}
			}
			time.Sleep(6*time.Second - time.Nanosecond)
		}
		if took := time.Since(start); took > time.Hour || took < 59*time.Minute {
			t.Errorf("the hour took %v", took)
		}
	})
	counts := stats.Counts()
	got, report := pflogsumm(t, log.Bytes())
	for name, want := range map[string]int64{
		"delivered":       counts.Of(smtpclient.Delivered),
		"bounced":         counts.Of(smtpclient.Failed),
		"deferrals":       counts.Of(smtpclient.Deferred) + counts.Of(smtpclient.Unknown),
		"deferred":        int64(len(deferred)),
		"forwarded":       0,
		"bytes delivered": counts.Bytes,
	} {
		if n, ok := got[name]; !ok || n != want || want == 0 && name != "forwarded" {
			t.Errorf("pflogsumm counts %d %s (%v), we %d", n, name, ok, want)
		}
	}
	if t.Failed() {
		t.Log(report)
	}
	measured, _ := samples(t, registry)
	for status := range smtpclient.Failed + 1 {
		sum := 0.0
		for name, value := range measured {
			if regexp.MustCompile(`^postrider_recipients_total\{.*outcome="` + status.String() + `"`).MatchString(name) {
				sum += value
			}
		}
		if int64(sum) != counts.Of(status) || sum == 0 {
			t.Errorf("Prometheus counts %v %v, the core %d", sum, status, counts.Of(status))
		}
	}
	if measured["postrider_delivered_bytes_total"] != float64(counts.Bytes) || perHour[0]+perHour[1] != int(counts.Of(smtpclient.Delivered)) {
		t.Errorf("%v bytes, and %v by the half hour", measured["postrider_delivered_bytes_total"], perHour)
	}
}
