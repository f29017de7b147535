package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// alone runs a test in a network and a file system of its own, where 127.0.0.1 is
// all there is and /etc/resolv.conf names it: a program that has no other way to be
// told can then be given a resolver. The first call runs the test anew in there,
// with a subtest here for each of its own, and gives false; in there it gives true.
func alone(t *testing.T) bool {
	t.Helper()
	const inside = "POSTRIDER_ALONE"
	if os.Getenv(inside) == t.Name() {
		return true
	}
	if os.Getuid() != 0 {
		present(t, fmt.Errorf("%w: namespaces have to be made by root", ErrMissing))
	}
	unshare, err := find("unshare", "util-linux")
	present(t, err)
	_, err = find("ip", "iproute2")
	present(t, err)
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	// glibc takes the AD bit away without trust-ad.
	present(t, os.WriteFile(conf, []byte("nameserver 127.0.0.1\noptions trust-ad\n"), 0o644))
	cmd := exec.Command(unshare, "--mount", "--net", "/bin/sh", "-ec",
		`ip link set lo up; mount --bind "$1" /etc/resolv.conf; shift; exec "$@"`, "sh",
		conf, os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), inside+"="+t.Name())
	out, err := cmd.CombinedOutput()
	relay(t, string(out))
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

var resultLine = regexp.MustCompile(`(?m)^    --- (PASS|FAIL): [^/]+/(\S+) \(.*\n((?:        .*\n)*)`)

// relay makes subtests of those in the output of a test.
func relay(t *testing.T, out string) {
	t.Helper()
	results := resultLine.FindAllStringSubmatch(out, -1)
	if len(results) == 0 {
		t.Errorf("no subtest has run:\n%s", out)
	}
	for _, r := range results {
		t.Run(strings.ReplaceAll(r[2], "_", " "), func(t *testing.T) {
			if r[1] != "PASS" {
				t.Errorf("%s", r[3])
			}
		})
	}
}
