package smtpclient_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// convoy sends messages through one session, all at once, each with a recipient and
// a content of its own; both ends are compared at its end.
type convoy struct {
	w      *world
	server *smtptest.Server
	pool   *smtpclient.Pool

	mu      sync.Mutex
	reports map[int]smtpclient.Report
	texts   map[int]string // of messages that do not have their usual one
	named   bool           // the verdict on a message says whose it is
	wg      sync.WaitGroup
}

// inConvoy runs a test with a server and a pool of one session.
func inConvoy(t *testing.T, server *smtptest.Server, test func(t *testing.T, c *convoy)) {
	t.Helper()
	inWorld(t, func(t *testing.T, w *world) {
		c := &convoy{w: w, server: server, pool: &smtpclient.Pool{Total: 1, MaxUses: -1}, reports: map[int]smtpclient.Report{}}
		w.client.Pool = c.pool
		w.mx(10, server)
		test(t, c)
		c.wg.Wait()
		if err := c.pool.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
		if s := c.pool.Stats(); s.Idle != 0 || s.InUse != 0 || s.Waiting != 0 {
			t.Errorf("after Close: %+v", s)
		}
		w.settle()
		c.check()
	})
}

func addressOf(n int) string { return fmt.Sprintf("box%d@example.net", n) }

func textOf(n int) string {
	return fmt.Sprintf("Subject: %d\r\n\r\n%s\r\n", n, strings.Repeat("x", n%900))
}

// send sends message n, whose content may be another one's, and comes back when it
// waits or is on its way.
func (c *convoy) send(ctx context.Context, n int, content smtpclient.Content, to ...string) {
	if content == nil {
		content = smtpclient.Bytes([]byte(textOf(n)))
	}
	env := fromAnn(append([]string{addressOf(n)}, to...)...)
	c.wg.Go(func() {
		report, err := c.w.client.Deliver(ctx, env, content)
		checkError(c.w.t, report, err)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.reports[n] = report
	})
	synctest.Wait()
}

// check holds what the server has against the reports: invariants 1 to 4.
func (c *convoy) check() {
	t := c.w.t
	t.Helper()
	sure, maybe := map[string]int{}, map[string]int{}
	for _, m := range c.server.Messages() {
		for i, to := range m.To {
			var n int
			fmt.Sscanf(to, "box%d@", &n)
			want := textOf(n)
			if c.texts[n] != "" {
				want = c.texts[n]
			}
			if strings.HasPrefix(to, "box") && string(m.Data) != want {
				t.Errorf("%s got the message of another one: %.60q", to, m.Data)
			}
			switch reply := m.Replies[min(i, len(m.Replies)-1)]; {
			case reply == "":
				maybe[to]++
			case reply[0] == '2':
				sure[to]++
			}
		}
	}
	for n, report := range c.reports {
		o := report.Outcomes[0]
		if text := o.Reply.String(); c.named && o.Status == smtpclient.Delivered && !strings.HasSuffix(text, " for "+addressOf(n)) {
			t.Errorf("message %d was delivered by a reply to something else: %s", n, text)
		}
		switch took := sure[o.Address]; {
		case o.Status == smtpclient.Delivered && took != 1,
			o.Status == smtpclient.Unknown && took > 1,
			(o.Status == smtpclient.Deferred || o.Status == smtpclient.Failed) && took+maybe[o.Address] != 0:
			t.Errorf("message %d is %v, and the server accepted it %d times, and perhaps %d times: %v", n, o.Status, took, maybe[o.Address], o.Err())
		}
	}
}

// expect compares what became of messages: d(elivered), D(eferred), f(ailed),
// u(nknown), in the order of their numbers.
func (c *convoy) expect(want string) {
	c.w.t.Helper()
	c.wg.Wait()
	var got []byte
	for n := range len(c.reports) {
		got = append(got, map[smtpclient.Status]byte{
			smtpclient.Delivered: 'd', smtpclient.Deferred: 'D', smtpclient.Failed: 'f', smtpclient.Unknown: 'u',
		}[c.reports[n].Outcomes[0].Status])
	}
	if string(got) != want {
		c.w.t.Errorf("got %s, want %s", got, want)
		for n := range len(c.reports) {
			c.w.t.Logf("%d: %v", n, c.reports[n].Outcomes[0].Err())
		}
	}
}

// at has the server do something at a command of message n, by its recipient.
func at(verb string, n int, do smtptest.Action) func(smtptest.Command) smtptest.Action {
	open := -1 // message whose transaction is open
	return func(c smtptest.Command) smtptest.Action {
		if c.Verb == "MAIL" {
			open++
		}
		if c.Verb == verb && open == n {
			return do
		}
		return smtptest.Action{}
	}
}

// A stream of messages costs one round trip each (RFC 2920, Section 3.1).
func TestOverlapRoundTrips(t *testing.T) {
	const trip = 100 * time.Millisecond
	for name, tt := range map[string]struct {
		quirks smtpclient.Quirks
		mode   smtptest.Mode
		offers []string
		most   float64
		least  float64
	}{
		"overlapped":         {smtpclient.Quirks{}, smtptest.SMTP, nil, 1.05, 1},
		"off":                {smtpclient.Quirks{NoOverlap: true}, smtptest.SMTP, nil, 2.1, 2},
		"no pipelining":      {smtpclient.Quirks{Discard: []string{"PIPELINING"}}, smtptest.SMTP, nil, 4.1, 4},
		"grouped":            {smtpclient.Quirks{Chunking: smtpclient.ChunkingGrouped}, smtptest.SMTP, nil, 0.2, 0.1},
		"BDAT after replies": {smtpclient.Quirks{Chunking: smtpclient.ChunkingAfter}, smtptest.SMTP, nil, 2.1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			inConvoy(t, &smtptest.Server{Wire: smtptest.Wire{Delay: trip / 2, Window: 1 << 16}}, func(t *testing.T, c *convoy) {
				c.w.client.Dialer.Quirks = func(smtpclient.Target) smtpclient.Quirks { return tt.quirks }
				const cold = 5 // connection, greeting, EHLO, STARTTLS, and more
				start := time.Now()
				for n := range 100 {
					c.send(t.Context(), n, nil)
				}
				c.wg.Wait()
				trips := float64(time.Since(start))/float64(trip)/100 - float64(cold)/100
				if trips > tt.most || trips < tt.least-0.05 {
					t.Errorf("%.2f round trips each, want %.2f to %.2f", trips, tt.least, tt.most)
				}
				c.expect(strings.Repeat("d", 100))
				if n := c.server.Sessions(); n != 1 {
					t.Errorf("%d sessions, want 1", n)
				}
			})
		})
	}
}

// What the server says to one delivery is that one's alone.
func TestOverlapVerdicts(t *testing.T) {
	for name, tt := range map[string]struct {
		script func(smtptest.Command) smtptest.Action
		want   string
	}{
		"all fine":               {nil, "dddd"},
		"MAIL refused":           {at("MAIL", 1, smtptest.Action{Reply: "550 5.7.1 not you"}), "dfdd"},
		"MAIL deferred":          {at("MAIL", 2, smtptest.Action{Reply: "450 4.7.1 later"}), "ddDd"},
		"recipient refused":      {at("RCPT", 1, smtptest.Action{Reply: "550 5.1.1 unknown"}), "dfdd"},
		"DATA refused":           {at("DATA", 1, smtptest.Action{Reply: "451 4.3.0 later"}), "dDdd"},
		"content refused":        {at(smtptest.EndOfData, 1, smtptest.Action{Reply: "554 5.6.0 no"}), "dfdd"},
		"the first's is refused": {at(smtptest.EndOfData, 0, smtptest.Action{Reply: "554 5.6.0 no"}), "fddd"},
		"the last is refused":    {at(smtptest.EndOfData, 3, smtptest.Action{Reply: "451 4.6.0 no"}), "dddD"},
		"lost at the dot":        {at(smtptest.EndOfData, 1, smtptest.Action{Fault: smtptest.Drop}), "dudd"},
		"421 at the dot":         {at(smtptest.EndOfData, 1, smtptest.Action{Reply: "421 4.3.2 down"}), "dDdd"},
		"garbage at the dot":     {at(smtptest.EndOfData, 1, smtptest.Action{Fault: smtptest.Garbage}), "dudd"},
		"two replies to the dot": {at(smtptest.EndOfData, 1, smtptest.Action{Fault: smtptest.Twice}), "dd??"},
		"lost at MAIL":           {at("MAIL", 1, smtptest.Action{Fault: smtptest.Drop}), "dddd"},
		"421 at MAIL":            {at("MAIL", 1, smtptest.Action{Reply: "421 4.3.2 down"}), "dddd"},
		"lost at DATA":           {at("DATA", 1, smtptest.Action{Fault: smtptest.Drop}), "dDdd"},
	} {
		t.Run(name, func(t *testing.T) {
			inConvoy(t, &smtptest.Server{Script: tt.script, Wire: smtptest.Wire{Delay: time.Millisecond}}, func(t *testing.T, c *convoy) {
				c.w.unruly = strings.Contains(name, "two replies")
				for n := range 4 {
					c.send(t.Context(), n, nil)
				}
				if !strings.Contains(tt.want, "?") {
					c.expect(tt.want)
				}
			})
		})
	}
}

// slowEnd has the server think for a minute about the end of message n.
func slowEnd(n int) func(smtptest.Command) smtptest.Action {
	return at(smtptest.EndOfData, n, smtptest.Action{Delay: time.Minute})
}

// Whoever gives up while the envelope of the next is written leaves the other one
// alone: the owner is Unknown and the next goes elsewhere; or the next is Deferred,
// and the owner has its verdict, after which the session is closed.
func TestOverlapGivingUp(t *testing.T) {
	for name, tt := range map[string]struct {
		who      int
		want     string
		sessions int
	}{
		"the owner":       {0, "uddd", 2},
		"the next":        {1, "dDdd", 2},
		"one that waits":  {3, "dddD", 1},
		"the one invited": {2, "ddDd", 1},
	} {
		t.Run(name, func(t *testing.T) {
			server := &smtptest.Server{Script: slowEnd(0)}
			inConvoy(t, server, func(t *testing.T, c *convoy) {
				c.w.unruly = true // a connection closed within a transaction
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				// The end of message 0 goes out when all others wait.
				gate := &gated{Content: smtpclient.Bytes([]byte(textOf(0))), open: make(chan struct{})}
				for n := range 4 {
					with, content := t.Context(), smtpclient.Content(nil)
					if n == tt.who {
						with = ctx
					}
					if n == 0 {
						content = gate
					}
					c.send(with, n, content)
				}
				close(gate.open)
				synctest.Wait() // message 0 waits for its reply
				if n := strings.Count(dialogueOf(server, 0), "MAIL FROM"); n != 2 {
					t.Fatalf("%d envelopes are written, want that of 0 and 1", n)
				}
				start := time.Now()
				cancel()
				synctest.Wait()
				c.mu.Lock()
				if _, ok := c.reports[tt.who]; !ok || time.Since(start) != 0 {
					t.Errorf("message %d did not return at once", tt.who)
				}
				c.mu.Unlock()
				c.expect(tt.want)
				if n := server.Sessions(); n != tt.sessions {
					t.Errorf("%d sessions, want %d", n, tt.sessions)
				}
			})
		})
	}
}

// gated is content that can be read once its gate is open.
type gated struct {
	smtpclient.Content
	open chan struct{}
	fail error // in place of its end, when it is sent
	once bool
}

func (g *gated) Open() (io.ReadCloser, error) {
	r, err := g.Content.Open()
	if !g.once {
		g.once = true // the scan
		return r, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(gateReader{g}, r), r}, err
}

type gateReader struct{ g *gated }

func (r gateReader) Read([]byte) (int, error) {
	if r.g.open != nil {
		<-r.g.open
	}
	if r.g.fail != nil {
		return 0, r.g.fail
	}
	return 0, io.EOF
}

// Content that fails breaks the session before its end: the others go elsewhere.
func TestOverlapContentFails(t *testing.T) {
	for who, want := range []string{"Dddd", "dDdd", "ddDd", "dddD"} {
		t.Run(fmt.Sprint(who), func(t *testing.T) {
			inConvoy(t, &smtptest.Server{Wire: smtptest.Wire{Delay: time.Millisecond}}, func(t *testing.T, c *convoy) {
				c.w.unruly = true
				for n := range 4 {
					var content smtpclient.Content
					if n == who {
						content = &gated{Content: smtpclient.Bytes([]byte(textOf(n))), fail: errors.New("the disk is gone")}
					}
					c.send(t.Context(), n, content)
				}
				c.expect(want)
			})
		})
	}
}

// The bounds on transactions count those whose envelopes are written ahead.
func TestOverlapKeepsBounds(t *testing.T) {
	for name, tt := range map[string]struct {
		uses   int
		offers []string
	}{
		"MaxUses": {3, nil},
		"MAILMAX": {-1, []string{"PIPELINING", "LIMITS MAILMAX=3"}},
	} {
		t.Run(name, func(t *testing.T) {
			inConvoy(t, &smtptest.Server{Extensions: tt.offers, Wire: smtptest.Wire{Delay: time.Millisecond}}, func(t *testing.T, c *convoy) {
				c.pool.MaxUses = tt.uses
				for n := range 10 {
					c.send(t.Context(), n, nil)
				}
				c.expect(strings.Repeat("d", 10))
				for i := range c.server.Sessions() {
					if n := strings.Count(dialogueOf(c.server, i), "MAIL FROM"); n > 3 {
						t.Errorf("session %d had %d transactions, want 3 at most", i, n)
					}
				}
			})
		})
	}
}

// A session that is too old takes nobody more, however many follow each other.
func TestOverlapKeepsMaxAge(t *testing.T) {
	for _, chunking := range []smtpclient.Chunking{smtpclient.ChunkingOff, smtpclient.ChunkingGrouped} {
		inConvoy(t, &smtptest.Server{Wire: smtptest.Wire{Delay: 50 * time.Millisecond, Window: 1 << 16}}, func(t *testing.T, c *convoy) {
			c.w.client.Dialer.Quirks = withQuirks(smtpclient.Quirks{Chunking: chunking})
			c.pool.MaxAge = time.Second
			for n := range 100 {
				c.send(t.Context(), n, nil)
			}
			c.expect(strings.Repeat("d", 100))
			// A message takes 100 ms, or an eighth of that, and a session a few times as long
			// before its first.
			if got, least := c.server.Sessions(), map[smtpclient.Chunking]int{smtpclient.ChunkingOff: 10, smtpclient.ChunkingGrouped: 2}[chunking]; got < least {
				t.Errorf("%d sessions, want %d at least", got, least)
			}
		})
	}
}

// Each report has the dialogue, the times and the notes of its own delivery.
func TestOverlapTellsOnesOwn(t *testing.T) {
	inConvoy(t, &smtptest.Server{Wire: smtptest.Wire{Delay: time.Second}}, func(t *testing.T, c *convoy) {
		c.w.client.Dialer.Transcript = smtpclient.TranscriptAll
		for n := range 5 {
			c.send(t.Context(), n, nil)
		}
		c.expect("ddddd")
		for n, report := range c.reports {
			o := report.Outcomes[0]
			text := strings.Join(o.Transcript, "\n")
			if strings.Count(text, "C: MAIL") != 1 || strings.Count(text, addressOf(n)) != 1 || strings.Count(text, "S: 250 ") < 3 {
				t.Errorf("message %d: dialogue\n%s", n, text)
			}
			if o.Reused != n {
				t.Errorf("message %d: reused %d", n, o.Reused)
			}
			if n > 0 && (o.Times[smtpclient.StagePool] == 0 || o.Times[smtpclient.StageConnect] != 0 || o.Times[smtpclient.StageDataBlock]+o.Times[smtpclient.StageDataDone] != 2*time.Second) {
				t.Errorf("message %d: times %v", n, o.Times)
			}
		}
	})
}

// Letters that are no envelope of one group, or that ask for something else than a
// delivery, are sent after the one before, and all the same.
func TestOverlapWaitsWhereItMust(t *testing.T) {
	inConvoy(t, &smtptest.Server{Wire: smtptest.Wire{Delay: time.Millisecond}}, func(t *testing.T, c *convoy) {
		var many []string
		for i := range 300 {
			many = append(many, fmt.Sprintf("another-recipient-%d@example.net", i))
		}
		c.w.client.Limits.Recipients = -1
		c.send(t.Context(), 0, nil)
		c.send(t.Context(), 1, nil, many...)
		c.send(t.Context(), 2, nil)
		c.expect("ddd")
		if !slices.ContainsFunc(c.server.Messages(), func(m smtptest.Message) bool { return len(m.To) == 301 }) {
			t.Error("the message to 301 recipients was split")
		}
	})
}

// Nothing is told to a trace that did not happen, and in order.
func TestOverlapTrace(t *testing.T) {
	inConvoy(t, &smtptest.Server{Wire: smtptest.Wire{Delay: time.Millisecond}}, func(t *testing.T, c *convoy) {
		var traces [4]bytes.Buffer
		for n := range traces {
			ctx := smtpclient.WithTrace(t.Context(), &smtpclient.Trace{Line: func(_ context.Context, line string) {
				fmt.Fprintln(&traces[n], line)
			}})
			c.send(ctx, n, nil)
		}
		c.expect("dddd")
		for n := range traces {
			text := traces[n].String()
			if i, j := strings.Index(text, "C: MAIL"), strings.Index(text, "S: 354"); i < 0 || j < i || strings.Count(text, "C: RCPT") != 1 || strings.Count(text, "C: .") != 1 {
				t.Errorf("message %d:\n%s", n, text)
			}
		}
	})
}

// slowAgain is content whose opening takes long, but for the first time, when it is
// scanned.
type slowAgain struct {
	text   string
	opened int
}

func (c *slowAgain) Open() (io.ReadCloser, error) {
	if c.opened++; c.opened > 1 {
		time.Sleep(10 * time.Second)
	}
	return io.NopCloser(strings.NewReader(c.text)), nil
}

func (c *slowAgain) Size() int64 { return int64(len(c.text)) }

// Who takes long to make his envelope ready is passed by others who are.
func TestOverlapPassesTheSlow(t *testing.T) {
	inConvoy(t, &smtptest.Server{Wire: smtptest.Wire{Delay: roundTrip / 2, Window: 1 << 16}}, func(t *testing.T, c *convoy) {
		start := time.Now()
		c.send(t.Context(), 0, nil)
		c.send(t.Context(), 1, &slowAgain{text: textOf(1)})
		for n := range 6 {
			c.send(t.Context(), 2+n, nil)
		}
		c.wg.Wait()
		for n := range 6 {
			if took := c.reports[2+n].Outcomes[0].At.Sub(start); took > 15*roundTrip {
				t.Errorf("message %d took %v", 2+n, took)
			}
		}
		c.expect("dddddddd")
	})
}
