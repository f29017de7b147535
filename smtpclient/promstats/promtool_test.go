package promstats_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// promtool runs Prometheus's own checker. Debian has it in package prometheus; in CI
// it has to be there.
func promtool(t *testing.T, stdin []byte, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("POSTRIDER_CI") == "1" {
			t.Fatal("promtool is missing: install Debian's package prometheus")
		}
		t.Skip("promtool is missing: install Debian's package prometheus")
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil || bytes.Contains(out, []byte("FAILED")) {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// Names, types and helps follow Prometheus's conventions.
func TestMetricsByPromtool(t *testing.T) { promtool(t, exposition(t), "check", "metrics") }

// The alert rules are right, and fire when they should.
func TestAlertsByPromtool(t *testing.T) {
	promtool(t, nil, "check", "rules", "alerts.yml")
	promtool(t, nil, "test", "rules", "alerts_test.yml")
}

// expressions are those of the dashboard.
func expressions(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Title  string
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, p := range dashboard.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			found = append(found, target.Expr)
		}
	}
	if len(found) < 10 {
		t.Fatalf("%d expressions in the dashboard", len(found))
	}
	return found
}

// The expressions of the dashboard are PromQL: as rules they pass.
func TestDashboardByPromtool(t *testing.T) {
	rules := "groups:\n  - name: dashboard\n    rules:\n"
	for i, expr := range expressions(t) {
		expr = strings.NewReplacer("$__rate_interval", "5m", "$__range", "6h", "$job", ".*", "$instance", ".*").Replace(expr)
		rules += fmt.Sprintf("      - record: panel:%d\n        expr: |\n          %s\n", i, expr)
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, nil, "check", "rules", file)
}

var (
	metricName = regexp.MustCompile(`postrider_[a-z_]+`)
	selector   = regexp.MustCompile(`(postrider_[a-z_]+)\{([^}]*)\}`)
	labelName  = regexp.MustCompile(`([a-z_]+)\s*(=~|!~|!=|=)`)
)

// Dashboard and alerts ask for what there is, and for no label that a metric does
// not have.
func TestNamesInUse(t *testing.T) {
	labels := make(map[string]string) // of each metric, as text
	for line := range strings.SplitSeq(string(exposition(t)), "\n") {
		if name := metricName.FindString(line); name != "" && !strings.HasPrefix(line, "#") {
			labels[name] += line
		}
	}
	alerts, err := os.ReadFile("alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(expressions(t), "\n") + "\n" + string(alerts)
	for _, name := range metricName.FindAllString(text, -1) {
		if labels[name] == "" {
			t.Errorf("there is no metric %s", name)
		}
	}
	for _, m := range selector.FindAllStringSubmatch(text, -1) {
		for _, label := range labelName.FindAllStringSubmatch(m[2], -1) {
			if l := label[1]; l != "job" && l != "instance" && !strings.Contains(labels[m[1]], l+`="`) {
				t.Errorf("%s has no label %s", m[1], l)
			}
		}
	}
}

// Each metric is in the package's documentation.
func TestMetricsAreDocumented(t *testing.T) {
	source, err := os.ReadFile("promstats.go")
	if err != nil {
		t.Fatal(err)
	}
	doc, _, _ := strings.Cut(string(source), "\npackage ")
	for line := range strings.SplitSeq(string(exposition(t)), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[1] != "TYPE" {
			continue
		}
		name := fields[2]
		if prefix, rest, _ := strings.Cut(strings.TrimPrefix(name, "postrider_"), "_"); !strings.Contains(doc, name) && !(strings.Contains(doc, "postrider_"+prefix) && strings.Contains(doc, " _"+rest)) {
			t.Errorf("%s is not documented", name)
		}
	}
}
