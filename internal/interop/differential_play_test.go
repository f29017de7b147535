package interop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// cast is the servers of a scenario for one of the two sides.
type cast struct {
	servers []*smtptest.Server
	addrs   []string
}

// nowhere is an address at which nothing listens.
const nowhere = "127.0.0.1:1"

// listenAll puts each host of a scenario at an address of its own.
func (s scenario) listenAll(t *testing.T, mode smtptest.Mode) *cast {
	t.Helper()
	hosts := s.hosts
	if hosts == nil {
		hosts = make([]host, 1)
	}
	c := &cast{}
	for i, h := range hosts {
		server := h.server(mode)
		t.Cleanup(func() { server.Close() })
		c.servers = append(c.servers, server)
		if h.off {
			c.addrs = append(c.addrs, nowhere)
			continue
		}
		addr, err := server.Listen("tcp", fmt.Sprintf("127.0.0.%d:0", i+2))
		if err != nil {
			t.Fatal(err)
		}
		c.addrs = append(c.addrs, addr.String())
	}
	return c
}

// settle waits until the servers have read all that the client has sent and have
// closed every connection, so that what they hold is final. The client must have
// ended before.
func (c *cast) settle(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	for {
		open, err := openConnections(c.addrs)
		if err != nil {
			t.Fatal(err)
		}
		if open == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d connections at %v do not end", open, c.addrs)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// openConnections counts those that a server at one of addrs has not closed. The
// states of the kernel are 01 for established and 08 for closed by the other end
// only.
func openConnections(addrs []string) (int, error) {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return 0, err
	}
	n := 0
	lines := bufio.NewScanner(bytes.NewReader(table))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 4 || f[3] != "01" && f[3] != "08" {
			continue
		}
		local, err := kernelAddr(f[1])
		if err != nil {
			return 0, err
		}
		if slices.Contains(addrs, local) {
			n++
		}
	}
	return n, lines.Err()
}

// kernelAddr reads "0200007F:1F90", which is 127.0.0.2:8080.
func kernelAddr(s string) (string, error) {
	b, err := hex.DecodeString(strings.Replace(s, ":", "", 1))
	if err != nil || len(b) != 6 {
		return "", fmt.Errorf("no address: %q", s)
	}
	ip := netip.AddrFrom4([4]byte{b[3], b[2], b[1], b[0]})
	return netip.AddrPortFrom(ip, uint16(b[4])<<8|uint16(b[5])).String(), nil
}

// buildDeliver makes the command line program from this checkout.
func buildDeliver(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "deliver")
	build := exec.Command("go", "build", "-o", program, "./examples/deliver")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building examples/deliver: %v\n%s", err, out)
	}
	return program
}

// playDeliver has the command line program live through a scenario.
func playDeliver(ctx context.Context, program string, s scenario, addrs []string) (map[string]Verdict, error) {
	args := []string{"-json", "-from", "ann@example.org", "-helo", "client.example.org", "-tls", s.level()}
	for _, stage := range []string{"connect", "greeting", "hello", "starttls", "auth", "mail", "rcpt", "data-init", "data-block", "data-done", "command", "quit"} {
		args = append(args, "-timeout", stage+"="+patience.String())
	}
	for _, address := range s.addresses() {
		args = append(args, "-to", address)
	}
	for _, addr := range addrs {
		args = append(args, "-nexthop", nextHop(addr))
	}
	user, password, loggedIn := strings.Cut(s.login, ":")
	if loggedIn {
		args = append(args, "-auth-user", user, "-auth-pass-env", "PLAYED_PASSWORD", "-auth-plaintext-ok")
	}
	cmd := exec.CommandContext(ctx, program, append(args, s.args...)...)
	cmd.Env = append(os.Environ(), "PLAYED_PASSWORD="+password)
	cmd.Stdin = bytes.NewReader(s.content())
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	var report struct {
		Recipients []struct {
			Address, Status, Enhanced, Text string
			Code                            int
		}
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return nil, fmt.Errorf("%w: %q\n%s", err, out, &problems)
	}
	verdicts := map[string]Verdict{}
	for _, r := range report.Recipients {
		verdicts[r.Address] = Verdict{Status: r.Status, Enhanced: r.Enhanced, Code: r.Code, Text: r.Text}
	}
	return verdicts, nil
}

// playSession does the same in LMTP, which the command line program cannot yet.
func playSession(ctx context.Context, s scenario, addr string) (map[string]Verdict, error) {
	d := &smtpclient.Dialer{LocalName: "client.example.org", Timeouts: smtpclient.Timeouts{
		Connect: patience, Greeting: patience, Hello: patience, StartTLS: patience, Mail: patience, Rcpt: patience,
		DataInit: patience, DataBlock: patience, DataDone: patience, Command: patience, Quit: patience,
	}}
	target := smtpclient.Target{Protocol: smtpclient.LMTP, Addr: addr, Policy: tlspolicy.Policy{Level: tlspolicy.May}}
	session, err := d.Dial(ctx, target)
	if failure := (*smtpclient.Error)(nil); errors.As(err, &failure) {
		verdicts := map[string]Verdict{}
		for _, address := range s.addresses() {
			verdicts[address] = ourVerdict(failure.Status, failure.Attempt)
		}
		return verdicts, nil
	}
	if err != nil {
		return nil, err
	}
	defer session.Close()
	report, _ := session.Send(ctx, envelope(s.addresses()...), smtpclient.Bytes(s.content()))
	verdicts := map[string]Verdict{}
	for _, o := range report.Outcomes {
		verdicts[o.Address] = ourVerdict(o.Status, *o.Attempt)
	}
	return verdicts, nil
}

func ourVerdict(status smtpclient.Status, a smtpclient.Attempt) Verdict {
	v := Verdict{Status: status.String(), Enhanced: a.Enhanced, Code: a.Reply.Code, Text: strings.Join(a.Reply.Lines, " ")}
	if a.Cause != nil {
		v.Text = a.Cause.Error()
	}
	return v
}
