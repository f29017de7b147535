package smtpclient_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// The model of a pool: letters of several kinds to several destinations at random
// times, servers that do something to the letters of some, and a pool with random
// bounds. What becomes of a letter is foretold from that letter alone, since nothing
// that happens to another one may change it; pool_reference_test.go does, and shares
// nothing with the pool.

// modelPlan is one run.
type modelPlan struct {
	lmtp     bool
	pool     modelBounds
	servers  [2]modelServer
	letters  []modelLetter
	stagger  time.Duration
	overlap  bool
	grouped  bool
	kills    []time.Duration // when the connection that is oldest is lost
	closeAt  time.Duration   // 0: when all is done
	patience time.Duration   // of Close
}

type modelBounds struct {
	total, perSite, perAddr, uses int
	idle, age                     time.Duration
	keepAll                       bool
}

type modelServer struct {
	lockstep bool
	mailMax  int
	delay    time.Duration
	window   int
}

type modelLetter struct {
	at       time.Duration
	kind     string
	domain   int
	rcpts    int
	fault    modelFault
	content  string // what is wrong with it
	cancelAt time.Duration
}

// modelFault is what the server does to a letter.
type modelFault struct {
	verb string
	rcpt int // of RCPT
	what string
	once bool
}

// modelDomains are the destinations: the first and the last have the same hosts, the
// third another host at the same address.
var modelDomains = [...]struct {
	name, host, addr string
	server           int
}{
	{"d0.example", "mx.d0.example", "192.0.2.1", 0},
	{"d1.example", "mx.d1.example", "192.0.2.2", 1},
	{"d2.example", "mx.d2.example", "192.0.2.1", 0},
	{"d3.example", "mx.d0.example", "192.0.2.1", 0},
}

var modelKinds = []string{"plain", "ann", "eve", "named", "tls"}

func drawPlan(t *rapid.T) modelPlan {
	pick := func(name string, of ...int) int { return rapid.SampledFrom(of).Draw(t, name) }
	ms := func(name string, of ...int) time.Duration { return time.Duration(pick(name, of...)) * time.Millisecond }
	p := modelPlan{
		lmtp:    rapid.Bool().Draw(t, "lmtp"),
		overlap: pick("overlap", 1, 1, 0) == 1,
		grouped: pick("grouped", 0, 0, 1) == 1,
		pool: modelBounds{
			total: pick("total", 0, 1, 2, 3), perSite: pick("site", 0, 1, 2), perAddr: pick("addr", 0, 1, 2),
			uses: pick("uses", -1, 0, 1, 2, 3), idle: ms("idle", 0, 15, 1000), age: ms("age", 0, 130), keepAll: rapid.Bool().Draw(t, "all"),
		},
	}
	for i := range p.servers {
		p.servers[i] = modelServer{pick("lockstep", 0, 0, 1) == 1, pick("mailmax", 0, 0, 1, 2), ms("delay", 0, 10), pick("window", 0, 1<<16)}
	}
	for range rapid.IntRange(1, 12).Draw(t, "letters") {
		p.letters = append(p.letters, drawLetter(t, pick, ms))
	}
	switch pick("trouble", 0, 0, 0, 1, 2) {
	case 1:
		for range pick("kills", 1, 3) {
			p.kills = append(p.kills, ms("kill", 5, 60, 85, 110, 125, 140, 300))
		}
	case 2:
		p.closeAt, p.patience = ms("close", 1, 65, 105, 200), ms("patience", 1, 30, 1<<30)
	}
	if !p.lmtp {
		p.stagger = ms("stagger", 0, 0, 5)
	}
	return p
}

func drawLetter(t *rapid.T, pick func(string, ...int) int, ms func(string, ...int) time.Duration) modelLetter {
	l := modelLetter{
		at: ms("at", 0, 0, 0, 10, 45, 100, 2000), kind: rapid.SampledFrom(modelKinds[:pick("kinds", 1, 1, 4, 5)]).Draw(t, "kind"),
		domain: pick("domain", 0, 0, 1, 2, 3), rcpts: pick("rcpts", 1, 1, 2, 3),
	}
	switch pick("wrong", 0, 0, 0, 1, 1, 2, 3) {
	case 1:
		l.fault = modelFault{
			rapid.SampledFrom([]string{"MAIL", "RCPT", "DATA", smtptest.EndOfData}).Draw(t, "verb"), pick("rcpt", 0, 1),
			rapid.SampledFrom([]string{"450", "550", "452", "421", "drop", "dropafter", "reset", "stall", "garbage", "delay"}).Draw(t, "what"),
			pick("once", 0, 0, 1) == 1,
		}
		l.fault.rcpt %= l.rcpts
	case 2:
		l.content = rapid.SampledFrom([]string{"open fails", "open fails once", "open panics", "read fails", "read panics", "close panics"}).Draw(t, "content")
	case 3:
		l.cancelAt = l.at + ms("cancel", 1, 5, 10, 15, 20, 25, 40, 45, 60, 85, 95, 100, 105, 110, 120, 150, 400)
	}
	return l
}

// modelRun is a plan at work.
type modelRun struct {
	plan   modelPlan
	net    smtptest.Network
	srv    [2]*smtptest.Server
	dns    resolve.Static
	pool   *smtpclient.Pool
	start  time.Time
	dialer map[string]*smtpclient.Dialer

	mu      sync.Mutex
	faults  []string
	conns   []*modelConn
	open    map[string]int // connections as the servers see them: in all "", by address, by site
	fired   map[int]bool
	reports map[int]smtpclient.Report
	ended   map[int]time.Duration
	atMail  map[[2]int]int // by server and session: the letter whose transaction is open
}

func (r *modelRun) errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

// runPlan carries a plan out and tells what was wrong.
func runPlan(t *testing.T, plan modelPlan) []string {
	r := &modelRun{plan: plan, net: smtptest.Network{}, dns: resolve.Static{}, dialer: map[string]*smtpclient.Dialer{}, open: map[string]int{},
		fired: map[int]bool{}, reports: map[int]smtpclient.Report{}, ended: map[int]time.Duration{}, atMail: map[[2]int]int{}}
	synctest.Test(t, func(t *testing.T) {
		r.setUp()
		defer r.net.Close()
		var wg sync.WaitGroup
		for n := range plan.letters {
			wg.Go(func() { r.deliver(t.Context(), n) })
		}
		for _, at := range plan.kills {
			wg.Go(func() { time.Sleep(at); r.kill() })
		}
		if plan.closeAt > 0 {
			wg.Go(func() {
				time.Sleep(plan.closeAt)
				ctx, cancel := context.WithTimeout(t.Context(), plan.patience)
				defer cancel()
				r.pool.Close(ctx)
			})
		}
		wg.Wait()
		if err := r.pool.Close(t.Context()); err != nil {
			r.errorf("Close: %v", err)
		}
		r.nothingIsLeft()
		r.check()
	})
	return r.faults
}

func (r *modelRun) setUp() {
	p := r.plan
	r.start = time.Now()
	r.pool = &smtpclient.Pool{Total: p.pool.total, PerDestination: p.pool.perSite, PerEndpoint: p.pool.perAddr,
		MaxUses: p.pool.uses, IdleTime: p.pool.idle, MaxAge: p.pool.age, KeepAll: p.pool.keepAll}
	for i, s := range p.servers {
		offers := []string{"8BITMIME", "ENHANCEDSTATUSCODES", "STARTTLS", "AUTH PLAIN"}
		if p.grouped {
			offers = append(offers, "CHUNKING")
		}
		if !s.lockstep {
			offers = append(offers, "PIPELINING")
		}
		if s.mailMax > 0 {
			offers = append(offers, fmt.Sprint("LIMITS MAILMAX=", s.mailMax))
		}
		r.srv[i] = &smtptest.Server{Extensions: offers, Passwords: map[string]string{"ann": "a", "eve": "e"},
			Wire: smtptest.Wire{Delay: s.delay, Window: s.window}, Script: func(c smtptest.Command) smtptest.Action { return r.act(i, c) }}
		if p.lmtp {
			r.srv[i].Mode = smtptest.LMTP
		}
	}
	for _, d := range modelDomains {
		addrs := []netip.Addr{netip.MustParseAddr(d.addr)}
		if p.stagger > 0 {
			addrs = append(addrs, netip.MustParseAddr(strings.Replace(d.addr, "0.2", "0.3", 1)))
		}
		r.dns[resolve.Question{Name: d.name, Type: resolve.TypeMX}] = resolve.Answer{MX: []resolve.MX{{Host: d.host}}}
		r.dns[resolve.Question{Name: d.host, Type: resolve.TypeA}] = resolve.Answer{Addrs: addrs}
		for _, a := range addrs {
			r.net[a.String()+":25"], r.net[a.String()+":24"] = r.srv[d.server], r.srv[d.server]
		}
	}
	for _, kind := range modelKinds { // a Dialer is part of the key: the others share one
		r.dialer[kind] = &smtpclient.Dialer{DialContext: r.dial, Quirks: func(smtpclient.Target) smtpclient.Quirks {
			return smtpclient.Quirks{NoOverlap: !p.overlap, Chunking: smtpclient.ChunkingGrouped}
		}}
		if kind != "tls" {
			r.dialer[kind] = r.dialer["plain"]
		}
	}
}

// credentialFor is a credential for every host.
type credentialFor struct{ *smtpclient.Credential }

func (c credentialFor) Lookup(context.Context, smtpclient.CredentialQuery) (*smtpclient.Credential, error) {
	return c.Credential, nil
}

// client is that of a kind of letters.
func (r *modelRun) client(kind string) *smtpclient.Client {
	c := &smtpclient.Client{LocalName: "plain.example.org", Resolver: r.dns, Cache: cache.None, Dialer: r.dialer[kind], TLS: tlspolicy.None, Pool: r.pool}
	if r.plan.lmtp {
		c.Protocol = smtpclient.LMTP
	}
	c.Limits.Stagger = r.plan.stagger
	switch kind {
	case "tls":
		c.TLS = tlspolicy.Encrypt
	case "named":
		c.LocalName = "named.example.org"
	case "ann", "eve":
		c.Auth = credentialFor{&smtpclient.Credential{User: kind, Password: kind[:1], Channel: tlspolicy.None}}
	}
	return c
}

type siteKey struct{}

func (r *modelRun) deliver(ctx context.Context, n int) {
	l := r.plan.letters[n]
	time.Sleep(l.at)
	if l.cancelAt > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, l.cancelAt-l.at)
		defer cancel()
	}
	d := modelDomains[l.domain]
	env := smtpclient.Envelope{From: fmt.Sprintf("from%d@example.org", n)}
	for i := range l.rcpts {
		env.To = append(env.To, smtpclient.Recipient{Address: modelBox(n, i, l)})
	}
	site := d.host
	if r.plan.lmtp {
		site = d.addr
		env.NextHops = []string{"[" + d.addr + "]:24"}
	}
	report, err := r.client(l.kind).Deliver(context.WithValue(ctx, siteKey{}, "site "+site), env, modelContent(n, l.content))
	if (err == nil) != !slices.ContainsFunc(report.Outcomes, func(o smtpclient.Outcome) bool { return o.Status != smtpclient.Delivered }) {
		r.errorf("letter %d: error %v does not fit the report", n, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reports[n], r.ended[n] = report, time.Since(r.start)
}

func modelBox(n, i int, l modelLetter) string {
	return fmt.Sprintf("box%d-%d@%s", n, i, modelDomains[l.domain].name)
}

// modelContent is the text of a letter, with what is wrong with it.
func modelContent(n int, wrong string) smtpclient.Content {
	c := &wild{Content: smtpclient.Bytes([]byte(textOf(n))), nth: 1, always: true}
	switch wrong {
	case "open fails":
		c.fail = errDisk
	case "open fails once":
		c.fail, c.always = errDisk, false
	case "open panics":
		c.open = func() { panic("gone mad") }
	case "read fails":
		c.readFails = errDisk
	case "read panics":
		c.read = func() { panic("gone mad") }
	case "close panics":
		c.finish = func() { panic("gone mad") }
	}
	return c
}

// act is what a server does: to each letter its own.
func (r *modelRun) act(server int, c smtptest.Command) smtptest.Action {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, i := -1, 0
	switch c.Verb {
	case "MAIL":
		fmt.Sscanf(c.Args, "FROM:<from%d@", &n)
		r.atMail[[2]int{server, c.Session}] = n
	case "RCPT":
		fmt.Sscanf(c.Args, "TO:<box%d-%d@", &n, &i)
	case "DATA":
		n = r.atMail[[2]int{server, c.Session}]
	case smtptest.EndOfData:
		fmt.Sscanf(c.Message.From, "from%d@", &n)
	}
	if n < 0 {
		return smtptest.Action{}
	}
	if f := r.plan.letters[n].fault; c.Verb == smtptest.EndOfData && (f.verb != c.Verb || f.once && r.fired[n]) {
		return smtptest.Action{Reply: "250 2.0.0 letter " + fmt.Sprint(n)}
	}
	f := r.plan.letters[n].fault
	if f.what == "" || f.verb != c.Verb || f.verb == "RCPT" && f.rcpt != i || f.once && r.fired[n] {
		return smtptest.Action{}
	}
	r.fired[n] = true
	return map[string]smtptest.Action{
		"450": {Reply: "450 4.2.0 wait"}, "550": {Reply: "550 5.7.1 no"}, "452": {Reply: "452 4.5.3 too many"}, "421": {Reply: "421 4.3.2 down"},
		"drop": {Fault: smtptest.Drop}, "dropafter": {Fault: smtptest.DropAfter}, "reset": {Fault: smtptest.Reset}, "stall": {Fault: smtptest.Stall},
		"garbage": {Fault: smtptest.Garbage}, "delay": {Delay: 30 * time.Millisecond},
	}[f.what]
}

// modelConn is a connection that is counted as its server sees it: from when it is
// accepted until its end has arrived.
type modelConn struct {
	net.Conn
	end sync.Once
	run *modelRun
	of  []string
	off time.Duration // on the way
}

func (r *modelRun) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := r.net.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(addr)
	c := &modelConn{Conn: conn, run: r, of: []string{"", host, ctx.Value(siteKey{}).(string)}, off: r.srv[host[len(host)-1]-'1'].Wire.Delay}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns = append(r.conns, c)
	for i, of := range c.of {
		r.open[of]++
		if most := []int{r.plan.pool.total, r.plan.pool.perAddr, r.plan.pool.perSite}[i]; most > 0 && r.open[of] > most {
			r.faults = append(r.faults, fmt.Sprintf("%d connections to %q at once, want %d at most", r.open[of], of, most))
		}
	}
	return c, nil
}

func (c *modelConn) Buffered() int { return c.Conn.(interface{ Buffered() int }).Buffered() }

func (c *modelConn) Close() error {
	err := c.Conn.Close()
	c.end.Do(func() {
		c.run.mu.Lock()
		c.run.open[""]-- // servers far and near do not see one end at one time
		c.run.mu.Unlock()
		if c.off > 0 {
			time.AfterFunc(c.off, c.ended)
		} else {
			c.ended()
		}
	})
	return err
}

func (c *modelConn) ended() {
	c.run.mu.Lock()
	defer c.run.mu.Unlock()
	for _, of := range c.of[1:] {
		c.run.open[of]--
	}
	c.run.conns = slices.DeleteFunc(c.run.conns, func(o *modelConn) bool { return o == c })
}

// kill loses the oldest connection.
func (r *modelRun) kill() {
	r.mu.Lock()
	var c *modelConn
	if len(r.conns) > 0 {
		c = r.conns[0]
	}
	r.mu.Unlock()
	if c != nil {
		c.Conn.Close() // the engine has still to close its own end
	}
}

func (r *modelRun) nothingIsLeft() {
	if s := r.pool.Stats(); s.Idle != 0 || s.InUse != 0 || s.Waiting != 0 {
		r.errorf("after Close: %+v", s)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.open[""]; n != 0 {
		r.faults = append(r.faults, fmt.Sprintf("after Close: %d connections are not closed", n))
	}
	r.mu.Unlock()
	time.Sleep(time.Second) // what is on the wire arrives
	r.mu.Lock()
	for of, n := range r.open {
		if n != 0 {
			r.faults = append(r.faults, fmt.Sprintf("after Close: %d connections to %q", n, of))
		}
	}
}

// Model: whatever letters, servers, bounds, cancels, losses and faulty contents come
// together, each letter ends as it would alone, no bound is passed as the servers
// count, no session serves letters of two kinds, and nothing is left.
func TestPoolModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		plan := drawPlan(rt)
		if faults := runPlan(t, plan); len(faults) > 0 {
			rt.Fatalf("%s\nplan %+v", strings.Join(faults, "\n"), plan)
		}
	})
}
