package postrider

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/postrider/postrider/"

// mayImport says which packages of this module a package may import, directly
// or through others. It is the table of ARCHITECTURE.md; whoever adds a package
// has to say here where it stands.
var mayImport = map[string][]string{
	"internal/wire":      {"internal/ascii"},
	"internal/address":   {"internal/ascii"},
	"internal/ascii":     {},
	"internal/enum":      {},
	"internal/content":   {},
	"internal/mechanism": {},
	"internal/hasty":     {"internal/ascii", "cache"},                                                         // a cache in a hurry
	"internal/eavesdrop": {"internal/", "cache", "resolve", "tlspolicy", "smtpclient"},                        // for tests
	"internal/oracle":    {"internal/", "cache", "resolve", "tlspolicy", "smtpclient", "smtpclient/smtptest"}, // for tests
	"cache":              {"internal/"},
	"resolve":            {"internal/", "cache"},
	"tlspolicy":          {"internal/", "cache", "resolve"},
	"smtpclient":         {"internal/", "cache", "resolve", "tlspolicy"},
	"smtpclient/classes": {"internal/", "cache", "resolve", "tlspolicy", "smtpclient"},
	"lmtp":               {"internal/", "cache", "resolve", "tlspolicy", "smtpclient"},

	// Test servers share no code with what they test.
	"smtpclient/smtptest":    {},
	"resolve/dnstest":        {},
	"cache/cachetest":        {"internal/ascii", "cache"},
	"smtpclient/limitertest": {"internal/", "cache", "resolve", "tlspolicy", "smtpclient"},
	"resolve/resolvetest":    {"internal/", "cache", "resolve", "resolve/dnstest"},

	// These try the library from outside.
	"internal/picture":             {}, // for README.md
	"internal/newcomer":            {}, // tests only
	"internal/reliability/mutants": {},
	"internal/reliability/cuts":    {}, // tests only
	"internal/reliability/model":   {},
	"internal/reliability/trial":   {"internal/", "cache", "resolve", "tlspolicy", "smtpclient", "resolve/dnstest", "smtpclient/smtptest"},
	"internal/reliability/soak":    {"internal/", "cache", "resolve", "tlspolicy", "smtpclient", "resolve/dnstest", "smtpclient/smtptest"},

	"examples/quickstart":          {"internal/", "cache", "resolve", "tlspolicy", "smtpclient", "lmtp", "resolve/dnstest", "smtpclient/smtptest"},
	"examples/submit":              {"internal/", "cache", "resolve", "tlspolicy", "smtpclient", "lmtp", "resolve/dnstest", "smtpclient/smtptest"},
	"examples/send":                {"internal/", "cache", "resolve", "tlspolicy", "smtpclient", "resolve/dnstest", "smtpclient/smtptest"},
	"examples/smarthost":           {"internal/", "cache", "resolve", "tlspolicy", "smtpclient", "smtpclient/smtptest"},
	"examples/lmtp":                {"internal/", "cache", "resolve", "tlspolicy", "smtpclient", "lmtp", "smtpclient/smtptest"},
	"examples/dsn-bounce":          {"internal/", "cache", "resolve", "tlspolicy", "smtpclient", "smtpclient/smtptest"},
	"examples/custom-resolver":     {"internal/", "cache", "resolve", "tlspolicy", "smtpclient", "resolve/dnstest", "smtpclient/smtptest"},
	"examples/custom-cache":        {"internal/", "cache", "resolve", "tlspolicy", "smtpclient", "resolve/dnstest", "smtpclient/smtptest"},
	"examples/socks-and-sources":   {"internal/", "cache", "resolve", "tlspolicy", "smtpclient", "smtpclient/smtptest"},
	"examples/list-server":         {"internal/", "cache", "resolve", "tlspolicy", "smtpclient", "smtpclient/smtptest"},
	"examples/testing-your-sender": {"internal/", "cache", "resolve", "tlspolicy", "smtpclient", "smtpclient/smtptest"},
	"examples/sendmail":            {"internal/", "cache", "resolve", "tlspolicy", "smtpclient", "smtpclient/classes", "lmtp", "smtpclient/smtptest"},
	"examples/deliver":             {"internal/", "cache", "resolve", "tlspolicy", "smtpclient", "lmtp"},
	"examples/tlsprobe":            {"internal/", "cache", "resolve", "tlspolicy", "smtpclient"},
}

// mayUse are the modules that the core depends on, with the packages that import
// them directly. Each has its line in ARCHITECTURE.md.
var mayUse = map[string][]string{
	"github.com/miekg/dns":        {"resolve", "resolve/dnstest"},
	"golang.org/x/net":            {"internal/address", "smtpclient"},
	"github.com/emersion/go-sasl": {"internal/mechanism", "smtpclient"},
	"github.com/xdg-go/scram":     {"internal/mechanism"},
	"pgregory.net/rapid":          {}, // in tests only
}

func list(t *testing.T, format string, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-f", format}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	return strings.Fields(string(out))
}

func TestImportArrows(t *testing.T) {
	for _, path := range list(t, "{{.ImportPath}}", "./...") {
		pkg := strings.TrimPrefix(path, module)
		if pkg+"/" == module { // this package of tests
			continue
		}
		allowed, ok := mayImport[pkg]
		if !ok {
			t.Errorf("package %s has no place in the table of arrows", pkg)
			continue
		}
		for _, dep := range list(t, `{{join .Deps "\n"}}`, path) {
			dep, ours := strings.CutPrefix(dep, module)
			if ours && !slices.ContainsFunc(allowed, func(a string) bool { return a == dep || strings.HasSuffix(a, "/") && strings.HasPrefix(dep, a) }) {
				t.Errorf("package %s must not import %s", pkg, dep)
			}
		}
	}
}

func TestDependencies(t *testing.T) {
	for _, path := range list(t, "{{.ImportPath}}", "./...") {
		pkg := strings.TrimPrefix(path, module)
		for _, imp := range list(t, `{{join .Imports "\n"}}`, path) {
			first, _, _ := strings.Cut(imp, "/")
			if strings.HasPrefix(imp, module) || !strings.Contains(first, ".") {
				continue // ours, or the standard library
			}
			if !slices.ContainsFunc(usersOf(imp), func(user string) bool { return user == pkg }) {
				t.Errorf("package %s must not import %s", pkg, imp)
			}
		}
	}
}

func usersOf(imp string) []string {
	for dep, users := range mayUse {
		if imp == dep || strings.HasPrefix(imp, dep+"/") {
			return users
		}
	}
	return nil
}
