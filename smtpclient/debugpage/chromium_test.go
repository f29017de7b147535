package debugpage_test

import (
	"bytes"
	"fmt"
	"image/png"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/debugpage"
)

// In a browser the page fits on a desktop and on a phone, in light and dark; what
// a server says is text; nothing else is loaded; and the browser has nothing to
// complain of. POSTRIDER_SCREENSHOTS names a folder for the pictures.
func TestInChromium(t *testing.T) {
	b := openBrowser(t)
	w := newWorld(&debugpage.Page{Dialogue: func(*smtpclient.Envelope) bool { return true }})
	defer w.close(t.Context())
	ctx := smtpclient.WithQueueID(t.Context(), hostile)
	w.send(ctx, "bob@example.net")
	for range 3 {
		w.send(t.Context(), "bob@example.net", "frank@example.com")
	}
	w.send(t.Context(), "dave@example.net")
	w.send(t.Context(), "bob@nowhere.example")
	w.send(t.Context(), "eve@example.net")
	w.send(ctx, "carol@example.net", "bob@example.net", "dave@example.net")
	server := httptest.NewServer(w.page)
	defer server.Close()
	url := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	for _, screen := range []struct {
		name          string
		width, height int
		colors        string
	}{{"desktop", 1280, 900, "light"}, {"desktop", 1280, 900, "dark"}, {"phone", 390, 844, "light"}, {"phone", 390, 844, "dark"}, {"small-phone", 320, 568, "light"}} {
		for name, query := range map[string]string{"overview": "/", "delivery": "/?delivery=8", "unknown": "/?delivery=99"} {
			if name == "unknown" && screen.name != "phone" {
				continue
			}
			what := fmt.Sprintf("%s-%s-%s", name, screen.name, screen.colors)
			b.screen(screen.width, screen.height, screen.colors)
			b.open(url + query)
			checkPage(t, b, what)
			keepPicture(t, b, what, screen.width)
		}
	}
}

func checkPage(t *testing.T, b *browser, what string) {
	t.Helper()
	if wide, window := number(t, b.eval("document.documentElement.scrollWidth")), number(t, b.eval("document.documentElement.clientWidth")); wide > window {
		t.Errorf("%s: it is %v wide in a window of %v", what, wide, window)
	}
	if n := number(t, b.eval(`[...document.querySelectorAll('body *')].filter(e => e.getClientRects().length && (e.getBoundingClientRect().right > innerWidth + 1 || e.getBoundingClientRect().left < -1)).length`)); n > 0 {
		t.Errorf("%s: %v elements reach out of the window", what, n)
	}
	if n := number(t, b.eval(`[...document.querySelectorAll('td, dd, p, li, h3')].filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0).length`)); n > 0 {
		t.Errorf("%s: %v texts are wider than their place", what, n)
	}
	if size := number(t, b.eval(`Math.min(...[...document.querySelectorAll('body *')].filter(e => e.childElementCount == 0 && e.textContent.trim() && e.tagName != 'STYLE' && e.tagName != 'TITLE').map(e => parseFloat(getComputedStyle(e).fontSize)))`)); size < 13 {
		t.Errorf("%s: a text has %v px", what, size)
	}
	if c := contrast(t, b); c < 4.5 {
		t.Errorf("%s: a text has a contrast of %.2f; WCAG 2 wants 4.5", what, c)
	}
	if title := b.eval("document.title").(string); strings.Contains(title, "owned") || !strings.Contains(title, "Postrider") {
		t.Errorf("%s: the title is %q", what, title)
	}
	if n := number(t, b.eval(`document.querySelectorAll('script, img, iframe, object, link, #hostile').length + document.querySelectorAll('style').length - 1`)); n != 0 {
		t.Errorf("%s: %v elements that are none of ours", what, n)
	}
	if display := b.eval(`getComputedStyle(document.querySelector('.tile, .facts')).backgroundColor`).(string); display == "" {
		t.Errorf("%s: the style is not there", what)
	}
	if radius := b.eval(`getComputedStyle(document.querySelector('section')).borderTopLeftRadius`).(string); radius == "0px" {
		t.Errorf("%s: the style was not let in", what)
	}
	if strings.HasPrefix(what, "delivery") && !strings.Contains(b.eval("document.body.innerText").(string), `<script>document.title="owned"</script>`) {
		t.Errorf("%s: what the server said is not there", what)
	}
	for _, complaint := range b.said("Log.entryAdded") {
		if !strings.Contains(complaint, "favicon") && !(strings.HasPrefix(what, "unknown") && strings.Contains(complaint, "404")) {
			t.Errorf("%s: the browser says %s", what, complaint)
		}
	}
	for _, url := range b.requested() {
		if !strings.Contains(url, "/?delivery=") && !strings.HasSuffix(url, "/") {
			t.Errorf("%s: it asks for %s", what, url)
		}
	}
}

// contrast is the least of all texts against what is behind them.
func contrast(t *testing.T, b *browser) float64 {
	t.Helper()
	return number(t, b.eval(`(() => {
		const rgb = s => s.match(/[\d.]+/g).map(Number);
		const light = c => { const [r, g, b] = c.slice(0, 3).map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126*r + 0.7152*g + 0.0722*b; };
		const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
		let least = 21;
		for (const e of document.querySelectorAll('body *')) {
			if (e.closest('svg') || ![...e.childNodes].some(n => n.nodeType == 3 && n.textContent.trim())) continue;
			const a = light(rgb(getComputedStyle(e).color)), c = light(behind(e));
			least = Math.min(least, (Math.max(a, c) + 0.05) / (Math.min(a, c) + 0.05));
		}
		return least;
	})()`))
}

// keepPicture keeps a picture, which has to be one of the page at this width.
func keepPicture(t *testing.T, b *browser, what string, width int) {
	t.Helper()
	picture := b.screenshot()
	image, err := png.DecodeConfig(bytes.NewReader(picture))
	if err != nil || image.Width%width != 0 {
		t.Fatalf("%s: a picture of %d x %d: %v", what, image.Width, image.Height, err)
	}
	if folder := os.Getenv("POSTRIDER_SCREENSHOTS"); folder != "" {
		if err := os.WriteFile(filepath.Join(folder, what+".png"), picture, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
