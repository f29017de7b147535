// Package debugpage shows on a page what postrider's smtpclient does: the pool with
// its sessions and destinations, limits, recent outcomes, and dialogues.
//
//	page := &debugpage.Page{Pool: client.Pool}
//	ctx = smtpclient.WithTrace(ctx, page.Trace())
//	mux.Handle("GET /debug/mail", authenticated(page))
//
// The page only reads. It knows no users: who may see it is up to the program, which
// puts it behind its own authentication, or at an address of the loopback. It needs
// no script and loads nothing.
package debugpage

import (
	"cmp"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/enum"
	"github.com/postrider/postrider/smtpclient"
)

// Page is an http.Handler, and the Trace that tells it of deliveries. The zero
// value is ready and shows deliveries only. It must not be copied; its fields must
// not change once it is in use.
type Page struct {
	Pool    *smtpclient.Pool         // nil: none is shown
	Limiter *smtpclient.LocalLimiter // nil: none is shown
	// Hosts are the names under which the page may be asked for, as
	// "mail.example.org" or "mail.example.org:8080"; without a port each will do. The
	// page of another site cannot read this one by a name of its own that resolves to
	// us. nil: localhost, 127.0.0.1 and [::1].
	Hosts []string
	// Keep is how many deliveries are remembered, and how many besides that were not
	// delivered. Zero: 100.
	Keep int
	// Dialogue chooses deliveries whose dialogue is kept with them; several goroutines
	// ask it at the same time. Besides, who looks at the page can ask for that of the
	// next delivery to a domain. nil: none but those.
	Dialogue func(env *smtpclient.Envelope) bool
	// Addresses shows mail addresses in full. Without it the local parts of those in
	// the envelope are hidden wherever they stand, and all that looks like one.
	Addresses Addresses
	// Content is how many bytes of the message are kept and shown with a dialogue. Zero:
	// none. They are shown as they are, addresses and all.
	Content int

	stats smtpclient.Stats
	since sync.Once
	start time.Time // guarded by since
	log   log
}

// Addresses says how much of mail addresses is shown.
type Addresses uint8

// The values of Page.Addresses.
const (
	AddressesHidden Addresses = iota // but for their domains
	AddressesShown
)

// String gives "hidden" or "shown".
func (a Addresses) String() string { return enum.Name("Addresses", int(a), "hidden", "shown") }

// ServeHTTP answers GET requests: for the page, with ?delivery=7 for one delivery,
// and with ?watch=example.net for the next one to that domain, which it waits for up
// to half a minute. The path does not matter.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	switch {
	case !p.knows(r.Host):
		http.Error(w, "This page is not served under this name; see Page.Hosts.", http.StatusMisdirectedRequest)
		return
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "This page can only be read.", http.StatusMethodNotAllowed)
		return
	}
	query := r.URL.Query()
	switch {
	case query.Get("watch") != "":
		p.serveWatch(w, r, query.Get("watch"))
	case query.Has("delivery"):
		p.serveDelivery(w, query.Get("delivery"))
	default:
		render(w, http.StatusOK, p.overview(""))
	}
}

// setHeaders forbids everything but our own style.
func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src '"+styleHash()+"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// knows tells whether the page is served under the name that was asked for.
func (p *Page) knows(asked string) bool {
	hosts := p.Hosts
	if hosts == nil {
		hosts = []string{"localhost", "127.0.0.1", "[::1]"}
	}
	name := asked
	if host, _, err := net.SplitHostPort(asked); err == nil {
		name = host
		if strings.Contains(host, ":") {
			name = "[" + host + "]"
		}
	}
	return slices.ContainsFunc(hosts, func(h string) bool {
		return h != "" && (strings.EqualFold(h, asked) || strings.EqualFold(h, name))
	})
}

func (p *Page) keep() int { return cmp.Or(max(p.Keep, 0), 100) }

// begun is when the page was used first.
func (p *Page) begun() time.Time {
	p.since.Do(func() { p.start = time.Now() })
	return p.start
}
