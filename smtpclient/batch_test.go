package smtpclient_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// fileConn reads a file, and keeps what is written.
type fileConn struct {
	io.Reader
	bytes.Buffer
}

func (c *fileConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }
func (c *fileConn) Close() error               { return nil }

// batch writes transactions, has a server read the file, and gives the reports.
func batch(t *testing.T, server *smtptest.Server, extensions []string, envs ...smtpclient.Envelope) (file string, reports []smtpclient.Report) {
	t.Helper()
	var out bytes.Buffer
	b, err := smtpclient.NewBatch(&out, "client.example.org", extensions...)
	if err != nil {
		t.Fatal(err)
	}
	for _, env := range envs {
		if err := b.Add(t.Context(), env, smtpclient.Bytes([]byte("Subject: x\n\n.x\n"))); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	file = out.String()
	conn := &fileConn{Reader: &out}
	if err := server.ServeConn(conn); err != nil {
		t.Fatal(err)
	}
	reports, err = b.Replies(t.Context(), &conn.Buffer)
	if err != nil {
		t.Fatal(err)
	}
	books := booksOf(t, server)
	for i, env := range envs {
		books.Hold(env, []byte("Subject: x\n\n.x\n"), func() (smtpclient.Report, error) { return reports[i], nil })
	}
	return file, reports
}

func refusing(path, reply string) func(smtptest.Command) smtptest.Action {
	return func(c smtptest.Command) smtptest.Action {
		if c.Verb == "RCPT" && strings.HasPrefix(c.Args, "TO:<"+path+">") || c.Verb == "MAIL" && strings.HasPrefix(c.Args, "FROM:<"+path+">") {
			return smtptest.Action{Reply: reply}
		}
		return smtptest.Action{}
	}
}

// The file is what a client would have said to a server that agrees.
func TestBatchFile(t *testing.T) {
	server := &smtptest.Server{Extensions: []string{}}
	defer server.Close()
	file, reports := batch(t, server, nil, fromAnn("bob@example.net"), fromAnn("carol@example.net", "dave@example.net"))
	want := "EHLO client.example.org\r\n" +
		"MAIL FROM:<ann@example.org>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\nSubject: x\r\n\r\n..x\r\n.\r\n" +
		"RSET\r\nMAIL FROM:<ann@example.org>\r\nRCPT TO:<carol@example.net>\r\nRCPT TO:<dave@example.net>\r\nDATA\r\nSubject: x\r\n\r\n..x\r\n.\r\nQUIT\r\n"
	if file != want {
		t.Errorf("got\n%swant\n%s", file, want)
	}
	expect(t, reports[0], "bob@example.net delivered data-done 2.0.0")
	expect(t, reports[1], "carol@example.net delivered data-done 2.0.0", "dave@example.net delivered data-done 2.0.0")
	if got := server.Messages(); len(got) != 2 || string(got[1].Data) != "Subject: x\r\n\r\n.x\r\n" {
		t.Errorf("the server got %+v", got)
	}
}

// Each recipient has his own verdict, and echoed lines are passed over.
func TestBatchVerdicts(t *testing.T) {
	server := &smtptest.Server{Extensions: []string{"CHUNKING"}, Profile: smtptest.Profile{Echo: true}, Script: refusing("bob@example.net", "550 5.1.1 no such user")}
	defer server.Close()
	_, reports := batch(t, server, []string{"CHUNKING", "PIPELINING"}, fromAnn("bob@example.net", "carol@example.net"), fromAnn("bob@example.net"), fromAnn("dave@example.net"))
	expect(t, reports[0], "bob@example.net failed rcpt 5.1.1", "carol@example.net delivered data-done 2.0.0")
	expect(t, reports[1], "bob@example.net failed rcpt 5.1.1")
	expect(t, reports[2], "dave@example.net delivered data-done 2.0.0")
}

// Behind a DATA that was refused no reply can be matched.
func TestBatchThatIsOutOfStep(t *testing.T) {
	server := &smtptest.Server{Extensions: []string{}, Script: refusing("bob@example.net", "450 4.2.1 later")}
	defer server.Close()
	_, reports := batch(t, server, nil, fromAnn("carol@example.net"), fromAnn("bob@example.net"), fromAnn("dave@example.net"))
	expect(t, reports[0], "carol@example.net delivered data-done 2.0.0")
	expect(t, reports[1], "bob@example.net deferred rcpt 4.2.1")
	expect(t, reports[2], "dave@example.net unknown mail 4.4.2")
}

// A server that ends early leaves the rest unknown: it may have read it all.
func TestBatchWithoutReplies(t *testing.T) {
	server := &smtptest.Server{Extensions: []string{}, Script: func(c smtptest.Command) smtptest.Action {
		if c.Verb == smtptest.EndOfData {
			return smtptest.Action{Fault: smtptest.Drop}
		}
		return smtptest.Action{}
	}}
	defer server.Close()
	_, reports := batch(t, server, nil, fromAnn("bob@example.net"), fromAnn("carol@example.net"))
	expect(t, reports[0], "bob@example.net unknown data-done 4.4.2")
	expect(t, reports[1], "carol@example.net unknown mail 4.4.2")
}

type fullDisk struct{ room int }

var errFull = errors.New("disk is full")

func (f *fullDisk) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// What cannot be written is an error, and so is all that would follow.
func TestBatchThatCannotBeWritten(t *testing.T) {
	b, err := smtpclient.NewBatch(&fullDisk{room: 100}, "client.example.org")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.Add(t.Context(), fromAnn("bob@example.net"), smtpclient.Bytes([]byte(hello))); !errors.Is(err, errFull) {
			t.Errorf("Add: %v", err)
		}
	}
	if _, err := smtpclient.NewBatch(io.Discard, "bad name"); err == nil {
		t.Error("a bad name passed")
	}
}

// A recipient that is no address never reaches the file; the others do.
func TestBatchInput(t *testing.T) {
	var out bytes.Buffer
	b, err := smtpclient.NewBatch(&out, "client.example.org")
	if err != nil {
		t.Fatal(err)
	}
	err = b.Add(t.Context(), fromAnn("bob@example.net\r\nDATA", "carol@example.net"), smtpclient.Bytes([]byte(hello)))
	var e *smtpclient.Error
	if !errors.As(err, &e) || e.Stage != smtpclient.StageInput {
		t.Errorf("got %v", err)
	}
	if got := out.String(); strings.Contains(got, "bob") || !strings.Contains(got, "RCPT TO:<carol@example.net>\r\n") {
		t.Errorf("wrote %q", got)
	}
}
