package smtpclient_test

import (
	"context"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
)

// position is a switch or PARAM of a ZMailer server, and where it stands. Its name
// begins with what docs/zmailer.md has in the first column.
type position struct {
	name  string
	set   func(z *zmailer)                      // what differs from a server as it comes; nil: nothing
	want  []string                              // the summary of the report; nil: bob's mail is delivered
	check func(z *zmailer, r smtpclient.Report) // further; may be nil
}

// zmailer is a world in which example.net has a ZMailer server.
type zmailer struct {
	*world
	server  *smtptest.Server
	profile *smtptest.Profile
	env     smtpclient.Envelope
	message string
	changed bool // the message does not arrive as it was sent
	alone   bool // check does all
}

// play delivers a message to the server.
func (p position) play(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		z := &zmailer{world: w, server: &smtptest.Server{Profile: smtptest.ZMailer301()}, env: fromAnn("bob@example.net"), message: hello}
		z.profile = &z.server.Profile
		w.mx(10, z.server)
		if p.set != nil {
			p.set(z)
		}
		var report smtpclient.Report
		switch {
		case z.alone:
		case z.changed:
			report, _ = w.client.Deliver(t.Context(), z.env, smtpclient.Bytes([]byte(z.message)))
		default:
			report = w.deliver(t.Context(), z.env, z.message)
		}
		w.settle()
		want := p.want
		if want == nil && !z.alone {
			want = []string{deliveredBob}
		}
		if want != nil {
			expect(t, report, want...)
		}
		if p.check != nil {
			p.check(z, report)
		}
	})
}

// Every switch and PARAM of a ZMailer server is set to each of its positions, and
// the client does what docs/zmailer.md demands.
func TestZMailer(t *testing.T) {
	for _, p := range zmailerPositions() {
		t.Run(p.name, p.play)
	}
}

func zmailerPositions() []position {
	return slices.Concat(zmailerSwitches(), zmailerLimits(), zmailerVerbs(), zmailerSecurity(), zmailerVerdicts())
}

// The page names no switch and no PARAM that has no test, and no test is of
// something else. POSTRIDER_ZMAILER_PAGE is another page to count.
func TestZMailerMatrixIsComplete(t *testing.T) {
	page := os.Getenv("POSTRIDER_ZMAILER_PAGE")
	if page == "" {
		page = "../docs/zmailer.md"
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	params := zmailerParams(string(text))
	if len(params) < 100 {
		t.Fatalf("only %d switches and PARAMs on the page: %q", len(params), params)
	}
	tested := map[string]bool{}
	for _, p := range zmailerPositions() {
		title, _, _ := strings.Cut(p.name, ": ")
		for name := range strings.SplitSeq(title, ", ") {
			tested[name] = true
		}
	}
	missing := 0
	for _, param := range params {
		if !tested[param] {
			missing++
			t.Errorf("no test has %q in its name", param)
		}
	}
	for name := range tested {
		if os.Getenv("POSTRIDER_ZMAILER_PAGE") == "" && !slices.Contains(params, name) {
			t.Errorf("%q has a test, and is not on the page", name)
		}
	}
	t.Logf("%d switches and PARAMs, %d without a test", len(params), missing)
}

var backticked = regexp.MustCompile("`([^`]+)`")

// zmailerParams are the names in the first column of the tables of a page, and in
// the list of its section 2f.
func zmailerParams(page string) []string {
	var params []string
	add := func(text string) {
		last := ""
		for _, m := range backticked.FindAllStringSubmatch(text, -1) {
			word := strings.Fields(m[1])
			name := word[0]
			switch {
			case name == "-s" && len(word) > 1:
				name = "-s " + word[1]
			case len(name) == 1 && strings.HasPrefix(last, "-s "):
				name = "-s " + name
			}
			for part := range strings.SplitSeq(name, "/") {
				if strings.Trim(part, ".[]") == part && part != "" && !slices.Contains(params, part) {
					params = append(params, part)
				}
			}
			last = name
		}
	}
	section := ""
	for line := range strings.Lines(page) {
		switch {
		case strings.HasPrefix(line, "#"):
			section = strings.TrimLeft(line, "# ")
		case strings.HasPrefix(section, "2f"):
			add(line)
		case strings.HasPrefix(line, "|") && (section[0] == '1' || section[0] == '2'):
			add(strings.Split(line, "|")[1])
		}
	}
	return params
}

// at has the server do something at a verb.
func (z *zmailer) at(verb string, a smtptest.Action) { z.profile.At[verb] = a }

// reply has the server say something in a situation.
func (z *zmailer) reply(in smtptest.Situation, text string) { z.profile.Replies[in] = text }

// without takes extensions away, by their keywords.
func (z *zmailer) without(keywords ...string) {
	z.profile.Extensions = slices.DeleteFunc(slices.Clone(z.profile.Extensions), func(line string) bool {
		return slices.Contains(keywords, strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '=' })[0])
	})
}

// with adds extensions.
func (z *zmailer) with(lines ...string) {
	z.profile.Extensions = append(slices.Clone(z.profile.Extensions), lines...)
}

// dial opens a session with the server.
func (z *zmailer) dial() *smtpclient.Session {
	z.t.Helper()
	s, err := z.client.Dialer.Dial(z.t.Context(), smtpclient.Target{Addr: "192.0.2.10:25", Policy: tlspolicy.Policy{Level: tlspolicy.None}})
	if err != nil {
		z.t.Fatal(err)
	}
	z.t.Cleanup(func() { s.Close() })
	return s
}

// heard is what the server heard in plaintext or within TLS, in all sessions.
func (z *zmailer) heard() string {
	var b strings.Builder
	for i := range z.server.Sessions() {
		for _, c := range z.server.Transcript(i) {
			if c.FromClient {
				b.Write(c.Data)
			}
		}
	}
	return b.String()
}

// silentAbout fails if the server heard a word.
func silentAbout(words ...string) func(*zmailer, smtpclient.Report) {
	return func(z *zmailer, _ smtpclient.Report) {
		for _, word := range words {
			if strings.Contains(z.heard(), word) {
				z.t.Errorf("the client said %s: %.200q", word, z.heard())
			}
		}
	}
}

// login gives the server a user and the client his password.
func (z *zmailer) login() {
	z.server.Passwords = map[string]string{"ann": thePassword}
	z.client.Auth = ann()
	z.client.NextHops = []string{"[mx10.example.net]"}
	z.client.TLS = tlspolicy.Policy{Roots: z.server.Roots()}
}

// says wants a text of the server in what the report tells of a recipient.
func says(text string) func(*zmailer, smtpclient.Report) {
	return func(z *zmailer, r smtpclient.Report) {
		for _, o := range r.Outcomes {
			if got := strings.Join(o.Reply.Lines, "\n"); !strings.Contains(got, text) {
				z.t.Errorf("%s: the server's words are %q, want %q", o.Address, got, text)
			}
		}
	}
}

// host adds a host with an address to the DNS.
func (z *zmailer) host(name, addr string) {
	a := netip.MustParseAddr(addr)
	q := resolve.Question{Name: name, Type: resolve.TypeA}
	if a.Is6() {
		q.Type = resolve.TypeAAAA
	}
	z.dns[q] = resolve.Answer{Addrs: []netip.Addr{a}}
}

// command is a command outside of a transaction.
type command func(s *smtpclient.Session, ctx context.Context) (smtpclient.Reply, error)

// asks sends a command and wants a code, and an error where it is none.
func asks(c command, code int) func(*zmailer, smtpclient.Report) {
	return func(z *zmailer, _ smtpclient.Report) {
		z.t.Helper()
		reply, err := c(z.dial(), z.t.Context())
		if reply.Code != code || (err == nil) != (code < 300) {
			z.t.Errorf("got %v, %v; want %d", reply, err, code)
		}
	}
}

func vrfy(s *smtpclient.Session, ctx context.Context) (smtpclient.Reply, error) {
	return s.Vrfy(ctx, "bob")
}
func expn(s *smtpclient.Session, ctx context.Context) (smtpclient.Reply, error) {
	return s.Expn(ctx, "staff")
}
func help(s *smtpclient.Session, ctx context.Context) (smtpclient.Reply, error) {
	return s.Help(ctx, "")
}
func noop(s *smtpclient.Session, ctx context.Context) (smtpclient.Reply, error) { return s.Noop(ctx) }
func etrn(s *smtpclient.Session, ctx context.Context) (smtpclient.Reply, error) {
	return s.Etrn(ctx, "example.org")
}

// only says that there is nothing to deliver.
func only(set func(z *zmailer)) func(z *zmailer) {
	return func(z *zmailer) {
		z.alone = true
		if set != nil {
			set(z)
		}
	}
}
