package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// againstPostfix is the same work for the engine of a mail server: messages from
// files to one server, 20 at a time, which is what Postfix does by default.
func againstPostfix() experiment {
	const atOnce = 20
	return experiment{part: "postfix", name: "1 KiB", rounds: 3, setup: func(h *hall) (*contest, error) {
		n := h.count(2000)
		t := trial{letter: letterTo(1, 1<<10), messages: n, senders: []sender{
			crowd{goroutines: atOnce, sessions: atOnce, content: freshFile}.sender("Client.Deliver, from files"),
			crowd{goroutines: atOnce, sessions: atOnce, content: fresh}.sender("Client.Deliver"),
		}}
		c, err := t.setup(h)
		if err != nil {
			return c, err
		}
		p, err := startPostfix(h.sink)
		if err != nil {
			return c, err
		}
		c.atEnd(p.stop)
		c.add("Postfix smtp(8)", func() (figures, error) { return p.turn(n, t.letter) })
		return c, nil
	}}
}

// everyProcess is the CPU of the queue manager and the others, too.
const everyProcess = "cpu of all"

// postfix is a private instance that sends all it has to the sink.
type postfix struct {
	*process
	dir, addr string
}

func startPostfix(to *sink) (*postfix, error) {
	master, err := postfixProgram("master")
	if err != nil {
		return nil, err
	}
	if os.Getuid() != 0 {
		return nil, fmt.Errorf("%w: only root can start Postfix", errMissing)
	}
	dir, err := os.MkdirTemp("/tmp", "pf") // names of sockets are short
	if err != nil {
		return nil, err
	}
	p := &postfix{dir: dir}
	if p.addr, err = freeAddr(); err == nil {
		err = p.configure(filepath.Dir(master), to.addr)
	}
	if err == nil {
		_, err = p.command("postfix", "check") // makes the directories of the queue
	}
	if err == nil {
		p.process, err = keep(master, "-c", dir)
	}
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	if err := waitUntil("Postfix", func() error { return greets(p.addr) }); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

func (p *postfix) stop() {
	p.process.stop()
	os.RemoveAll(p.dir)
}

func (p *postfix) command(name string, args ...string) (string, error) {
	path, err := postfixProgram(name)
	if err != nil {
		return "", err
	}
	out, err := exec.Command(path, append([]string{"-c", p.dir}, args...)...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return string(out), err
}

func (p *postfix) configure(daemons, to string) error {
	owner, err := user.Lookup("postfix")
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return err
	}
	host, port, _ := strings.Cut(to, ":")
	words := strings.NewReplacer("DIR", p.dir, "DAEMONS", daemons, "LISTEN", p.addr, "RELAY", "["+host+"]:"+port)
	return errors.Join(
		os.Chmod(p.dir, 0o755),
		os.Mkdir(filepath.Join(p.dir, "queue"), 0o755),
		os.Mkdir(filepath.Join(p.dir, "data"), 0o755),
		os.Chown(filepath.Join(p.dir, "data"), uid, -1),
		os.WriteFile(filepath.Join(p.dir, "main.cf"), []byte(words.Replace(mainCF)), 0o644),
		os.WriteFile(filepath.Join(p.dir, "master.cf"), []byte(words.Replace(masterCF)), 0o644),
	)
}

// Messages are put on hold as they come. No process ends for having done enough:
// what it used would be gone with it. What concerns delivery is as Postfix has it.
const mainCF = `compatibility_level = 3.6
queue_directory = DIR/queue
data_directory = DIR/data
daemon_directory = DAEMONS
maillog_file = DIR/maillog
maillog_file_prefixes = DIR
mail_owner = postfix
setgid_group = postdrop
multi_instance_enable = no
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = postfix.example
mynetworks = 127.0.0.0/8
mydestination =
alias_maps =
relayhost = RELAY
smtpd_peername_lookup = no
smtpd_client_restrictions = check_client_access static:HOLD
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
in_flow_delay = 0
max_use = 1000000
max_idle = 1h
queue_minfree = 0
`

const masterCF = `LISTEN inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
`

// turn fills the queue, and measures how it is emptied.
func (p *postfix) turn(n int, l *letter) (figures, error) {
	if err := (source{path: "/usr/sbin/smtp-source", addr: p.addr, sessions: 10}).stream(n, l); err != nil {
		return nil, err
	}
	if _, err := p.command("postsuper", "-H", "ALL"); err != nil {
		return nil, err
	}
	if left := p.queued(); left != n {
		return nil, fmt.Errorf("%d messages are in the queue, and not %d", left, n)
	}
	before, err := p.used()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if _, err := p.command("postqueue", "-f"); err != nil {
		return nil, err
	}
	err = waitUntil("an empty queue", func() error {
		if left := p.queued(); left > 0 {
			return fmt.Errorf("%d messages are left", left)
		}
		return nil
	})
	wall := time.Since(start)
	if err != nil {
		return nil, err
	}
	after, err := p.used()
	each := func(which string) float64 { return micros(after[which]-before[which]) / float64(n) }
	return figures{rate: float64(n) / wall.Seconds(), cpu: each("smtp"), everyProcess: each("")}, err
}

// queued counts the messages that are anywhere in the queue.
func (p *postfix) queued() (n int) {
	for _, queue := range []string{"hold", "incoming", "active", "deferred"} {
		filepath.WalkDir(filepath.Join(p.dir, "queue", queue), func(_ string, e fs.DirEntry, err error) error {
			if err == nil && e.Type().IsRegular() {
				n++
			}
			return nil // files go while we look
		})
	}
	return n
}

// used is the CPU time of the instance's processes, by program; "" is all of them.
func (p *postfix) used() (map[string]time.Duration, error) {
	text, err := os.ReadFile(filepath.Join(p.dir, "queue/pid/master.pid"))
	if err != nil {
		return nil, err
	}
	master := strings.TrimSpace(string(text))
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	sum := map[string]time.Duration{}
	for _, path := range stats {
		name, parent, err := parentOf(path)
		if err != nil || parent != master && filepath.Base(filepath.Dir(path)) != master {
			continue // it is gone, or none of ours
		}
		ran, err := onCPU(filepath.Join(filepath.Dir(path), "schedstat"))
		if err != nil {
			return nil, err
		}
		sum[name] += ran
		sum[""] += ran
	}
	return sum, nil
}

// parentOf reads the name and the parent of a process: "4711 (smtp) S 1234 ...".
func parentOf(path string) (name, parent string, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", "", err
	}
	_, rest, _ := strings.Cut(string(text), "(")
	name, rest, _ = strings.Cut(rest, ") ")
	if fields := strings.Fields(rest); len(fields) > 1 {
		return name, fields[1], nil
	}
	return "", "", fmt.Errorf("%s: %q", path, text)
}

// onCPU is the time that a process with one thread ran, to the nanosecond.
func onCPU(path string) (time.Duration, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), " ")
	ns, err := strconv.ParseInt(first, 10, 64)
	return time.Duration(ns), err
}
