package interop

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Knot is a private authoritative name server, which does no recursion.
type Knot struct {
	*process
	Addr string // "127.0.0.1:20053"

	zones   []SignedZone
	anchors map[string]string // by Name
}

// StartKnot starts a server of these zones; those that are Lame it does not have.
// An error that wraps ErrMissing says what to install.
func StartKnot(zones []SignedZone) (*Knot, error) {
	program, err := find("knotd", "knot")
	if err != nil {
		return nil, err
	}
	port, err := FreePort("127.0.0.1")
	if err != nil {
		return nil, err
	}
	dir, err := newDir("kn")
	if err != nil {
		return nil, err
	}
	k := &Knot{Addr: hostPort("127.0.0.1", port), zones: zones, anchors: make(map[string]string)}
	if err := k.configure(dir, port); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	k.process, err = start(dir, filepath.Join(dir, "knot.log"), program, "-c", filepath.Join(dir, "knot.conf"))
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	if err := k.waitUntil("knotd", k.answers); err != nil {
		k.Stop()
		return nil, err
	}
	return k, nil
}

func (k *Knot) configure(dir string, port uint16) error {
	var conf strings.Builder
	conf.WriteString(strings.NewReplacer("DIR", dir, "PORT", fmt.Sprint(port)).Replace(knotConf))
	for _, z := range k.zones {
		anchor, err := z.write(dir)
		if err != nil {
			return err
		}
		k.anchors[z.Name] = anchor
		if z.State != Lame {
			fmt.Fprintf(&conf, "  - domain: %s\n    file: \"%s\"\n    semantic-checks: off\n    zonefile-sync: -1\n    journal-content: none\n", z.Name, z.zoneFile(dir))
		}
	}
	return writeFiles(dir, map[string]string{"knot.conf": conf.String()})
}

// answers looks whether all zones are there: a server that has begun to listen may
// not have read them yet, and says SERVFAIL.
func (k *Knot) answers() error {
	for _, z := range k.zones {
		if z.State == Lame {
			continue
		}
		conn, err := net.DialTimeout("udp", k.Addr, time.Second)
		if err != nil {
			return err
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(time.Second))
		answer, err := ask(conn, "udp", soaQuestion(z.Name))
		if err != nil {
			return err
		}
		if len(answer) < 12 || answer[3]&0x0f != 0 {
			return fmt.Errorf("no answer about %s: % x", z.Name, answer)
		}
	}
	return nil
}

// soaQuestion is a message that asks for the SOA record of a zone.
func soaQuestion(zone string) []byte {
	msg := []byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for label := range strings.SplitSeq(zone, ".") {
		msg = append(append(msg, byte(len(label))), label...)
	}
	return append(msg, 0, 0, 6, 0, 1)
}

// The zones go on from here.
const knotConf = `server:
    listen: 127.0.0.1@PORT
    rundir: "DIR"
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: "DIR/knot.log"
    any: info
database:
    storage: "DIR/db"
zone:
`
