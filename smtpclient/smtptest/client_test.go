package smtptest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"testing"
)

// dialogist is a raw client: it sends lines and wants replies.
type dialogist struct {
	t    *testing.T
	conn net.Conn
	text *textproto.Conn
}

func dial(t *testing.T, s *Server) *dialogist {
	t.Helper()
	conn, err := s.DialContext(t.Context(), "tcp", "192.0.2.25:25")
	if err != nil {
		t.Fatal(err)
	}
	return &dialogist{t, conn, textproto.NewConn(conn)}
}

// send writes lines in one Write.
func (d *dialogist) send(lines ...string) {
	d.t.Helper()
	if _, err := io.WriteString(d.conn, strings.Join(lines, "\r\n")+"\r\n"); err != nil {
		d.t.Errorf("send %q: %v", lines, err)
	}
}

// want reads one reply for each code, as "250" or "550 5.1.1".
func (d *dialogist) want(codes ...string) {
	d.t.Helper()
	for _, want := range codes {
		if got := d.reply(); !strings.HasPrefix(got, want) {
			d.t.Errorf("reply %q, want %s", got, want)
		}
	}
}

// reply reads a reply and gives its last line.
func (d *dialogist) reply() string {
	for {
		line, err := d.text.ReadLine()
		if err != nil {
			return fmt.Sprintf("error %v", err)
		}
		if len(line) < 4 || line[3] != '-' {
			return line
		}
	}
}

// ask sends a line and wants a reply.
func (d *dialogist) ask(line, code string) {
	d.t.Helper()
	d.send(line)
	d.want(code)
}

// hello reads the greeting and says EHLO.
func (d *dialogist) hello() {
	d.t.Helper()
	d.want("220")
	d.ask("EHLO client.example", "250")
}

func (d *dialogist) wantEnd(want error) {
	d.t.Helper()
	if _, err := d.text.ReadLine(); !errors.Is(err, want) {
		d.t.Errorf("at the end: %v, want %v", err, want)
	}
}

func wantViolations(t *testing.T, s *Server, want ...string) {
	t.Helper()
	got := s.Violations()
	if len(got) != len(want) {
		t.Errorf("violations:\n\t%s\nwant:\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		return
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("violation %q, want %q", got[i], want[i])
		}
	}
}

func refuseRcpt(path, reply string) func(Command) Action {
	return func(c Command) Action {
		if c.Verb == "RCPT" && strings.HasPrefix(c.Args, "TO:<"+path+">") {
			return Action{Reply: reply}
		}
		return Action{}
	}
}

func at(verb string, a Action) func(Command) Action {
	return func(c Command) Action {
		if c.Verb == verb {
			return a
		}
		return Action{}
	}
}
