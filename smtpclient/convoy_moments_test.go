package smtpclient_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// Letters in one session, and each in turn is cut off or fails at each moment: what
// becomes of the others never changes.

// convoyWorlds are the kinds of sessions in which the moments differ.
var convoyWorlds = map[string]func(*smtptest.Server, *convoy){
	"smtp": func(*smtptest.Server, *convoy) {},
	"lockstep": func(_ *smtptest.Server, c *convoy) {
		c.w.client.Dialer.Quirks = withQuirks(smtpclient.Quirks{Discard: []string{"PIPELINING"}})
	},
	"no overlap": func(_ *smtptest.Server, c *convoy) {
		c.w.client.Dialer.Quirks = withQuirks(smtpclient.Quirks{NoOverlap: true})
	},
	"lmtp":    overLMTP,
	"grouped": grouped,
	"grouped tls": func(s *smtptest.Server, c *convoy) {
		grouped(s, c)
		s.Extensions = append(s.Extensions, "STARTTLS")
		c.w.client.TLS = tlspolicy.Encrypt
	},
	"grouped lmtp": func(s *smtptest.Server, c *convoy) {
		overLMTP(s, c)
		grouped(s, c)
	},
}

func overLMTP(s *smtptest.Server, c *convoy) {
	s.Mode = smtptest.LMTP
	c.w.client.Protocol = smtpclient.LMTP
	c.w.client.NextHops = []string{"[192.0.2.10]:24"}
	c.w.net["192.0.2.10:24"] = s
}

func grouped(s *smtptest.Server, c *convoy) {
	s.Extensions = []string{"PIPELINING", "CHUNKING"}
	c.w.client.Dialer.Quirks = withQuirks(smtpclient.Quirks{Chunking: smtpclient.ChunkingGrouped})
}

// nameVerdict has the verdict on a message say whose it is.
func nameVerdict(c smtptest.Command) smtptest.Action {
	if c.Verb == smtptest.EndOfData {
		return smtptest.Action{Reply: "250 2.0.0 for " + c.Message.To[0]}
	}
	return smtptest.Action{}
}

// lettersIn is how many letters there are: in groups the first one goes by itself.
func lettersIn(kind string) int {
	if strings.HasPrefix(kind, "grouped") {
		return 5
	}
	return 3
}

// inMoments runs letters of which one, who, has a context and content of its
// own; the others must be delivered.
func inMoments(t *testing.T, kind string, who int, set func(c *convoy, cancel func()) smtpclient.Content) {
	t.Helper()
	server := &smtptest.Server{Extensions: []string{"PIPELINING"}, Script: nameVerdict, Wire: smtptest.Wire{Delay: 10 * time.Millisecond, Window: 1 << 16}}
	inConvoy(t, server, func(t *testing.T, c *convoy) {
		c.w.unruly, c.named = true, true // who is cut off does not say QUIT
		convoyWorlds[kind](server, c)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		content := set(c, cancel)
		for n := range lettersIn(kind) {
			if n == who {
				c.send(ctx, n, content)
			} else {
				c.send(t.Context(), n, nil)
			}
		}
		c.wg.Wait()
		for n, report := range c.reports {
			if o := report.Outcomes[0]; n != who && o.Status != smtpclient.Delivered {
				t.Errorf("%s, letter %d fails: letter %d is %v: %v", kind, who, n, o.Status, o.Err())
			}
		}
	})
}

// In steps of half the way to the server, and of a millisecond where it matters,
// until all are done.
func TestConvoyCancelAtEachTime(t *testing.T) {
	for kind := range convoyWorlds {
		for who := range lettersIn(kind) {
			took := time.Duration(0)
			inMoments(t, kind, -1, func(c *convoy, _ func()) smtpclient.Content {
				start := time.Now()
				c.w.t.Cleanup(func() { took = time.Since(start) })
				return nil
			})
			if took < 100*time.Millisecond {
				t.Fatalf("the convoy took %v", took)
			}
			for at := time.Duration(0); at <= min(took, time.Second); at += 5 * time.Millisecond {
				inMoments(t, kind, who, func(c *convoy, cancel func()) smtpclient.Content {
					time.AfterFunc(at, cancel)
					return nil
				})
			}
		}
	}
}

// turning is a connection that tells each operation, before and after it.
type turning struct {
	net.Conn
	turn func()
}

func (c *turning) Read(p []byte) (int, error) {
	c.turn()
	defer c.turn()
	return c.Conn.Read(p)
}

func (c *turning) Write(p []byte) (int, error) {
	c.turn()
	defer c.turn()
	return c.Conn.Write(p)
}

func (c *turning) SetDeadline(t time.Time) error {
	c.turn()
	defer c.turn()
	return c.Conn.SetDeadline(t)
}

func (c *turning) Buffered() int {
	c.turn()
	return c.Conn.(interface{ Buffered() int }).Buffered()
}

func (c *turning) Close() error {
	c.turn()
	return c.Conn.Close()
}

// Before and after each operation on the connections.
func TestConvoyCancelAtEachOperation(t *testing.T) {
	for kind := range convoyWorlds {
		for who := range lettersIn(kind) {
			for nth, over := 1, false; !over; nth++ {
				var ops atomic.Int32
				inMoments(t, kind, who, func(c *convoy, cancel func()) smtpclient.Content {
					dial := c.w.client.Dialer.DialContext
					c.w.client.Dialer.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
						conn, err := dial(ctx, network, addr)
						if err != nil {
							return nil, err
						}
						return &turning{conn, func() {
							if int(ops.Add(1)) == nth {
								cancel()
							}
						}}, nil
					}
					return nil
				})
				if over = int(ops.Load()) < nth; over && nth < 25 {
					t.Errorf("%s: only %d operations", kind, nth)
				}
			}
		}
	}
}

// tiring is content whose nth operation fails: opening, reading a piece,
// closing.
type tiring struct {
	text   string
	nth    *int
	how    func() error
	opened bool
}

func (f *tiring) step() error {
	if *f.nth--; *f.nth == 0 {
		return f.how()
	}
	return nil
}

func (f *tiring) Size() int64 { return int64(len(f.text)) }

func (f *tiring) Open() (io.ReadCloser, error) {
	if !f.opened { // the scan
		f.opened = true
		return io.NopCloser(strings.NewReader(f.text)), nil
	}
	if err := f.step(); err != nil {
		return nil, err
	}
	return &tiringReader{strings.NewReader(f.text), f}, nil
}

type tiringReader struct {
	r io.Reader
	f *tiring
}

func (r *tiringReader) Read(p []byte) (int, error) {
	if err := r.f.step(); err != nil {
		return 0, err
	}
	return r.r.Read(p[:min(len(p), 10<<10)])
}

func (r *tiringReader) Close() error { return r.f.step() }

// At each operation on content of several blocks, or so small that it goes with its
// envelope, by an error and by a panic.
func TestConvoyContentFailsAtEachOperation(t *testing.T) {
	for _, size := range []int{150 << 10, 12 << 10} {
		convoyContentFails(t, size)
	}
}

func convoyContentFails(t *testing.T, size int) {
	least := size >> 10 / 10 // pieces, and opening and closing
	for kind := range convoyWorlds {
		for how, fail := range map[string]func() error{"error": func() error { return errDisk }, "panic": func() error { panic("gone mad") }} {
			for who := range lettersIn(kind) {
				for nth, over := 1, false; !over; nth++ {
					left := nth
					inMoments(t, kind, who, func(c *convoy, _ func()) smtpclient.Content {
						c.texts = map[int]string{who: longMessage(size)}
						return &tiring{text: c.texts[who], nth: &left, how: fail}
					})
					if over = left > 0; over && nth < least {
						t.Errorf("%s: only %d operations", fmt.Sprint(kind, " ", how), nth)
					}
				}
			}
		}
	}
}
