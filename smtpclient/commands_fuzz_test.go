package smtpclient_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/address"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// FuzzCommands puts any strings into every field that goes into a command, and
// sends to a server that accepts all it is told and keeps it. What it was told
// must be commands, whole ones and no others, that say what the fields said; of
// what was refused as input it must not have heard.
//
// texts are the fields, parted by LF where there are several: ClientInfo has six.
// numbers are all that is no string; offers choose from commandOffers.
func FuzzCommands(f *testing.F) {
	f.Add("client.example.org", "ann@example.org", "bob@example.net\ncat@example.net", "rfc822;bob@example.net\n", "", "", "", uint64(0), uint32(0))
	f.Add("[192.0.2.1]", `"a b>"@example.org`, "\"x\\\"y\"@[IPv6:2001:db8::1]\npostmaster\nbob@bücher.example", "utf-8;bö+b@example.net\nrfc822;x=y", "a+b=c", "ann+x@example.org",
		"name\nhelo\nESMTP\nlogin\nident\nLOCAL", uint64(1<<40|3<<20|77), uint32(1<<16-1))
	f.Add("a\r\nb", "ann@example.org\r\nDATA", "bob@example.net>\r\nRCPT TO:<x@y.example\nbob@example.net\x00", "rfc822;a\rb\nrfc822;b c", "a\rb", "<>\r", "a\rb\n\x00", ^uint64(0), uint32(1<<16-1))
	f.Add("x.example", "<>", "bob@example.net\nbob@EXAMPLE.net\nbob@example.net", "\nrfc822;a", "", "<>", "\n\n\n\n\nREMOTE", uint64(5<<32), uint32(1<<16-2))
	long := strings.Repeat("\u00e9", 30) + "@" + strings.Repeat(strings.Repeat("x", 60)+".", 3) + "example"
	f.Add("x.example", long, long, "utf-8;"+strings.Repeat("\u00e9", 240), strings.Repeat("x", 100), long, strings.Repeat(strings.Repeat(" ", 255)+"\n", 6), ^uint64(0)>>1, uint32(1<<16-1))
	// Return 1, priority 2, and without or with SMTPUTF8; the rest zero.
	const plain, inUTF8 = 1 + 4*5*2*12, 1 + 4*5*(1+2*12)
	for _, numbers := range []uint64{plain, inUTF8} {
		for _, offers := range []uint32{0, 1<<16 - 1, 1<<13 - 1, 1<<16 - 1 - 1<<3} {
			f.Add("x.example", "ann@example.org", "bob@example.net\n\"b>o b\"@example.net\nn\u00f6@example.net\ncat@example.net", "rfc822;b+o=b c\nutf-8;b\u00f6+b=c", "a b+c=d", "ann+x=y@example.org",
				"na me\nhe=lo\nESMTP\nlog+in\nid ent\nLOCAL", numbers, offers)
			f.Add("x.example", "ann@example.org", "bob@example.net\nbob@example.net>\nbob@EXAMPLE.net\nbob@b\u00fccher.example", "", "", "<>", "", numbers, offers)
		}
	}
	f.Fuzz(func(t *testing.T, name, from, to, orcpt, envID, auth, info string, numbers uint64, offers uint32) {
		env := commandEnvelope(from, to, orcpt, numbers)
		env.EnvID, env.Auth = envID, auth
		if fields := strings.Split(info, "\n"); len(fields) >= 6 {
			env.XForward = &smtpclient.ClientInfo{Name: fields[0], Helo: fields[1], Proto: fields[2], Login: fields[3], Ident: fields[4], Source: fields[5],
				Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(numbers)}), uint16(numbers))}
		}
		server := &yesServer{offers: commandOffers(offers), room: 1 << 20}
		client := &smtpclient.Client{
			LocalName: name, TLS: tlspolicy.None, Resolver: resolve.Static{}, NextHops: []string{"[192.0.2.10]"},
			Dialer: &smtpclient.Dialer{DialContext: func(context.Context, string, string) (net.Conn, error) { return server.dial() }},
		}
		report, err := client.Deliver(t.Context(), env, smtpclient.Bytes([]byte(hello)))
		checkError(t, report, err)
		checkCommands(t, server, &env, report)
	})
}

// commandOffers is a reply to EHLO with some of the extensions.
func commandOffers(bits uint32) []string {
	var offers []string
	for i, o := range []string{"PIPELINING", "SIZE 1000000", "8BITMIME", "SMTPUTF8", "DSN", "AUTH PLAIN", "MT-PRIORITY MIXER", "DELIVERBY",
		"FUTURERELEASE 999999999 2099-01-01T00:00:00Z", "RRVS", "CHUNKING", "BINARYMIME", "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE LOGIN", "LIMITS RCPTMAX=2", "VRFY", "HELP"} {
		if bits&(1<<i) != 0 {
			offers = append(offers, o)
		}
	}
	return offers
}

// commandEnvelope takes numbers apart: every field has values that are right, and
// some that are not.
func commandEnvelope(from, to, orcpt string, numbers uint64) smtpclient.Envelope {
	take := func(n uint64) uint64 {
		v := numbers % n
		numbers /= n
		return v
	}
	env := smtpclient.Envelope{From: from}
	env.Return = smtpclient.Return(take(4))
	env.Body = smtpclient.Body(take(5))
	env.UTF8 = take(2) == 1
	env.Priority = int(take(21)) - 10
	switch take(5) {
	case 1:
		env.HoldFor = time.Duration(take(1<<31)) * time.Second
	case 2:
		env.HoldUntil = base.Add(time.Duration(take(1<<31)) * time.Second)
	case 3:
		env.By = smtpclient.DeliverBy{Within: time.Duration(take(1<<31)) * time.Second, Return: take(2) == 1, Trace: take(2) == 1}
	}
	orcpts := strings.Split(orcpt, "\n")
	for i, address := range strings.Split(to, "\n") {
		r := smtpclient.Recipient{Address: address, ORCPT: orcpts[i%len(orcpts)], Notify: smtpclient.Notify(take(18))}
		if take(4) == 1 {
			r.Since = base
		}
		env.To = append(env.To, r)
	}
	return env
}

// yesServer is a connection whose server accepts everything. It has no goroutine
// of its own: each Write is answered at once.
type yesServer struct {
	deadlines
	offers  []string
	room    int // bytes that it takes before it gives up
	in      []byte
	replies bytes.Buffer
	lines   []string // with their CRLF
	content string   // what came behind DATA, with the dot; or in chunks
	inData  bool
	chunk   int // bytes that are still to come
	dials   int
}

func (s *yesServer) dial() (net.Conn, error) {
	s.dials++
	s.deadlines, s.in = deadlines{}, nil
	s.replies.Reset()
	s.replies.WriteString("220 mx.example.net\r\n")
	return s, nil
}

func (s *yesServer) Read(p []byte) (int, error) {
	if err := s.ready(); err != nil {
		return 0, err
	}
	return s.replies.Read(p) // io.EOF where the client waits for what nobody owes
}

func (s *yesServer) Buffered() int { return s.replies.Len() }

func (s *yesServer) Write(p []byte) (int, error) {
	if err := s.ready(); err != nil {
		return 0, err
	}
	if s.room -= len(p); s.room < 0 {
		return 0, io.ErrClosedPipe
	}
	s.in = append(s.in, p...)
	for s.take() {
	}
	return len(p), nil
}

// take takes one line or piece of content.
func (s *yesServer) take() bool {
	if s.chunk > 0 {
		n := min(s.chunk, len(s.in))
		s.content += string(s.in[:n])
		s.in = s.in[n:]
		if s.chunk -= n; s.chunk == 0 {
			s.replies.WriteString("250 2.0.0 ok\r\n")
		}
		return n > 0
	}
	i := bytes.IndexByte(s.in, '\n')
	if i < 0 {
		return false
	}
	line := string(s.in[:i+1])
	s.in = s.in[i+1:]
	if s.inData {
		s.content += line
		if s.inData = line != ".\r\n"; !s.inData {
			s.replies.WriteString("250 2.0.0 ok\r\n")
		}
		return true
	}
	s.lines = append(s.lines, line)
	s.answer(line)
	return true
}

func (s *yesServer) answer(line string) {
	verb, arg, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
	switch verb {
	case "EHLO":
		s.replies.WriteString("250-mx.example.net\r\n")
		for _, o := range s.offers {
			s.replies.WriteString("250-" + o + "\r\n")
		}
		s.replies.WriteString("250 X-END\r\n")
	case "DATA":
		s.inData = true
		s.replies.WriteString("354 go\r\n")
	case "BDAT":
		size, _, _ := strings.Cut(arg, " ")
		s.chunk, _ = strconv.Atoi(size)
	case "QUIT":
		s.replies.WriteString("221 bye\r\n")
	default:
		s.replies.WriteString("250 2.0.0 ok\r\n")
	}
}

func (s *yesServer) offered(keyword string) bool {
	return slices.ContainsFunc(s.offers, func(o string) bool { return o == keyword || strings.HasPrefix(o, keyword+" ") })
}

// checkCommands holds what the server was told against the report.
func checkCommands(t *testing.T, s *yesServer, env *smtpclient.Envelope, report smtpclient.Report) {
	t.Helper()
	if len(s.in) > 0 {
		t.Errorf("behind the last command stands %q", s.in)
	}
	rcpts := make(map[twinOf]bool)
	for i, o := range report.Outcomes {
		switch {
		case o.Status == smtpclient.Delivered:
			rcpts[twinFor(&env.To[i])] = true
		case o.Stage == smtpclient.StageInput && o.Status == smtpclient.Deferred && s.dials > 0:
			t.Errorf("%q is a fault of the configuration, but somebody was dialled: %v", o.Address, o.Err())
		case o.Stage != smtpclient.StageInput && (o.Stage != smtpclient.StageMail || o.Status != smtpclient.Failed):
			t.Errorf("%q is %v: %v", o.Address, o.Status, o.Err())
		}
	}
	said := &said{t: t, server: s, env: env, rcpts: rcpts}
	var order []string
	for _, line := range s.lines {
		order = append(order, said.line(line))
	}
	checkOrder(t, s, strings.Join(order, " "), len(rcpts))
}

// twinOf is what makes two recipients one RCPT.
type twinOf struct {
	path, orcpt string
	notify      smtpclient.Notify
	since       time.Time
}

func twinFor(to *smtpclient.Recipient) twinOf {
	m, _ := address.ParseRecipient(to.Address)
	return twinOf{m.String(), to.ORCPT, to.Notify, to.Since}
}

var (
	nothingSaid   = regexp.MustCompile("^(EHLO QUIT)?$")
	wholeDialogue = regexp.MustCompile("^EHLO(( XFORWARD)* MAIL( RCPT)+ (DATA|BDAT))+ QUIT$")
)

// checkOrder holds the verbs against RFC 5321, Section 4.1.4.
func checkOrder(t *testing.T, s *yesServer, order string, rcpts int) {
	t.Helper()
	if rcpts == 0 {
		if !nothingSaid.MatchString(order) || s.content != "" {
			t.Errorf("nobody was delivered, but the server was told %q", s.lines)
		}
		return
	}
	fewest, most := 1, 1
	if s.offered("LIMITS") { // those who cannot have the message may take a place, too
		fewest, most = (rcpts+1)/2, rcpts
	}
	mails := strings.Count(order, "MAIL")
	if !wholeDialogue.MatchString(order) || strings.Count(order, "RCPT") != rcpts || mails < fewest || mails > most {
		t.Errorf("for %d recipients in %d to %d transactions, the client said %s", rcpts, fewest, most, order)
	}
	if s.offered("LIMITS") && strings.Contains(order, "RCPT RCPT RCPT") {
		t.Errorf("a transaction has more recipients than the server takes: %s", order)
	}
}
