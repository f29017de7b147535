package debugpage_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/debugpage"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

// hostile is what a server may say to whoever looks at its replies.
const hostile = `<script>document.title="owned"</script><img src=x onerror="document.title='owned'"><b id=hostile>bold</b> {{.Style}} </style><style>body{display:none}</style> &lt;i&gt; `

// world is a client, whose mail for example.net goes to a server that refuses
// carol with words like these, has dave come again, and does not answer eve's
// message.
type world struct {
	client *smtpclient.Client
	page   *debugpage.Page
	net    smtptest.Network
}

func newWorld(page *debugpage.Page) *world {
	server := &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
		switch {
		case c.Verb == "RCPT" && strings.Contains(c.Args, "carol"):
			return smtptest.Action{Reply: "550-5.1.1 " + hostile + "\n550 5.1.1 carol@example.net: unknown, says CAROL. " + strings.Repeat("x", 300)}
		case c.Verb == "RCPT" && strings.Contains(c.Args, "dave"):
			return smtptest.Action{Reply: "450 4.2.1 <dave@example.net> greylisted, come again in 300 seconds, or ask helpdesk@example.com"}
		case c.Verb == smtptest.EndOfData && strings.Contains(string(c.Message.Data), "for eve"):
			return smtptest.Action{Fault: smtptest.Drop}
		}
		return smtptest.Action{}
	}}
	page.Pool, page.Limiter = &smtpclient.Pool{KeepAll: true, IdleTime: time.Hour}, &smtpclient.LocalLimiter{}
	w := &world{page: page, net: smtptest.Network{"192.0.2.10:25": server, "192.0.2.20:25": &smtptest.Server{Name: "mx.example.com"}}}
	w.client = &smtpclient.Client{
		LocalName: "client.example.org",
		Resolver: resolve.Static{
			{Name: "example.net", Type: resolve.TypeMX}:                      {MX: []resolve.MX{{Preference: 10, Host: "mx.example.net"}}},
			{Name: "mx.example.net", Type: resolve.TypeA}:                    {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.10")}},
			{Name: "example.com", Type: resolve.TypeMX}:                      {MX: []resolve.MX{{Preference: 10, Host: "a-rather-long-name.mx.example.com"}}},
			{Name: "a-rather-long-name.mx.example.com", Type: resolve.TypeA}: {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.20")}},
			{Name: "nowhere.example", Type: resolve.TypeMX}:                  {NoName: true},
			{Name: "nowhere.example", Type: resolve.TypeA}:                   {NoName: true},
			{Name: "nowhere.example", Type: resolve.TypeAAAA}:                {NoName: true},
		},
		Dialer: &smtpclient.Dialer{DialContext: w.net.DialContext}, Cache: &cache.Memory{}, Pool: page.Pool, Limiter: page.Limiter,
	}
	return w
}

func (w *world) close(ctx context.Context) {
	w.page.Pool.Close(ctx)
	w.net.Close()
}

// send sends one message to some.
func (w *world) send(ctx context.Context, to ...string) {
	env := smtpclient.Envelope{From: "ann@example.org"}
	for _, address := range to {
		env.To = append(env.To, smtpclient.Recipient{Address: address})
	}
	content := smtpclient.Bytes(fmt.Appendf(nil, "Subject: for %s\r\n\r\nThe content is secret.\r\n", to[0]))
	w.client.Deliver(smtpclient.WithTrace(ctx, w.page.Trace()), env, content)
}

// get asks for the page.
func (w *world) get(t *testing.T, query string) (*http.Response, string) {
	t.Helper()
	return ask(t, w.page, http.MethodGet, "http://localhost/"+query)
}

func ask(t *testing.T, page http.Handler, method, url string) (*http.Response, string) {
	t.Helper()
	recorder := httptest.NewRecorder()
	page.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), method, url, nil))
	body, err := io.ReadAll(recorder.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return recorder.Result(), string(body)
}
