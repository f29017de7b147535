package smtpclient_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// stdinOut is the standard input and output of this process.
type stdinOut struct {
	io.Reader
	io.Writer
}

func (stdinOut) Close() error { return errors.Join(os.Stdin.Close(), os.Stdout.Close()) }

// TestHelperProgram is no test: other tests start the test binary with it as a
// program.
func TestHelperProgram(t *testing.T) {
	role := os.Getenv("POSTRIDER_TEST_PROGRAM")
	if role == "" {
		return
	}
	server := &smtptest.Server{Profile: smtptest.Profile{Echo: role == "echo"}}
	server.Script = func(c smtptest.Command) smtptest.Action {
		if c.Verb == smtptest.EndOfData {
			fmt.Fprintf(os.Stderr, "%q %s, %d violations\n", c.Message.To, c.Message.With, len(server.Violations()))
		}
		if role == "deaf" {
			return smtptest.Action{Fault: smtptest.Stall}
		}
		return smtptest.Action{}
	}
	if err := server.ServeConn(stdinOut{os.Stdin, os.Stdout}); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(0) // standard output is closed
}

// program is this test binary in a role, and the file that it reports to.
func program(t *testing.T, role string) (*smtpclient.Program, *os.File) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	report, err := os.CreateTemp(t.TempDir(), "report")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { report.Close() })
	return &smtpclient.Program{
		Args:   []string{self, "-test.run=^TestHelperProgram$"},
		Env:    append(os.Environ(), "POSTRIDER_TEST_PROGRAM="+role),
		Stderr: report,
	}, report
}

func told(t *testing.T, report *os.File) string {
	t.Helper()
	text, err := os.ReadFile(report.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A program on standard input and output is a server like another. Its arguments
// say nothing of a message, and it is gone when the session is closed.
func TestProgram(t *testing.T) {
	sendmail, report := program(t, "sendmail")
	client := smtpclient.Client{LocalName: "client.example.org", NextHops: []string{"unix:/sendmail"}, Dialer: &smtpclient.Dialer{DialContext: sendmail.DialContext}}
	result, err := client.Deliver(t.Context(), fromAnn("bob@example.net", "`reboot`@example.net", "-oQ/tmp@example.net"), smtpclient.Bytes([]byte(hello)))
	if err != nil {
		t.Fatal(err)
	}
	if o := result.Outcomes[0]; o.Status != smtpclient.Delivered {
		t.Errorf("%+v", o)
	}
	want := `["bob@example.net" "` + "`reboot`" + `@example.net" "-oQ/tmp@example.net"] ESMTPS, 0 violations` + "\n"
	if got := told(t, report); got != want {
		t.Errorf("the program says %q, want %q", got, want)
	}
}

// Lines that the program echoes are passed over where that was asked for, and end
// the session elsewhere, at once.
func TestProgramEchoes(t *testing.T) {
	for _, tolerant := range []bool{true, false} {
		t.Run(fmt.Sprint(tolerant), func(t *testing.T) {
			sendmail, _ := program(t, "echo")
			sendmail.Echoes = tolerant
			d := &smtpclient.Dialer{LocalName: "client.example.org", DialContext: sendmail.DialContext}
			s, err := d.Dial(t.Context(), smtpclient.Target{Addr: "unix:sendmail", Policy: tlspolicy.Policy{Level: tlspolicy.None}})
			if !tolerant {
				if err == nil || !strings.Contains(err.Error(), "protocol error") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			report, err := s.Send(t.Context(), fromAnn("bob@example.net", "carol@example.net"), smtpclient.Bytes([]byte(hello)))
			if err != nil {
				t.Error(err)
			}
			expect(t, report, "bob@example.net delivered data-done 2.0.0", "carol@example.net delivered data-done 2.0.0")
			if err := s.Quit(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A program that does not answer is given up when its time is over, and ended.
func TestProgramThatIsDeaf(t *testing.T) {
	sendmail, report := program(t, "deaf")
	d := &smtpclient.Dialer{DialContext: sendmail.DialContext, Timeouts: smtpclient.Timeouts{Greeting: 50 * time.Millisecond}}
	_, err := d.Dial(t.Context(), smtpclient.Target{Addr: "unix:sendmail"})
	var e *smtpclient.Error
	if !errors.As(err, &e) || e.Stage != smtpclient.StageGreeting || !e.Timeout() {
		t.Errorf("got %v", err)
	}
	if got := told(t, report); got != "" {
		t.Errorf("it came to its end: %q", got)
	}
}

func TestProgramThatIsNone(t *testing.T) {
	for _, args := range [][]string{nil, {""}, {"/nonexistent/sendmail", "-bs"}} {
		d := &smtpclient.Dialer{DialContext: (&smtpclient.Program{Args: args}).DialContext}
		_, err := d.Dial(t.Context(), smtpclient.Target{Addr: "unix:sendmail"})
		var e *smtpclient.Error
		if !errors.As(err, &e) || e.Stage != smtpclient.StageConnect || e.Status != smtpclient.Deferred {
			t.Errorf("%q: %v", args, err)
		}
	}
}
