//go:build unix

package observe

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient/smtptest"
)

// The test program is the sink, too: in a process of its own its CPU is not ours.
func TestMain(m *testing.M) {
	if os.Getenv("POSTRIDER_SINK") == "" {
		os.Exit(m.Run())
	}
	server := &smtptest.Server{}
	addr, err := server.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(addr)
	io.Copy(io.Discard, os.Stdin) // it ends with us
	os.Exit(0)
}

// startSink gives the address of a sink.
func startSink(t testing.TB) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "POSTRIDER_SINK=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); cmd.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal("the sink did not start: ", err)
	}
	return strings.TrimSpace(line)
}
