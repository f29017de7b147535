package debugpage_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/debugpage"
)

// refused is the report of a delivery to one whom the server does not know.
func refused(address, text string) *smtpclient.Report {
	a := &smtpclient.Attempt{Stage: smtpclient.StageRcpt, Host: "mx.example.net", Cause: errors.New(text)}
	return &smtpclient.Report{Start: time.Now(), Outcomes: []smtpclient.Outcome{{Address: address, Status: smtpclient.Failed, Attempt: a}}}
}

// Local parts are hidden whatever they begin and end with, and what is no text at all
// does not take the page away.
func TestOddLocalParts(t *testing.T) {
	for _, local := range []string{"\u00f6laf", "caf\u00e9", "+list", "bob+", `"a b"`, "=odd=", "\xff\xfebad"} {
		page := &debugpage.Page{}
		told := page.Trace()
		env := &smtpclient.Envelope{From: "ann@example.org"}
		name := strings.Trim(local, `"`)
		told.End(told.Begin(t.Context(), env, nil), env, refused(local+"@example.net", "550 we have no "+name+" here"))
		for _, query := range []string{"", "?delivery=1"} {
			response, body := ask(t, page, "GET", "http://localhost/"+query)
			text := plain(body)
			if response.StatusCode != 200 || strings.Contains(text, name) || !strings.Contains(text, "we have no *** here") {
				t.Errorf("%q: %s, %s", local, response.Status, text)
			}
		}
	}
}

// Recipients whose outcomes are not kept are hidden in the dialogue all the same.
func TestManyRecipientsAreHidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&debugpage.Page{Dialogue: func(*smtpclient.Envelope) bool { return true }})
		defer w.close(t.Context())
		var to []string
		for i := range 30 {
			to = append(to, fmt.Sprintf("user%d@example.net", i))
		}
		w.send(t.Context(), append(to, "carol@example.net")...)
		if _, body := w.get(t, "?delivery=1"); strings.Contains(body, "CAROL") || !strings.Contains(body, "unknown, says ***") {
			t.Errorf("carol is shown: %s", plain(body))
		}
	})
}

// A delivery that a hook makes with the ctx of another one does not take that one's
// dialogue, nor the place of who waits for it.
func TestDeliveryWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(&debugpage.Page{})
		defer w.close(t.Context())
		answered := make(chan string)
		go func() {
			r, _ := w.get(t, "?watch=example.com")
			answered <- r.Header.Get("Location")
		}()
		synctest.Wait()
		told := w.page.Trace()
		outer, inner := &smtpclient.Envelope{To: []smtpclient.Recipient{{Address: "bob@example.com"}}}, &smtpclient.Envelope{}
		ctx := told.Begin(t.Context(), outer, nil)
		for range 3 {
			told.End(told.Begin(ctx, inner, nil), inner, refused("reports@example.net", "no"))
		}
		told.End(ctx, outer, refused("bob@example.com", "no"))
		if got := <-answered; got != "?delivery=4" {
			t.Errorf("the watcher is led to %q", got)
		}
		for id := 1; id <= 4; id++ {
			_, body := w.get(t, fmt.Sprint("?delivery=", id))
			if overview := strings.Contains(body, "not remembered"); overview {
				t.Errorf("delivery %d is not there", id)
			}
		}
	})
}

// A limit may be that of a user of the program.
func TestKeysOfLimits(t *testing.T) {
	limiter := &smtpclient.LocalLimiter{Rules: func(smtpclient.Use) []smtpclient.Limit {
		return []smtpclient.Limit{{Key: "sender ann@example.org", Max: 1}}
	}}
	lease, err := limiter.Acquire(context.Background(), smtpclient.Use{})
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	for shown, want := range map[debugpage.Addresses]string{debugpage.AddressesHidden: "sender ***@example.org", debugpage.AddressesShown: "sender ann@example.org"} {
		if _, body := ask(t, &debugpage.Page{Limiter: limiter, Addresses: shown}, "GET", "http://localhost/"); !strings.Contains(body, want) {
			t.Errorf("%q is not there", want)
		}
	}
}
