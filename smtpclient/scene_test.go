package smtpclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// scene is what the envelope section of a dialogue asks for.
type scene struct {
	env      smtpclient.Envelope
	content  string
	dialer   smtpclient.Dialer
	protocol smtpclient.Protocol
	level    tlspolicy.Level
	byHand   int // transactions on one Session; 0: Client.Deliver
	pause    time.Duration
	hosts    int // mail exchangers of example.net; 0: a configured next hop
	window   int // of the wire
	together bool
	err      error
}

// sceneWords are the words of the envelope section, each with what stands behind
// it. NOTIFY and ORCPT are of the recipient before them.
var sceneWords = map[string]func(s *scene, arg string){
	"from": func(s *scene, arg string) { s.env.From = arg },
	"to": func(s *scene, arg string) {
		s.env.To = append(s.env.To, smtpclient.Recipient{Address: arg})
	},
	"notify": func(s *scene, arg string) { s.last().Notify = pick(s, arg, notifyWords) },
	"orcpt":  func(s *scene, arg string) { s.last().ORCPT = arg },
	"envid":  func(s *scene, arg string) { s.env.EnvID = arg },
	"ret":    func(s *scene, arg string) { s.env.Return = pick(s, arg, returnWords) },
	"body":   func(s *scene, arg string) { s.env.Body = pick(s, arg, bodyWords) },
	"utf8":   func(s *scene, arg string) { s.env.UTF8 = true },
	"by":     func(s *scene, arg string) { s.env.By.Within = s.duration(arg) },
	"priority": func(s *scene, arg string) {
		s.env.Priority = s.number(arg)
	},
	// The client whose name and address XFORWARD tells.
	"xforward": func(s *scene, arg string) {
		name, addr, _ := strings.Cut(arg, " ")
		s.env.XForward = &smtpclient.ClientInfo{Name: name, Addr: netip.AddrPortFrom(netip.MustParseAddr(addr), 0)}
	},
	"verify": func(s *scene, arg string) { s.env.Verify = pick(s, arg, verifyWords) },
	// The content is written as in a Go string, so that every byte can be.
	"escaped": func(s *scene, arg string) {
		s.content, s.err = strconv.Unquote(`"` + strings.TrimSuffix(s.content, "\n") + `"`)
	},
	// So many transactions on one Session, with the same envelope and content.
	"session": func(s *scene, arg string) { s.byHand = s.number(arg) },
	"pause":   func(s *scene, arg string) { s.pause = s.duration(arg) }, // between them
	"lmtp": func(s *scene, arg string) {
		s.protocol = smtpclient.LMTP
		s.byHand = max(s.byHand, 1)
	},
	// So many mail exchangers mx10, mx20, ... of example.net. The report then has
	// the host.
	"hosts": func(s *scene, arg string) { s.hosts = s.number(arg) },
	"tls":   func(s *scene, arg string) { s.level, s.err = tlspolicy.ParseLevel(arg) },
	"timeout": func(s *scene, arg string) {
		stage, d, _ := strings.Cut(arg, "=")
		*pick(s, stage, s.timeouts()) = s.duration(d)
	},
	"chunking": func(s *scene, arg string) {
		mode := pick(s, arg, chunkingWords)
		s.dialer.Quirks = withQuirks(smtpclient.Quirks{Chunking: mode})
	},
	// What the server writes at once has to be read at once, or it is another
	// story: the variations do not cut what the client reads.
	"together": func(s *scene, arg string) { s.together = true },
	// How many bytes the wire holds; then the client cannot be ahead of the server.
	"window": func(s *scene, arg string) { s.window = s.number(arg) },
}

var (
	notifyWords = map[string]smtpclient.Notify{"never": smtpclient.NotifyNever, "success": smtpclient.NotifySuccess,
		"failure": smtpclient.NotifyFailure, "delay": smtpclient.NotifyDelay}
	returnWords   = map[string]smtpclient.Return{"full": smtpclient.ReturnFull, "hdrs": smtpclient.ReturnHeaders}
	bodyWords     = map[string]smtpclient.Body{"7bit": smtpclient.Body7Bit, "8bitmime": smtpclient.Body8Bit, "binarymime": smtpclient.BodyBinary}
	verifyWords   = map[string]smtpclient.Verify{"rcpt": smtpclient.VerifyRcpt, "data": smtpclient.VerifyData}
	chunkingWords = map[string]smtpclient.Chunking{"after": smtpclient.ChunkingAfter, "grouped": smtpclient.ChunkingGrouped}
)

func (s *scene) timeouts() map[string]*time.Duration {
	t := &s.dialer.Timeouts
	return map[string]*time.Duration{"greeting": &t.Greeting, "hello": &t.Hello, "starttls": &t.StartTLS, "mail": &t.Mail, "rcpt": &t.Rcpt,
		"data-init": &t.DataInit, "data-block": &t.DataBlock, "data-done": &t.DataDone, "command": &t.Command}
}

// pick finds what a word means.
func pick[T any](s *scene, word string, words map[string]T) T {
	v, ok := words[word]
	if !ok {
		s.err = fmt.Errorf("unknown value %q", word)
	}
	return v
}

func (s *scene) last() *smtpclient.Recipient { return &s.env.To[len(s.env.To)-1] }

func (s *scene) number(arg string) (n int) {
	n, s.err = strconv.Atoi(arg)
	return n
}

func (s *scene) duration(arg string) (d time.Duration) {
	d, s.err = time.ParseDuration(arg)
	return d
}

func readScene(t *testing.T, dialogue *smtptest.Dialogue) *scene {
	t.Helper()
	s := &scene{content: strings.TrimSuffix(dialogue.Section("content"), "\n")}
	s.dialer.LocalName = "client.example.org"
	for line := range strings.Lines(dialogue.Section("envelope")) {
		word, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
		act, ok := sceneWords[word]
		if !ok {
			t.Fatalf("envelope: unknown word %q", word)
		}
		if act(s, arg); s.err != nil {
			t.Fatalf("envelope: %s: %v", line, s.err)
		}
	}
	return s
}

// play sends, and gives the report of each call, and one of all their outcomes.
func (s *scene) play(ctx context.Context) (reports []smtpclient.Report, all smtpclient.Report) {
	if s.byHand > 0 {
		reports = s.playByHand(ctx)
	} else {
		report, _ := s.client().Deliver(ctx, s.env, smtpclient.Bytes([]byte(s.content)))
		reports = []smtpclient.Report{report}
	}
	for _, r := range reports {
		all.Outcomes = append(all.Outcomes, r.Outcomes...)
	}
	if s.hosts == 0 {
		for i := range all.Outcomes {
			all.Outcomes[i].Host = ""
		}
	}
	return reports, all
}

func (s *scene) client() *smtpclient.Client {
	c := &smtpclient.Client{Dialer: &s.dialer, Resolver: resolve.Static{}, Cache: &cache.Memory{}, NextHops: []string{"[192.0.2.10]"}}
	if s.level != 0 {
		c.TLS = s.level
	}
	if s.hosts > 0 {
		c.NextHops = nil
		c.Resolver = exchangers(s.hosts)
	}
	return c
}

// exchangers is a zone with n mail exchangers of example.net.
func exchangers(n int) resolve.Static {
	zone := resolve.Static{}
	var mx []resolve.MX
	for p := 10; p <= 10*n; p += 10 {
		host := "mx" + itoa(p) + ".example.net"
		mx = append(mx, resolve.MX{Preference: uint16(p), Host: host})
		addr := netip.MustParseAddr("192.0.2." + itoa(p))
		zone[resolve.Question{Name: host, Type: resolve.TypeA}] = resolve.Answer{Addrs: []netip.Addr{addr}}
	}
	zone[resolve.Question{Name: "example.net", Type: resolve.TypeMX}] = resolve.Answer{MX: mx}
	return zone
}

// playByHand sends over one Session.
func (s *scene) playByHand(ctx context.Context) (reports []smtpclient.Report) {
	session, err := s.dialer.Dial(ctx, smtpclient.Target{Addr: "192.0.2.10:24", Protocol: s.protocol, Policy: tlspolicy.Policy{Level: s.level}})
	if err != nil {
		return []smtpclient.Report{s.unreached(err)}
	}
	defer session.Close()
	for i := range s.byHand {
		if i > 0 {
			time.Sleep(s.pause)
		}
		report, _ := session.Send(ctx, s.env, smtpclient.Bytes([]byte(s.content)))
		reports = append(reports, report)
	}
	session.Quit(ctx)
	return reports
}

// unreached is what a caller makes of a Dial that failed.
func (s *scene) unreached(err error) (report smtpclient.Report) {
	var failed *smtpclient.Error
	if !errors.As(err, &failed) {
		panic(err)
	}
	for _, to := range s.env.To {
		report.Outcomes = append(report.Outcomes, smtpclient.Outcome{Address: to.Address, Status: failed.Status, Attempt: &failed.Attempt, Action: "delayed"})
	}
	return report
}
