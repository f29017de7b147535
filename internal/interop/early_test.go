package interop

import (
	"bytes"
	"io"
	"sync/atomic"
	"testing"

	"github.com/postrider/postrider/smtpclient"
)

// A server that has lost patience says so in the middle of the content and closes.
// The message is at no server then: it is Deferred, not Unknown, by the server's
// last words where they can be read. Exim says them in plaintext, also where TLS
// was spoken.
func TestRefusalInTheMiddleOfTheContent(t *testing.T) {
	plaintext, inTLS := channels()[0], channels()[2]
	for _, c := range []struct {
		name    string
		start   func(t *testing.T) impatient
		channel channel
		code    int
	}{
		{"Postfix", impatientPostfix, plaintext, 421},
		{"Postfix, TLS", impatientPostfix, inTLS, 421},
		{"Exim", impatientExim, plaintext, 421},
		{"Exim, TLS", impatientExim, inTLS, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.start(t)
			content := &halting{content: body("halting", bulk(10<<20)), halt: s.ends}
			env := envelope(s.NewMailbox("example.test"))
			o := deliverTo(t, c.channel.client(s, s.door), env, content).Outcomes[0]
			if o.Status != smtpclient.Deferred || o.Stage != smtpclient.StageDataBlock || o.Reply.Code != c.code {
				t.Errorf("got %v at %v, %v; want deferred at data-block, by reply %d", o.Status, o.Stage, o.Err(), c.code)
			}
		})
	}
}

// impatient is a server that ends a session in which nothing comes.
type impatient struct {
	server
	door string
	ends func() error // waits until it has ended one
}

func impatientPostfix(t *testing.T) impatient {
	p := ownPostfix(t, PostfixSettings{Main: "smtpd_timeout = 1s\n"})
	return impatient{p, PostfixFull, func() error {
		_, err := p.WaitForLog("postfix/smtpd[", "]: disconnect from ", "data=0/1")
		return err
	}}
}

func impatientExim(t *testing.T) impatient {
	e := ownExim(t, EximSettings{Main: "smtp_receive_timeout = 1s"})
	return impatient{e, EximFull, func() error {
		_, err := e.WaitForLog("SMTP data timeout")
		return err
	}}
}

// halting is a content that stops in its middle, when it is opened to be sent.
type halting struct {
	content []byte
	halt    func() error
	opened  atomic.Int64
}

func (h *halting) Size() int64 { return int64(len(h.content)) }

func (h *halting) Open() (io.ReadCloser, error) {
	if h.opened.Add(1) == 1 { // for the scan
		return io.NopCloser(bytes.NewReader(h.content)), nil
	}
	const middle = 200_000 // far more is left than fits into the buffers on the way
	return io.NopCloser(io.MultiReader(bytes.NewReader(h.content[:middle]), pause(h.halt), bytes.NewReader(h.content[middle:]))), nil
}

// pause is a reader of nothing that takes its time.
type pause func() error

func (p pause) Read([]byte) (int, error) {
	if err := p(); err != nil {
		return 0, err
	}
	return 0, io.EOF
}
