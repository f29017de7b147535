package tlspolicy_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/tlspolicy"
)

// outbox takes mails as a Reporter sends them.
type outbox struct {
	mu    sync.Mutex
	mails []sentMail
	tries []string // as told: when, domain, URI, ok or the error
	start time.Time
	fail  func(to string) error // nil: nothing fails
}

type sentMail struct {
	when           time.Time
	from, to, text string
}

const signature = "DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=x;\r\n h=From:TLS-Report-Domain; bh=YQ==;\r\n\tb=YQ==\r\n"

func sign(_ context.Context, message []byte) ([]byte, error) {
	return append([]byte(signature), message...), nil
}

func (o *outbox) send(_ context.Context, from, to string, message []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fail != nil {
		if err := o.fail(to); err != nil {
			return err
		}
	}
	o.mails = append(o.mails, sentMail{time.Now(), from, to, string(message)})
	return nil
}

func (o *outbox) tried(r tlspolicy.Report, uri string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	what := "ok"
	if err != nil {
		what = err.Error()
	}
	o.tries = append(o.tries, fmt.Sprintf("%v %s %s", time.Since(o.start).Truncate(time.Minute), uri, what))
}

// reporter sends into the outbox, at a time that is known.
func (o *outbox) reporter(c *tlspolicy.Collector) *tlspolicy.Reporter {
	o.start = time.Now()
	return &tlspolicy.Reporter{Collector: c, Sign: sign, Send: o.send, Tried: o.tried, Spread: 1}
}

// runs lets a Reporter run for a while.
func runs(t *testing.T, r *tlspolicy.Reporter, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := r.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
}

const aDay = 24 * time.Hour

// Each day has its report, some time after it is over, not at the same time everywhere.
func TestReporterEveryDay(t *testing.T) {
	when := make(map[time.Duration]bool)
	for range 5 {
		synctest.Test(t, func(t *testing.T) {
			o, c := &outbox{}, newCollector(nil, "")
			r := o.reporter(c)
			r.Spread = 0
			go func() {
				for range 3 {
					c.Record(t.Context(), good("example.net"))
					c.Record(t.Context(), good("silent.example"))
					time.Sleep(aDay)
				}
			}()
			runs(t, r, 4*aDay)
			if len(o.mails) != 3 {
				t.Fatalf("%d mails: %q", len(o.mails), o.tries)
			}
			for i, m := range o.mails {
				late := m.when.Sub(o.start.Add(time.Duration(i+1) * aDay))
				if late < 15*time.Minute || late > 4*time.Hour+15*time.Minute || m.to != "tlsrpt@example.net" || m.from != "tlsrpt@example.org" {
					t.Errorf("mail %d to %s from %s, %v after the day", i, m.to, m.from, late)
				}
				when[late] = true
				body := report(t, m)
				if want := o.start.Add(time.Duration(i) * aDay).UTC().Format("2006-01-02T15:04:05Z"); body.Range.Start != want || body.Policies[0].Summary.Success != 1 {
					t.Errorf("mail %d is about %+v, %+v; want %s", i, body.Range, body.Policies, want)
				}
			}
		})
	}
	if len(when) != 15 {
		t.Errorf("only %d different times of 15", len(when))
	}
}

// report reads a mail as its receiver does, by RFC 8460, Section 5.3.
func report(t *testing.T, m sentMail) told {
	t.Helper()
	if !strings.HasPrefix(m.text, signature) || strings.Contains(strings.ReplaceAll(m.text, "\r\n", ""), "\n") {
		t.Errorf("unsigned, or with bare LF: %.200q", m.text)
	}
	for line := range strings.Lines(m.text) {
		if len(line) > 1000 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	message, err := mail.ReadMessage(strings.NewReader(m.text))
	if err != nil {
		t.Fatal(err)
	}
	h := message.Header
	media, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || media != "multipart/report" || params["report-type"] != "tlsrpt" {
		t.Fatalf("%s %v, %v", media, params, err)
	}
	parts := multipart.NewReader(message.Body, params["boundary"])
	words, err := parts.NextPart()
	if err != nil || !strings.HasPrefix(words.Header.Get("Content-Type"), "text/plain") {
		t.Fatalf("%v, %v", words, err)
	}
	file, err := parts.NextPart()
	if err != nil || file.Header.Get("Content-Type") != "application/tlsrpt+gzip" {
		t.Fatalf("%v, %v", file, err)
	}
	zipped, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, file))
	if err != nil {
		t.Fatal(err)
	}
	body := read(t, unzip(t, zipped))
	if _, err := parts.NextPart(); err != io.EOF {
		t.Errorf("a third part: %v", err)
	}
	domain := strings.TrimPrefix(m.to, "tlsrpt@")
	for name, want := range map[string]string{
		"From": "<tlsrpt@example.org>", "To": "<" + m.to + ">", "Tls-Report-Domain": domain, "Tls-Report-Submitter": "example.org",
		"Tls-Required": "No", "Auto-Submitted": "auto-generated",
		"Subject": "Report Domain: " + domain + " Submitter: example.org Report-ID: <" + body.ID + ">",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	start, _ := time.Parse(time.RFC3339, body.Range.Start)
	if want := fmt.Sprintf("example.org!%s!%d!%d!", domain, start.Unix(), start.Unix()+86399); !strings.HasPrefix(file.FileName(), want) || !strings.HasSuffix(file.FileName(), ".json.gz") {
		t.Errorf("the file is called %s, want %s", file.FileName(), want)
	}
	return body
}

// unzip is a Report of which only JSON and sums are set.
func unzip(t *testing.T, zipped []byte) tlspolicy.Report {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	r := tlspolicy.Report{JSON: text}
	var sums told
	if err := json.Unmarshal(text, &sums); err != nil {
		t.Fatal(err)
	}
	for _, p := range sums.Policies {
		r.Successes += p.Summary.Success
		r.Failures += p.Summary.Failure
	}
	return r
}

type fault struct{ temporary bool }

func (f fault) Error() string   { return "no" }
func (f fault) Temporary() bool { return f.temporary }

// What cannot be sent is tried again for a day, each time after twice as long; what is
// refused for good is not, and who has the report does not get it again.
func TestReporterTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outbox{fail: func(to string) error {
			switch to {
			case "tlsrpt@later.example":
				return fmt.Errorf("sending: %w", fault{true})
			case "tlsrpt@never.example":
				return fmt.Errorf("sending: %w", fault{false})
			}
			return nil
		}}
		c := newCollector(nil, "")
		for _, domain := range []string{"later.example", "never.example", "example.net", "lost.example"} {
			c.Record(t.Context(), good(domain))
		}
		c.Resolver.(*everybody).lost = map[string]bool{"lost.example": true}
		runs(t, o.reporter(c), 3*aDay)
		var later []string
		for _, try := range o.tries {
			if strings.Contains(try, "later") {
				later = append(later, strings.Fields(try)[0])
			}
		}
		count := func(words string) (n int) {
			for _, try := range o.tries {
				if strings.Contains(try, words) {
					n++
				}
			}
			return n
		}
		if len(later) != 9 || count("never") != 1 || count("example.net ok") != 1 || count("lost.example") != 9 || len(o.mails) != 1 {
			t.Errorf("tries: %q", o.tries)
		}
		before := time.Duration(0)
		for i, text := range later {
			at, err := time.ParseDuration(text)
			least := 5 * time.Minute << max(0, i-1)
			if i == 0 {
				least = aDay + 15*time.Minute
			}
			if wait := at - before; err != nil || wait < least-time.Minute || i > 0 && wait > least*11/10+time.Minute {
				t.Errorf("try %d after %v, want %v; %v", i, wait, least, err)
			}
			before = at
		}
	})
}

// A server that comes back gets the report, and only once.
func TestReporterSucceedsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, c := &outbox{}, newCollector(nil, "")
		o.fail = func(string) error {
			if time.Since(o.start) < aDay+time.Hour {
				return fault{true}
			}
			return nil
		}
		c.Record(t.Context(), bad("example.net", "certificate-expired"))
		runs(t, o.reporter(c), 3*aDay)
		if len(o.mails) != 1 || len(o.tries) != 5 {
			t.Fatalf("tries: %q", o.tries)
		}
		if got := report(t, o.mails[0]); got.Policies[0].Summary.Failure != 1 {
			t.Errorf("%+v", got)
		}
	})
}

// Who has a clock of his own sends when he likes, and hears whether all arrived.
func TestReporterSendDay(t *testing.T) {
	for name, tt := range map[string]struct {
		err   error
		mails int
		want  string
		took  time.Duration
	}{
		"all arrive": {nil, 1, "", 0},
		"refused":    {fault{false}, 0, "have not arrived", 0},
		"too late":   {fault{true}, 0, "have not arrived", 20 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, c := &outbox{fail: func(string) error { return tt.err }}, newCollector(&cache.Memory{}, "a")
				r := o.reporter(c)
				c.Record(t.Context(), good("example.net"))
				for range 2 { // the second time there is nothing to do
					err := r.SendDay(t.Context(), o.start)
					if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
						t.Errorf("error %v, want %q", err, tt.want)
					}
					tt.want = ""
				}
				if took := time.Since(o.start); len(o.mails) != tt.mails || took < tt.took || took > tt.took+4*time.Hour {
					t.Errorf("%d mails, %v", len(o.mails), took)
				}
			})
		})
	}
	o, c := &outbox{}, newCollector(nil, "")
	c.Record(t.Context(), good("example.net"))
	r := o.reporter(c)
	r.Tried = func(tlspolicy.Report, string, error) { panic("out of order") }
	if err := r.SendDay(t.Context(), time.Now()); err != nil || len(o.mails) != 1 {
		t.Errorf("where Tried panics: %v, %d mails", err, len(o.mails))
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (&tlspolicy.Reporter{Collector: newCollector(nil, "")}).SendDay(ended, time.Now()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := (&tlspolicy.Reporter{}).SendDay(t.Context(), time.Now()); err == nil {
		t.Error("a Reporter without a Collector sends")
	}
}

// Without a good signature nothing is sent: receivers would ignore it.
func TestReporterWantsSignature(t *testing.T) {
	lines := func(header string) func(context.Context, []byte) ([]byte, error) {
		return func(_ context.Context, m []byte) ([]byte, error) { return append([]byte(header), m...), nil }
	}
	for name, tt := range map[string]struct {
		sign func(context.Context, []byte) ([]byte, error)
		want string
	}{
		"none":            {lines(""), "no DKIM-Signature"},
		"in the body":     {func(_ context.Context, m []byte) ([]byte, error) { return append(m, signature...), nil }, "no DKIM-Signature"},
		"empty":           {lines("DKIM-Signature: v=1; d=example.org; b=\r\n"), "no DKIM-Signature"},
		"another domain":  {lines("DKIM-Signature: v=1; d=example.com; b=YQ==\r\n"), "no DKIM-Signature"},
		"a domain above":  {lines("dkim-signature : v=1; d=Org; b=YQ==\r\n"), ""},
		"part of it":      {lines("DKIM-Signature: v=1; d=example.org; l=10; b=YQ==\r\n"), "has l="},
		"the second":      {lines("DKIM-Signature: v=1; d=example.com; b=YQ==\r\n" + signature), ""},
		"signer fails":    {func(context.Context, []byte) ([]byte, error) { return nil, errDown }, "Reporter.Sign: down"},
		"signer panics":   {func(context.Context, []byte) ([]byte, error) { panic("no key") }, "panic in a hook of the Reporter: no key"},
		"everything well": {sign, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, c := &outbox{}, newCollector(nil, "")
				c.Record(t.Context(), good("example.net"))
				r := o.reporter(c)
				r.Sign = tt.sign
				runs(t, r, aDay+16*time.Minute)
				if len(o.tries) != 1 || tt.want != "" && !strings.Contains(o.tries[0], tt.want) || (len(o.mails) == 1) != (tt.want == "") {
					t.Errorf("tries %q, %d mails; want %q", o.tries, len(o.mails), tt.want)
				}
			})
		})
	}
}

// A process that is stopped and started again sends what it had not sent, under the same
// ID, and what it had sent not again; what all processes counted is gone then.
func TestReporterRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &cache.Memory{}
		peer := newCollector(store, "peer")
		peer.Record(t.Context(), bad("example.net", "certificate-expired"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := peer.Keep(ctx); err != nil {
			t.Fatal(err)
		}
		first := newCollector(store, "one", "peer")
		o := &outbox{}
		for _, domain := range []string{"example.net", "example.com"} {
			first.Record(t.Context(), good(domain))
		}
		runs(t, o.reporter(first), 12*time.Hour) // the machine is off at midnight
		id := today(t, first)["example.net"].ID
		time.Sleep(12 * time.Hour)
		o.fail = func(to string) error {
			if to == "tlsrpt@example.net" {
				return errDown
			}
			return nil
		}
		runs(t, o.reporter(newCollector(store, "one", "peer")), time.Hour)
		if len(o.mails) != 1 || o.mails[0].to != "tlsrpt@example.com" {
			t.Fatalf("mails %+v", o.mails)
		}
		o.fail = nil
		for i := range 3 {
			if i == 1 && stored(store, "peer")+stored(store, "one") != 0 {
				t.Error("what was sent is still stored")
			}
			runs(t, o.reporter(newCollector(store, "one", "peer")), time.Hour)
		}
		if len(o.mails) != 2 || o.mails[1].to != "tlsrpt@example.net" {
			t.Fatalf("mails %+v", o.mails)
		}
		// What is stored too late is in no report, and in no second one.
		late := bad("example.net", "certificate-expired")
		late.Time = time.Now().Add(-aDay)
		peer.Record(t.Context(), late)
		if err := peer.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
		runs(t, o.reporter(newCollector(store, "one", "peer")), time.Hour)
		if len(o.mails) != 2 {
			t.Errorf("mails %+v", o.mails)
		}
		body := report(t, o.mails[1])
		if s := body.Policies[0].Summary; s.Success != 1 || s.Failure != 1 || body.ID != id {
			t.Errorf("%+v; the ID was %s", body, id)
		}
		for i := range 256 {
			if value, ok, _ := store.Get(t.Context(), fmt.Sprintf("tlsrpt1:2000-01-01:%02x:one", i)); ok {
				t.Errorf("still stored: %s", value)
			}
		}
	})
}

// stored is how many parts a process has in the store for the first day.
func stored(store cache.Cache, name string) (n int) {
	for i := range 256 {
		if _, ok, _ := store.Get(context.Background(), fmt.Sprintf("tlsrpt1:2000-01-01:%02x:%s", i, name)); ok {
			n++
		}
	}
	return n
}

// What is told of a day after its reports went out is in those of the next.
func TestReporterLateResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, c := &outbox{}, newCollector(nil, "")
		late := good("example.net")
		c.Record(t.Context(), late)
		time.Sleep(aDay + time.Hour)
		if err := o.reporter(c).SendDay(t.Context(), late.Time); err != nil {
			t.Fatal(err)
		}
		c.Record(t.Context(), late)
		if reports := today(t, c); len(o.mails) != 1 || reports["example.net"].Successes != 1 {
			t.Errorf("%d mails, then %+v", len(o.mails), reports)
		}
	})
}

// Reports go out side by side, but not more at once than Parallel says.
func TestReporterParallel(t *testing.T) {
	for parallel, want := range map[int]int{0: 8, 3: 3} {
		synctest.Test(t, func(t *testing.T) {
			o, c := &outbox{}, newCollector(nil, "")
			for i := range 60 {
				c.Record(t.Context(), good(fmt.Sprintf("d%d.example", i)))
			}
			r := o.reporter(c)
			r.Parallel = parallel
			var mu sync.Mutex
			now, most := 0, 0
			r.Send = func(ctx context.Context, from, to string, message []byte) error {
				mu.Lock()
				now++
				most = max(most, now)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				now--
				mu.Unlock()
				return o.send(ctx, from, to, message)
			}
			runs(t, r, 2*aDay)
			if most != want || len(o.mails) != 60 {
				t.Errorf("Parallel %d: %d at once, %d mails", parallel, most, len(o.mails))
			}
		})
	}
}

func TestReporterFaults(t *testing.T) {
	c := newCollector(nil, "")
	for want, r := range map[string]*tlspolicy.Reporter{
		"Reporter.Collector":           {},
		"Reporter.Sign and Send":       {Collector: c, Sign: sign},
		"Reporter.Spread and Parallel": {Collector: c, Spread: -1},
	} {
		if err := r.Run(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	// Who only posts is no error: mail addresses are left out.
	synctest.Test(t, func(t *testing.T) {
		o, c := &outbox{}, newCollector(nil, "")
		c.Record(t.Context(), good("example.net"))
		r := o.reporter(c)
		r.Sign, r.Send = nil, nil
		runs(t, r, 3*aDay)
		if len(o.tries) != 1 || !strings.Contains(o.tries[0], "neither Sign nor Send") {
			t.Errorf("tries %q", o.tries)
		}
	})
}

func TestMessageFaults(t *testing.T) {
	for _, to := range []string{"", "a", "a@b.example>\r\nBcc: c@d.example", "ä@example.net"} {
		if m, err := (tlspolicy.Report{}).Message(to); err == nil || !strings.HasPrefix(err.Error(), "to: ") {
			t.Errorf("%q: %q, %v", to, m, err)
		}
	}
}
