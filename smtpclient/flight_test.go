package smtpclient_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// flight is eight messages on their way at once: nothing of them is answered, and
// stays so for two seconds.
type flight struct {
	*convoy
	cancels map[int]context.CancelFunc
	traces  map[int]*smtpclient.Trace
}

func inFlight(t *testing.T, server *smtptest.Server, set func(f *flight), test func(t *testing.T, f *flight)) {
	t.Helper()
	server.Wire = smtptest.Wire{Delay: time.Second, Window: 1 << 16}
	inConvoy(t, server, func(t *testing.T, c *convoy) {
		f := &flight{convoy: c, cancels: map[int]context.CancelFunc{}, traces: map[int]*smtpclient.Trace{}}
		grouped(server, c)
		c.w.unruly = true // a chunk goes before its envelope can be refused
		if set != nil {
			set(f)
		}
		gate := &gated{Content: smtpclient.Bytes([]byte(textOf(0))), open: make(chan struct{})}
		for n := range 8 {
			ctx, cancel := context.WithCancel(smtpclient.WithTrace(t.Context(), f.traces[n]))
			defer cancel()
			f.cancels[n] = cancel
			if n == 0 {
				c.send(ctx, n, gate)
			} else {
				c.send(ctx, n, nil)
			}
		}
		time.Sleep(time.Minute) // until all wait for message 0
		close(gate.open)
		synctest.Wait()
		test(t, f)
	})
}

// What the server says to one message in a flight is that one's alone.
func TestFlightVerdicts(t *testing.T) {
	for name, tt := range map[string]struct {
		script func(smtptest.Command) smtptest.Action
		want   string
	}{
		"all fine":            {nil, "dddddddd"},
		"MAIL refused":        {at("MAIL", 3, smtptest.Action{Reply: "550 5.7.1 not you"}), "dddfdddd"},
		"MAIL deferred":       {at("MAIL", 1, smtptest.Action{Reply: "450 4.7.1 later"}), "dDdddddd"},
		"recipient refused":   {at("RCPT", 7, smtptest.Action{Reply: "550 5.1.1 unknown"}), "dddddddf"},
		"content refused":     {at(smtptest.EndOfData, 2, smtptest.Action{Reply: "554 5.6.0 no"}), "ddfddddd"},
		"RSET refused":        {at("RSET", 3, smtptest.Action{Reply: "500 5.5.2 what"}), "dddduuuu"},
		"lost at the chunk":   {at(smtptest.EndOfData, 2, smtptest.Action{Fault: smtptest.Drop}), "dduuuuuu"},
		"lost at MAIL":        {at("MAIL", 6, smtptest.Action{Fault: smtptest.Drop}), "dddddduu"},
		"421 to the chunk":    {at(smtptest.EndOfData, 4, smtptest.Action{Reply: "421 4.3.2 down"}), "ddddDuuu"},
		"garbage":             {at(smtptest.EndOfData, 4, smtptest.Action{Fault: smtptest.Garbage}), "dddduuuu"},
		"354 to the chunk":    {at(smtptest.EndOfData, 5, smtptest.Action{Reply: "354 go on"}), "ddddduuu"},
		"several lines":       {at(smtptest.EndOfData, 5, smtptest.Action{Reply: "250-2.0.0 fine\r\n250 2.0.0 indeed"}), "dddddddd"},
		"too many recipients": {at("RCPT", 5, smtptest.Action{Reply: "452 4.5.3 too many"}), "dddddDdd"},
	} {
		t.Run(name, func(t *testing.T) {
			inFlight(t, &smtptest.Server{Script: tt.script}, nil, func(t *testing.T, f *flight) { f.expect(tt.want) })
		})
	}
}

// Whoever gives up while his content is on its way is Unknown at once, and nobody else
// notices: one or several, before the replies come and while they do.
func TestFlightGivingUp(t *testing.T) {
	for _, who := range [][]int{{0}, {2}, {7}, {0, 1}, {0, 1, 2}, {2, 4, 6}, {6, 7}, {0, 1, 3, 4, 5, 6}, {1, 2, 3, 4, 5, 6, 7}} {
		for _, mode := range []smtptest.Mode{smtptest.SMTP, smtptest.LMTP} {
			for _, slow := range []int{-1, 0, who[0], 5} {
				for _, verb := range []string{"RCPT", smtptest.EndOfData} {
					t.Run(fmt.Sprint(mode, who, slow, verb), func(t *testing.T) { giveUpInFlight(t, who, mode, slow, verb) })
				}
			}
		}
	}
}

// giveUpInFlight has some give up, while the server thinks about a command of the
// message slow.
func giveUpInFlight(t *testing.T, who []int, mode smtptest.Mode, slow int, verb string) {
	want := []byte("dddddddd")
	inFlight(t, &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
		a := nameVerdict(c)
		if c.Verb == verb && (verb == "RCPT" && strings.Contains(c.Args, addressOf(slow)) || verb != "RCPT" && c.Message.To[0] == addressOf(slow)) {
			a.Delay = time.Minute
		}
		return a
	}}, func(f *flight) {
		if f.named = true; mode == smtptest.LMTP {
			overLMTP(f.server, f.convoy)
		}
	}, func(t *testing.T, f *flight) {
		if slow >= 0 {
			time.Sleep(10 * time.Second)
		}
		start := time.Now()
		for _, n := range who {
			f.cancels[n]()
			synctest.Wait()
			f.mu.Lock()
			report, ok := f.reports[n]
			f.mu.Unlock()
			if !ok || time.Since(start) != 0 {
				t.Fatalf("message %d did not return at once", n)
			}
			if slow < 0 || n >= slow {
				want[n] = 'u'
			}
			if o := report.Outcomes[0]; o.Addr == "" || o.TLS.Reached != tlspolicy.None || o.Stage < smtpclient.StageMail {
				t.Errorf("message %d: %+v", n, o)
			}
		}
		f.expect(string(want))
		if n := f.server.Sessions(); n != 1 {
			t.Errorf("%d sessions, want 1", n)
		}
	})
}

// What is owed to who has given up is his, whatever others send meanwhile: a message
// to many has other replies.
func TestFlightKeepsWhatWasGivenUp(t *testing.T) {
	inFlight(t, &smtptest.Server{Script: nameVerdict}, func(f *flight) { f.named = true }, func(t *testing.T, f *flight) {
		for n := 1; n < 7; n += 2 {
			f.cancels[n]()
			synctest.Wait()
			f.send(t.Context(), 8+n/2, nil, "carol@example.net", "dave@example.net", "erin@example.net")
		}
		f.expect("dududud" + "dddd")
		if n := f.server.Sessions(); n != 1 {
			t.Errorf("%d sessions, want 1", n)
		}
	})
}

// Each report of a flight has the dialogue and the times of its own, also of who reads
// the replies to others who have left.
func TestFlightTellsOnesOwn(t *testing.T) {
	var said [8]strings.Builder
	inFlight(t, &smtptest.Server{}, func(f *flight) {
		f.w.client.Dialer.Transcript = smtpclient.TranscriptAll
		for n := range said {
			f.traces[n] = &smtpclient.Trace{Line: func(_ context.Context, line string) { fmt.Fprintln(&said[n], line) }}
		}
	}, func(t *testing.T, f *flight) {
		f.cancels[0]()
		f.cancels[3]()
		f.expect("uddudddd")
		for n, report := range f.reports {
			o := report.Outcomes[0]
			if o.Status != smtpclient.Delivered {
				continue
			}
			text := strings.Join(o.Transcript, "\n")
			for what, text := range map[string]string{"report": text, "trace": said[n].String()} {
				if strings.Count(text, "C: MAIL") != 1 || strings.Count(text, addressOf(n)) != 1 || strings.Count(text, "S: 250 ") != 4 ||
					!strings.Contains(text, fmt.Sprintf("C: BDAT %d LAST\nC: <%d bytes>\n", len(textOf(n)), len(textOf(n)))) || strings.Contains(text, "Subject") {
					t.Errorf("message %d: dialogue in the %s\n%s", n, what, text)
				}
			}
			if o.Reused != n || o.Times[smtpclient.StagePool] == 0 || o.Times[smtpclient.StageConnect] != 0 ||
				o.Times[smtpclient.StageMail]+o.Times[smtpclient.StageRcpt]+o.Times[smtpclient.StageDataDone] != 0 {
				t.Errorf("message %d: reused %d, times %v", n, o.Reused, o.Times)
			}
		}
	})
}

// Uses count those on their way, by our bound and by the server's.
func TestFlightKeepsBounds(t *testing.T) {
	for name, tt := range map[string]struct {
		uses  int
		limit string
	}{"MaxUses": {5, "X-NOTHING"}, "MAILMAX": {-1, "LIMITS MAILMAX=5"}} {
		t.Run(name, func(t *testing.T) {
			server := &smtptest.Server{Wire: smtptest.Wire{Delay: time.Millisecond, Window: 1 << 16}}
			inConvoy(t, server, func(t *testing.T, c *convoy) {
				grouped(server, c)
				server.Extensions = append(server.Extensions, tt.limit)
				c.pool.MaxUses = tt.uses
				for n := range 30 {
					c.send(t.Context(), n, nil)
				}
				c.expect(strings.Repeat("d", 30))
				for i := range server.Sessions() {
					if n := strings.Count(dialogueOf(server, i), "MAIL FROM"); n > 5 {
						t.Errorf("session %d had %d transactions, want 5 at most", i, n)
					}
				}
				if n := server.Sessions(); n > 7 {
					t.Errorf("%d sessions", n)
				}
			})
		})
	}
}

// What is on its way at once is bounded in bytes and in number.
func TestFlightIsBounded(t *testing.T) {
	for size, want := range map[int]int{10: 8, 10_000: 3} {
		most, open := 0, 0
		server := &smtptest.Server{Wire: smtptest.Wire{Delay: time.Millisecond, Window: 1 << 17}}
		inConvoy(t, server, func(t *testing.T, c *convoy) {
			grouped(server, c)
			dial := c.w.client.Dialer.DialContext
			c.w.client.Dialer.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := dial(ctx, network, addr)
				return &passing{Conn: conn, wrote: func(p []byte) {
					open += bytes.Count(p, []byte("MAIL FROM:"))
					most = max(most, open)
				}, read: func(p []byte) { open -= bytes.Count(p, []byte(" for box")) }}, err
			}
			server.Script = nameVerdict
			c.texts = map[int]string{}
			for n := range 40 {
				c.texts[n] = longMessage(size)
				c.send(t.Context(), n, smtpclient.Bytes([]byte(c.texts[n])))
			}
			c.expect(strings.Repeat("d", 40))
		})
		if most != want {
			t.Errorf("%d messages of %d bytes were on their way at once, want %d", most, size, want)
		}
	}
}

// passing is a connection that tells what goes through it.
type passing struct {
	net.Conn
	wrote, read func(p []byte)
}

func (c *passing) Write(p []byte) (int, error) {
	c.wrote(p)
	return c.Conn.Write(p)
}

func (c *passing) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read(p[:n])
	return n, err
}

func (c *passing) Buffered() int { return c.Conn.(interface{ Buffered() int }).Buffered() }

// A message that cannot fly has its turn all the same, while others go on and on.
func TestFlightLetsOthersIn(t *testing.T) {
	server := &smtptest.Server{Wire: smtptest.Wire{Delay: 10 * time.Millisecond, Window: 1 << 17}, Script: func(c smtptest.Command) smtptest.Action {
		if c.Verb == smtptest.EndOfData { // the replies come one by one
			return smtptest.Action{Delay: 5 * time.Millisecond}
		}
		return smtptest.Action{}
	}}
	inConvoy(t, server, func(t *testing.T, c *convoy) {
		grouped(server, c)
		c.texts = map[int]string{3: longMessage(100_000)}
		for n := range 200 {
			if text := c.texts[n]; text != "" {
				c.send(t.Context(), n, smtpclient.Bytes([]byte(text)))
			} else {
				c.send(t.Context(), n, nil)
			}
		}
		c.expect(strings.Repeat("d", 200))
		i := slices.IndexFunc(server.Messages(), func(m smtptest.Message) bool { return m.To[0] == addressOf(3) })
		if i < 0 || i > 40 {
			t.Errorf("the message that has to wait is number %d, want it among the first 40", i)
		}
	})
}

// In LMTP a chunk for nobody may be refused, or have no reply: the next one, who is on
// his way already, gets his own replies in either case, also if it was given up.
func TestFlightForNobody(t *testing.T) {
	for name, reply := range nobody {
		for _, gone := range []bool{false, true} {
			t.Run(fmt.Sprint(name, gone), func(t *testing.T) {
				inFlight(t, &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
					if c.Verb == "RCPT" && (strings.Contains(c.Args, addressOf(2)) || strings.Contains(c.Args, addressOf(7))) {
						return smtptest.Action{Raw: []byte(reply)}
					}
					return nameVerdict(c)
				}}, func(f *flight) {
					f.named = true
					overLMTP(f.server, f.convoy)
				}, func(t *testing.T, f *flight) {
					want := "ddfddddf"
					if gone {
						f.cancels[2]()
						want = "dduddddf"
					}
					f.wg.Wait()
					f.send(t.Context(), 8, nil)
					f.expect(want + "d")
					if n := f.server.Sessions(); n != 1 {
						t.Errorf("%d sessions, want 1", n)
					}
				})
			})
		}
	}
}

// Recipients for whom it takes another transaction, because we or the server say so,
// get theirs behind all that are on their way.
func TestFlightManyRecipients(t *testing.T) {
	for name, most := range map[string]int{"ours": 1, "the server's": 0} {
		t.Run(name, func(t *testing.T) {
			server := &smtptest.Server{Wire: smtptest.Wire{Delay: 10 * time.Millisecond, Window: 1 << 16}}
			inConvoy(t, server, func(t *testing.T, c *convoy) {
				grouped(server, c)
				c.w.client.Limits.Recipients = most
				accepted := 0
				server.Script = func(cmd smtptest.Command) smtptest.Action {
					switch {
					case cmd.Verb == "MAIL":
						accepted = 0
					case cmd.Verb == "RCPT" && most == 0:
						if accepted++; accepted > 1 {
							return smtptest.Action{Reply: "452 4.5.3 too many"}
						}
					}
					return smtptest.Action{}
				}
				for n := range 16 {
					c.send(t.Context(), n, nil, fmt.Sprintf("second%d@example.net", n), fmt.Sprintf("third%d@example.net", n))
				}
				c.expect(strings.Repeat("d", 16))
				for n, report := range c.reports {
					for _, o := range report.Outcomes {
						if o.Status != smtpclient.Delivered {
							t.Errorf("message %d, %s: %v", n, o.Address, o.Err())
						}
					}
				}
				if n := len(server.Messages()); n != 48 {
					t.Errorf("%d messages, want one for each of 48 recipients", n)
				}
			})
		})
	}
}

// A write that fails midway, at each byte of what is written behind a flight, is the
// end for nobody: those who are on their way are answered, the others go elsewhere,
// and none goes twice.
func TestFlightWriteFails(t *testing.T) {
	for _, nth := range []int{3, 4, 6} { // EHLO, message 0, the flight, and those behind it
		for at, whole := 0, false; !whole; at += 11 {
			writes := 0
			server := &smtptest.Server{Script: nameVerdict, Wire: smtptest.Wire{Delay: 10 * time.Millisecond, Window: 1 << 16}}
			inConvoy(t, server, func(t *testing.T, c *convoy) {
				grouped(server, c)
				c.named, c.w.unruly = true, true
				dial := c.w.client.Dialer.DialContext
				c.w.client.Dialer.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					conn, err := dial(ctx, network, addr)
					if server.Sessions() > 1 {
						return conn, err
					}
					return &breaking{Conn: conn, write: func(p []byte) int {
						if writes++; writes < nth {
							return len(p)
						}
						whole = whole || writes == nth && at > len(p)
						if writes == nth {
							return min(at, len(p))
						}
						return 0
					}}, err
				}
				for n := range 20 {
					c.send(t.Context(), n, nil)
				}
				c.expect(strings.Repeat("d", 20))
			})
		}
	}
}

// breaking is a connection of which the writing half breaks.
type breaking struct {
	net.Conn
	write func(p []byte) int
}

func (c *breaking) Write(p []byte) (int, error) {
	n := c.write(p)
	if _, err := c.Conn.Write(p[:n]); err != nil || n == len(p) {
		return n, err
	}
	return n, errors.New("the wire is cut")
}

func (c *breaking) Buffered() int { return c.Conn.(interface{ Buffered() int }).Buffered() }

// Where the server falls silent the time is up once, for all who are on their way.
func TestFlightSilence(t *testing.T) {
	inFlight(t, &smtptest.Server{Script: at(smtptest.EndOfData, 2, smtptest.Action{Fault: smtptest.Stall})}, nil, func(t *testing.T, f *flight) {
		start := time.Now()
		f.expect("dduuuuuu")
		if took := time.Since(start); took > 11*time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}

// Nobody flies in LMTP for whom several verdicts are due: a store that gives one for
// all would shift those of the others.
func TestFlightLMTPShort(t *testing.T) {
	server := &smtptest.Server{Wire: smtptest.Wire{Delay: 10 * time.Millisecond, Window: 1 << 16}, Script: func(c smtptest.Command) smtptest.Action {
		if c.Verb == smtptest.EndOfData && strings.HasPrefix(c.Args, "second") {
			return smtptest.Action{Raw: []byte{}}
		}
		return nameVerdict(c)
	}}
	inConvoy(t, server, func(t *testing.T, c *convoy) {
		overLMTP(server, c)
		grouped(server, c)
		c.named, c.w.unruly = true, true
		for n := range 40 {
			if n%5 == 4 {
				c.send(t.Context(), n, nil, fmt.Sprintf("second%d@example.net", n))
			} else {
				c.send(t.Context(), n, nil)
			}
		}
		c.expect(strings.Repeat("d", 40))
	})
}

// Who gives up in the very moment in which a write of his content fails has no place
// any more that somebody would wait for. All others are delivered, but for the owner of
// the session where its own content was in that write too.
func TestFlightGivingUpAsWriteFails(t *testing.T) {
	for nth := 2; nth < 8; nth++ {
		writes, cancels, lost := 0, map[int]context.CancelFunc{}, map[int]bool{}
		server := &smtptest.Server{Wire: smtptest.Wire{Delay: 10 * time.Millisecond, Window: 1 << 16}}
		inConvoy(t, server, func(t *testing.T, c *convoy) {
			grouped(server, c)
			c.w.unruly = true
			dial := c.w.client.Dialer.DialContext
			c.w.client.Dialer.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := dial(ctx, network, addr)
				return &breaking{Conn: conn, write: func(p []byte) int {
					if writes++; writes != nth {
						return len(p)
					}
					var n int
					fmt.Sscanf(string(p[bytes.LastIndex(p, []byte("box")):]), "box%d@", &n)
					lost[n], lost[0] = true, bytes.Contains(p, []byte("box0@"))
					cancels[n]()
					time.Sleep(time.Millisecond) // it returns meanwhile
					return 0
				}}, err
			}
			for n := range 20 {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				cancels[n] = cancel
				c.send(ctx, n, nil)
			}
			c.wg.Wait()
			for n, report := range c.reports {
				if o := report.Outcomes[0]; o.Status != smtpclient.Delivered && !lost[n] {
					t.Errorf("write %d: message %d: %v (%v)", nth, n, o.Status, o.Attempt.Cause)
				}
			}
		})
	}
}
