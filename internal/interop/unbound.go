package interop

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Unbound is a private resolver that knows the zone example.test, cannot reach
// the servers of broken.test, and asks nobody for any other name.
type Unbound struct {
	*process
	Addr string // "127.0.0.1:20053"
}

// StartUnbound starts a resolver. An error that wraps ErrMissing says what to
// install.
func StartUnbound() (*Unbound, error) {
	program, err := find("unbound", "unbound")
	if err != nil {
		return nil, err
	}
	port, err := FreePort("127.0.0.1")
	if err != nil {
		return nil, err
	}
	dir, err := newDir("ub")
	if err != nil {
		return nil, err
	}
	conf := strings.NewReplacer("DIR", dir, "PORT", fmt.Sprint(port)).Replace(unboundConf)
	if err := writeFiles(dir, map[string]string{"unbound.conf": conf, "example.test.zone": zoneText()}); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return runUnbound(program, dir, port)
}

// runUnbound starts a resolver with the files in dir and waits until it answers.
func runUnbound(program, dir string, port uint16) (u *Unbound, err error) {
	u = &Unbound{Addr: hostPort("127.0.0.1", port)}
	u.process, err = start(dir, filepath.Join(dir, "unbound.log"), program, "-d", "-c", filepath.Join(dir, "unbound.conf"))
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	if err := u.waitUntil("unbound", u.answers); err != nil {
		u.Stop()
		return nil, err
	}
	return u, nil
}

// answers waits for any reply at all, by TCP, where a closed port shows at once.
func (u *Unbound) answers() error {
	conn, err := net.DialTimeout("tcp", u.Addr, time.Second)
	if err != nil {
		return err
	}
	return conn.Close()
}

func writeFiles(dir string, files map[string]string) error {
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("writing the configuration: %w", err)
		}
	}
	return nil
}

// All other names are answered with NXDOMAIN, and nothing is sent to the root
// servers, by the static zone of the root.
const unboundConf = `server:
  interface: 127.0.0.1
  port: PORT
  do-ip6: no
  username: ""
  chroot: ""
  directory: "DIR"
  pidfile: "DIR/unbound.pid"
  logfile: "DIR/unbound.log"
  use-syslog: no
  num-threads: 1
  module-config: "iterator"
  local-zone: "." static
  local-zone: "example.test." transparent
  local-zone: "broken.test." transparent
remote-control:
  control-enable: no
auth-zone:
  name: "example.test"
  zonefile: "DIR/example.test.zone"
  for-upstream: yes
  for-downstream: yes
  fallback-enabled: no
forward-zone:
  name: "broken.test"
  forward-addr: 127.0.0.1@1
`
