package debugpage_test

import (
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/debugpage"
)

// Who may ask, and for what.
func TestAccess(t *testing.T) {
	named := &debugpage.Page{Hosts: []string{"mail.example.org", "other.example.org:8080", ""}}
	for _, tt := range []struct {
		page        *debugpage.Page
		method, url string
		status      int
	}{
		{&debugpage.Page{}, "GET", "http://localhost/", 200},
		{&debugpage.Page{}, "GET", "http://LOCALHOST:8080/debug/mail", 200},
		{&debugpage.Page{}, "GET", "http://127.0.0.1:8080/", 200},
		{&debugpage.Page{}, "GET", "http://[::1]:8080/", 200},
		{&debugpage.Page{}, "GET", "http://[::1]/", 200},
		{&debugpage.Page{}, "GET", "http://rebound.example/", 421},
		{&debugpage.Page{}, "GET", "http://localhost.rebound.example/", 421},
		{&debugpage.Page{}, "GET", "http://127.0.0.2/", 421},
		{&debugpage.Page{}, "POST", "http://rebound.example/", 421},
		{&debugpage.Page{Hosts: []string{}}, "GET", "http://localhost/", 421},
		{named, "GET", "http://mail.example.org/", 200},
		{named, "GET", "http://mail.example.org:8443/", 200},
		{named, "GET", "http://other.example.org:8080/", 200},
		{named, "GET", "http://other.example.org/", 421},
		{named, "GET", "http://localhost/", 421},
		{&debugpage.Page{}, "POST", "http://localhost/", 405},
		{&debugpage.Page{}, "HEAD", "http://localhost/", 405},
		{&debugpage.Page{}, "OPTIONS", "http://localhost/", 405},
		{&debugpage.Page{}, "DELETE", "http://localhost/?delivery=1", 405},
		{&debugpage.Page{}, "GET", "http://localhost/?delivery=1", 404},
		{&debugpage.Page{}, "GET", "http://localhost/?delivery=", 404},
		{&debugpage.Page{}, "GET", "http://localhost/?delivery=%3Cscript%3E", 404},
	} {
		r, body := ask(t, tt.page, tt.method, tt.url)
		if r.StatusCode != tt.status {
			t.Errorf("%s %s: %d, want %d", tt.method, tt.url, r.StatusCode, tt.status)
		}
		if strings.Contains(body, "<script") || tt.status == 421 && strings.Contains(body, "<html") {
			t.Errorf("%s %s: the body is %s", tt.method, tt.url, body)
		}
		if tt.status == 405 && r.Header.Get("Allow") != "GET" {
			t.Errorf("%s: Allow is %q", tt.method, r.Header.Get("Allow"))
		}
	}
}

// Every answer forbids what it does not need.
func TestHeaders(t *testing.T) {
	for _, url := range []string{"http://localhost/", "http://localhost/?delivery=1", "http://rebound.example/"} {
		r, _ := ask(t, &debugpage.Page{}, "GET", url)
		for name, want := range map[string]string{
			"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", url, name, got, want)
			}
		}
		csp := r.Header.Get("Content-Security-Policy")
		if form := regexp.MustCompile(`^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/]{43}='; form-action 'self'; base-uri 'none'; frame-ancestors 'none'$`); !form.MatchString(csp) {
			t.Errorf("%s: the policy is %q", url, csp)
		}
		if kind := r.Header.Get("Content-Type"); !strings.HasSuffix(kind, "charset=utf-8") {
			t.Errorf("%s: Content-Type is %q", url, kind)
		}
	}
}

// The overview says what there is: counts, sessions, destinations, limits, and
// what was not delivered.
func TestOverview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&debugpage.Page{})
		defer w.close(t.Context())
		for _, to := range []string{"bob@example.net", "carol@example.net", "dave@example.net", "eve@example.net", "bob@nowhere.example", "frank@example.com"} {
			w.send(smtpclient.WithQueueID(t.Context(), "Q-"+to[:3]), to)
			time.Sleep(time.Second)
		}
		r, body := w.get(t, "")
		if r.StatusCode != 200 {
			t.Fatal(r.Status)
		}
		for _, want := range []string{
			`Delivered</dt><dd class="value">2<`, `Deferred</dt><dd class="value">1<`, `Failed</dt><dd class="value">2<`, `Unknown</dt><dd class="value">1<`,
			`Sessions</dt><dd class="value">1<`, "a-rather-long-name.mx.example.com", "192.0.2.20:25", "TLS 1.3", "queue ID Q-eve",
			"greylisted, come again in 300 seconds", "nowhere.example: no such domain", "connection closed by the server", "2 opened, 3 used again", "5 of 20",
		} {
			if !strings.Contains(body, want) {
				t.Errorf("%q is not on the page", want)
			}
		}
		if strings.Contains(body, "The content is secret") {
			t.Error("content is on the page")
		}
	})
}

// A session in use, one that is dialled, and a delivery that waits are on the page
// while they are.
func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&debugpage.Page{})
		defer w.close(t.Context())
		w.page.Pool.PerDestination = 1
		w.net["192.0.2.10:25"] = nil // never answers
		for range 2 {
			go w.send(t.Context(), "bob@example.net")
		}
		synctest.Wait()
		_, body := w.get(t, "")
		for _, want := range []string{`Under way</dt><dd class="value">2<`, `>dialing</span>`, "1 in use, 1 waited for", "wanted: may"} {
			if !strings.Contains(body, want) {
				t.Errorf("%q is not on the page", want)
			}
		}
		time.Sleep(time.Hour)
	})
}

// Addresses are hidden wherever they stand, unless the program shows them.
func TestAddresses(t *testing.T) {
	always := func(*smtpclient.Envelope) bool { return true }
	for _, shown := range []debugpage.Addresses{debugpage.AddressesHidden, debugpage.AddressesShown} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(&debugpage.Page{Addresses: shown, Dialogue: always})
			defer w.close(t.Context())
			w.send(t.Context(), "carol@example.net", "dave@example.net", "bob@example.net")
			for _, query := range []string{"", "?delivery=1"} {
				_, body := w.get(t, query)
				for _, name := range []string{"carol", "CAROL", "dave", "ann@", "helpdesk@"} {
					if got := strings.Contains(body, name); got && shown == debugpage.AddressesHidden {
						t.Errorf("%s: %q is shown", query, name)
					} else if !got && shown == debugpage.AddressesShown && query != "" {
						t.Errorf("%s: %q is hidden", query, name)
					}
				}
				if !strings.Contains(body, "@example.net") {
					t.Errorf("%s: the domain is not there", query)
				}
			}
		})
	}
}

// An address without a domain is hidden, too.
func TestAddressWithoutDomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&debugpage.Page{Dialogue: func(*smtpclient.Envelope) bool { return true }})
		defer w.close(t.Context())
		w.client.NextHops = []string{"[192.0.2.10]"}
		w.send(t.Context(), "postmaster")
		_, body := w.get(t, "?delivery=1")
		if text := plain(body); strings.Contains(text, "postmaster") || !strings.Contains(text, "RCPT TO:<***>") {
			t.Errorf("the page says %s", text)
		}
	})
}

// A dialogue is kept where the program wants it, without the content unless it
// asks for some.
func TestDialogue(t *testing.T) {
	for content := range 2 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(&debugpage.Page{Content: 30 * content, Dialogue: func(env *smtpclient.Envelope) bool { return env.To[0].Address == "bob@example.net" }})
			defer w.close(t.Context())
			w.send(t.Context(), "bob@example.net")
			w.send(t.Context(), "frank@example.com")
			_, body := w.get(t, "?delivery=1")
			text := plain(body)
			for _, want := range []string{"MAIL FROM:<***@example.org> SIZE=", "RCPT TO:<***@example.net>", "354 go ahead", "<56 bytes>"} {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in the dialogue:\n%s", want, text)
				}
			}
			if got, want := strings.Contains(text, "Subject: for bob@example.net\r\n"), content > 0; got != want {
				t.Errorf("the begin of the content is there: %v, want %v", got, want)
			}
			if strings.Contains(text, "is secret") {
				t.Error("the rest of the content is there")
			}
			if _, body := w.get(t, "?delivery=2"); !strings.Contains(body, "It was not kept.") {
				t.Error("a dialogue was kept that nobody wanted")
			}
		})
	}
}

var tag = regexp.MustCompile(`<[^>]*>`)

// plain is the text of a page.
func plain(body string) string { return html.UnescapeString(tag.ReplaceAllString(body, "")) }

// Who watches a domain gets the dialogue of the next delivery there, and of no
// other; later deliveries are not listened to.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&debugpage.Page{})
		defer w.close(t.Context())
		answered := make(chan *http.Response)
		go func() {
			r, _ := w.get(t, "debug/mail?watch=Example.COM")
			answered <- r
		}()
		synctest.Wait()
		w.send(t.Context(), "bob@example.net")
		synctest.Wait()
		select {
		case r := <-answered:
			t.Fatalf("it was answered with %v before the delivery", r.Header)
		default:
		}
		w.send(t.Context(), "frank@example.com")
		r := <-answered
		if r.StatusCode != 303 || r.Header.Get("Location") != "?delivery=2" {
			t.Fatalf("%v, %v", r.Status, r.Header)
		}
		w.send(t.Context(), "frank@example.com")
		for id, want := range map[int]bool{1: false, 2: true, 3: false} {
			if _, body := w.get(t, fmt.Sprintf("?delivery=%d", id)); strings.Contains(body, "RCPT TO:") != want {
				t.Errorf("delivery %d has its dialogue: %v, want %v", id, !want, want)
			}
		}
	})
}

// Watching ends by itself, and so do too many at a time.
func TestWatchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&debugpage.Page{})
		defer w.close(t.Context())
		start := time.Now()
		statuses := make(chan int, 9)
		for range 9 {
			go func() {
				r, _ := w.get(t, "?watch=example.com")
				statuses <- r.StatusCode
			}()
		}
		if status := <-statuses; status != 429 || time.Since(start) != 0 {
			t.Errorf("one too many got %d after %v", status, time.Since(start))
		}
		for range 8 {
			if status := <-statuses; status != 200 || time.Since(start) != 30*time.Second {
				t.Errorf("%d after %v", status, time.Since(start))
			}
		}
		w.send(t.Context(), "frank@example.com")
		if _, body := w.get(t, "?delivery=1"); strings.Contains(body, "RCPT TO:") {
			t.Error("a dialogue was kept for those who have left")
		}
	})
}

// The oldest deliveries are forgotten, and those in trouble are not pushed out by
// the others.
func TestForgetting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&debugpage.Page{Keep: 3})
		defer w.close(t.Context())
		w.send(t.Context(), "carol@example.net")
		for range 5 {
			w.send(t.Context(), "bob@example.net")
		}
		for id, status := range map[int]int{1: 200, 2: 404, 3: 404, 4: 200, 5: 200, 6: 200} {
			if r, _ := w.get(t, fmt.Sprintf("?delivery=%d", id)); r.StatusCode != status {
				t.Errorf("delivery %d: %d, want %d", id, r.StatusCode, status)
			}
		}
		_, body := w.get(t, "")
		var order []string
		for _, m := range regexp.MustCompile(`href="\?delivery=(\d+)"`).FindAllStringSubmatch(body, -1) {
			order = append(order, m[1])
		}
		if got := strings.Join(order, " "); got != "1 6 5 4" {
			t.Errorf("the order is %s", got)
		}
	})
}

// What a server says, and what else comes from outside, is text.
func TestHostileText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&debugpage.Page{Addresses: debugpage.AddressesShown, Dialogue: func(*smtpclient.Envelope) bool { return true }, Content: 1000})
		defer w.close(t.Context())
		w.send(smtpclient.WithQueueID(t.Context(), hostile), `"<b id=hostile>"@example.net`, "carol@example.net")
		for _, query := range []string{"", "?delivery=1", "?watch=" + "%3Cb%20id=hostile%3E"} {
			_, body := w.get(t, query)
			if strings.Contains(body, "<b id") || strings.Contains(body, "<script") || strings.Contains(body, "<img") || strings.Count(body, "<style>") != 1 {
				t.Errorf("%s: an element of the server's is on the page", query)
			}
			if !strings.Contains(plain(body), "<b id=hostile>") {
				t.Errorf("%s: what the server said is not on the page", query)
			}
		}
	})
}

// A long dialogue keeps its begin and its end.
func TestLongDialogue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&debugpage.Page{Dialogue: func(*smtpclient.Envelope) bool { return true }})
		defer w.close(t.Context())
		var to []string
		for i := range 2000 {
			to = append(to, fmt.Sprintf("r%d@example.net", i))
		}
		w.send(t.Context(), to...)
		_, body := w.get(t, "?delivery=1")
		text := plain(body)
		if n := strings.Count(body, `class="side"`); n < 300 || n > 460 {
			t.Errorf("%d lines", n)
		}
		for _, want := range []string{"220 mx.example.net", "lines are left out)", "354 go ahead", "and 1980 recipients more"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is missing", want)
			}
		}
		if len(body) > 1<<20 {
			t.Errorf("the page has %d bytes", len(body))
		}
	})
}
