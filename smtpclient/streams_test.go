package smtpclient_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// closing counts the streams that were opened and closed.
type closing struct {
	text         string
	opens, close int
	end          error // after the text, from the second stream on
}

type closingStream struct {
	io.Reader
	c *closing
}

func (s closingStream) Close() error { s.c.close++; return errors.New("closing fails") }

func (c *closing) Open() (io.ReadCloser, error) {
	c.opens++
	var r io.Reader = strings.NewReader(c.text)
	if c.opens > 1 && c.end != nil {
		r = io.MultiReader(r, failing{c.end})
	}
	return closingStream{r, c}, nil
}

func (c *closing) Size() int64 { return -1 }

// Every stream of a Content is closed, whatever happened to it.
func TestContentIsClosed(t *testing.T) {
	disk := errors.New("disk on fire")
	for name, tt := range map[string]struct {
		content *closing
		script  func(smtptest.Command) action
		opens   int
	}{
		"delivered":     {&closing{text: hello}, nil, 2},
		"refused":       {&closing{text: hello}, on("MAIL", action{Reply: "550 5.7.1 no"}), 2},
		"fails midway":  {&closing{text: hello, end: disk}, nil, 2},
		"NUL":           {&closing{text: "a\x00b"}, nil, 1},
		"two hosts":     {&closing{text: hello}, onRcpt("bob", "450 4.2.1 wait"), 3},
		"lost at a dot": {&closing{text: hello}, on(smtptest.EndOfData, action{Fault: smtptest.Drop}), 2},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.unruly = true
				w.mx(10, &smtptest.Server{Script: tt.script})
				w.mx(20, &smtptest.Server{})
				w.client.Deliver(t.Context(), fromAnn("bob@example.net"), tt.content)
				if tt.content.opens != tt.opens || tt.content.close != tt.opens {
					t.Errorf("%d streams were opened and %d closed, want %d", tt.content.opens, tt.content.close, tt.opens)
				}
			})
		})
	}
}

// lateContent opens once for the scan; after that Open does as told.
type lateContent struct {
	opened bool
	open   func() (io.ReadCloser, error)
}

func (c *lateContent) Size() int64 { return -1 }
func (c *lateContent) Open() (io.ReadCloser, error) {
	if c.opened {
		return c.open()
	}
	c.opened = true
	return io.NopCloser(strings.NewReader(hello)), nil
}

// A content that cannot be opened again is a fault of the content, found before
// MAIL; no other host is bothered with it.
func TestContentThatCannotBeOpenedAgain(t *testing.T) {
	disk := errors.New("disk on fire")
	for name, open := range map[string]func() (io.ReadCloser, error){
		"error":      func() (io.ReadCloser, error) { return nil, disk },
		"nil reader": func() (io.ReadCloser, error) { return nil, nil },
	} {
		inWorld(t, func(t *testing.T, w *world) {
			mx := w.mx(10, &smtptest.Server{})
			mx20 := w.mx(20, &smtptest.Server{})
			report, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), &lateContent{open: open})
			checkError(t, report, err)
			expect(t, report, "bob@example.net deferred input 4.3.0")
			if name == "error" && !errors.Is(err, disk) {
				t.Errorf("error %v does not wrap the content's", err)
			}
			w.settle()
			if lines := strings.Join(clientLines(mx, 0), " "); strings.Contains(lines, "MAIL") || mx20.Sessions() != 0 {
				t.Errorf("%s: the client said %q, and dialled the next host %d times", name, lines, mx20.Sessions())
			}
		})
	}
}

// The time that a Content takes to open is not the server's.
func TestSlowOpen(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{})
		w.client.Dialer.Timeouts.Mail = 5 * time.Second
		report, _ := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), &lateContent{open: func() (io.ReadCloser, error) {
			time.Sleep(time.Minute)
			return io.NopCloser(strings.NewReader(hello)), nil
		}})
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		if took := report.Outcomes[0].Times[smtpclient.StageMail]; took >= time.Minute {
			t.Errorf("MAIL is said to have taken %v", took)
		}
	})
}
