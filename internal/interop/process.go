package interop

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrMissing is wrapped where a server cannot be started on this machine because
// something has to be installed, or another user has to start it.
var ErrMissing = errors.New("real server missing")

// find looks for a program, first where the package puts it: there are other
// programs called master.
func find(program, debianPackage string) (string, error) {
	for _, dir := range append([]string{"/usr/lib/postfix/sbin", "/usr/sbin"}, filepath.SplitList(os.Getenv("PATH"))...) {
		path := filepath.Join(dir, program)
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: no program %s; install it, as with: apt-get install %s", ErrMissing, program, debianPackage)
}

// process is a server in the foreground with a directory of its own, below a
// shell that ends it and removes the directory as soon as its own standard input
// ends. That happens in Stop, and also when the test binary dies in any way.
type process struct {
	keeper *exec.Cmd
	stdin  io.Closer
	output string // what the server wrote to standard output and error
	log    string
	done   chan struct{} // closed when keeper has ended
}

// The server's own standard input is /dev/null, as for all that a shell starts
// in the background. A signal to the whole group of processes, as from the
// terminal, ends cat, and the shell goes on to clean up.
const keeperScript = `trap : HUP INT TERM
dir=$1; shift
"$@" >"$dir/output" 2>&1 &
server=$!
cat >/dev/null
kill "$server" 2>/dev/null
wait "$server"
rm -rf "$dir"`

// start runs a server that writes its files below dir. log is shown if the
// server fails.
func start(dir, log string, command ...string) (*process, error) {
	p := &process{output: filepath.Join(dir, "output"), log: log, done: make(chan struct{})}
	p.keeper = exec.Command("/bin/sh", append([]string{"-c", keeperScript, "keeper", dir}, command...)...)
	stdin, err := p.keeper.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.stdin = stdin
	if err := p.keeper.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.keeper.Wait()
		close(p.done)
	}()
	return p, nil
}

// Stop ends the server, removes its files, and returns when both is done.
func (p *process) Stop() {
	p.stdin.Close()
	<-p.done
}

// waitUntil asks until a server does what it should. It gives up after some minutes: a
// machine may be slow, and a Postfix that was killed leaves a message alone for one
// minute if a process of before still has it.
func (p *process) waitUntil(what string, ready func() error) error {
	deadline := time.Now().Add(3 * time.Minute)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waiting for %s: %w\n%s", what, err, p.logs())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// WaitForLog waits until the server's log has a line that holds each of the words,
// and gives the first such line.
func (p *process) WaitForLog(words ...string) (found string, err error) {
	err = p.waitUntil(fmt.Sprintf("a log line with %q", words), func() error {
		text, err := os.ReadFile(p.log)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasSuffix(line, "\n") && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
				found = line
				return nil
			}
		}
		return errors.New("there is none")
	})
	return found, err
}

// logs gives the end of what the server wrote, for error messages.
func (p *process) logs() string {
	var b strings.Builder
	for _, file := range []string{p.output, p.log} {
		if text, err := os.ReadFile(file); err == nil {
			fmt.Fprintf(&b, "the end of %s:\n%s\n", file, text[max(0, len(text)-4000):])
		}
	}
	return b.String()
}

// newDir makes a directory with a short name: Postfix's sockets lie deep below
// it, and the name of a socket has at most 107 bytes.
func newDir(server string) (string, error) {
	dir, err := os.MkdirTemp("/tmp", server)
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755) // the servers leave root and still read here
}

// FreePort finds a port below the range of outgoing connections, where no
// passing connection can take it, that is free on each of the addresses for TCP
// and UDP. It is given to nobody else before this process ends.
func FreePort(addrs ...string) (uint16, error) {
	var last error
	for port := uint16(20000 + os.Getpid()%5000); port < 32768; port++ {
		if last = claim(port); last != nil {
			continue
		}
		if last = tryPort(port, addrs); last == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port below 32768 on %v: %w", addrs, last)
}

// claim takes a port by a name that all tests on this machine know, in the abstract
// namespace of Unix sockets, until the process ends: a port is free for a while before
// its server is up, and whenever that is started anew.
func claim(port uint16) error {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: fmt.Sprintf("@postrider-interop-%d", port)}); err != nil {
		syscall.Close(fd)
		return err
	}
	return nil // and nobody closes fd
}

// freePorts finds ports of 127.0.0.1 that differ from each other.
func freePorts(n int) ([]uint16, error) {
	var ports []uint16
	for len(ports) < n {
		port, err := FreePort("127.0.0.1")
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

func tryPort(port uint16, addrs []string) error {
	for _, addr := range addrs {
		tcp, err := net.Listen("tcp", hostPort(addr, port))
		if err != nil {
			return err
		}
		defer tcp.Close()
		udp, err := net.ListenPacket("udp", hostPort(addr, port))
		if err != nil {
			return err
		}
		defer udp.Close()
	}
	return nil
}

func hostPort(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// killWithin kills all processes that have dir for their root as if the machine
// had lost its power: all stand still before the first one dies. One that lives on
// would take the death of another for something else: OpenSMTPD's mail.maildir
// stores what it has of a message when the pipe from the daemon ends.
func killWithin(dir string) error {
	told := map[int]bool{}
	for running := true; running; {
		pids, err := processesWithin(dir)
		if err != nil {
			return err
		}
		running = false
		for _, pid := range pids {
			switch state := processState(pid); {
			case state == "T" || state == "": // stopped, gone
			case state == "D" && told[pid]: // waits in the kernel, and stops before it runs again
			default:
				running, told[pid] = true, true // it may have made others since they were counted
				if err := signalTo(pid, syscall.SIGSTOP); err != nil {
					return err
				}
			}
		}
	}
	pids, err := processesWithin(dir)
	for _, pid := range pids {
		err = errors.Join(err, signalTo(pid, syscall.SIGKILL))
	}
	return err
}

// processesWithin gives the processes that have dir for their root.
func processesWithin(dir string) ([]int, error) {
	roots, err := filepath.Glob("/proc/[0-9]*/root")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, root := range roots {
		if to, err := os.Readlink(root); err != nil || to != dir {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(root)))
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// processState gives the letter that stands for the state of a process in
// /proc/PID/stat, behind its name; nothing if it is gone.
func processState(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, behind, _ := strings.Cut(string(stat), ") ")
	state, _, _ := strings.Cut(behind, " ")
	return state
}

// signalTo sends a signal to a process, which may be gone.
func signalTo(pid int, signal syscall.Signal) error {
	if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	return nil
}
