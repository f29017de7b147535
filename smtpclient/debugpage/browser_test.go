package debugpage_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"golang.org/x/net/websocket"
)

// browser is a headless Chromium, driven by its DevTools protocol.
type browser struct {
	t       *testing.T
	conn    *websocket.Conn
	session string // of the tab
	next    int
	events  []message // that have come and were not asked for
}

type message struct {
	ID        int                       `json:"id,omitempty"`
	SessionID string                    `json:"sessionId,omitempty"`
	Method    string                    `json:"method,omitempty"`
	Params    json.RawMessage           `json:"params,omitempty"`
	Result    json.RawMessage           `json:"result,omitempty"`
	Error     *struct{ Message string } `json:"error,omitempty"`
}

// openBrowser starts Debian's Chromium. In CI it has to be there.
func openBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("POSTRIDER_CI") == "1" {
			t.Fatal("chromium is missing: install Debian's package chromium")
		}
		t.Skip("chromium is missing: install Debian's package chromium")
	}
	// Not t.TempDir, which wants to be the last to touch it: other processes of the browser
	// may write there for a moment after the first one has ended.
	dir, err := os.MkdirTemp("", "chromium")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cmd := exec.Command(path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",
		"--remote-allow-origins=*", "--remote-debugging-port=0", "--user-data-dir="+dir, "about:blank")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	lines := bufio.NewReader(stderr)
	listening := regexp.MustCompile(`DevTools listening on (ws://\S+)`)
	b := &browser{t: t}
	for b.conn == nil {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal("chromium ended before it listened: ", err)
		}
		if m := listening.FindStringSubmatch(line); m != nil {
			if b.conn, err = websocket.Dial(m[1], "", "http://localhost"); err != nil {
				t.Fatal(err)
			}
		}
	}
	go io.Copy(io.Discard, lines)
	t.Cleanup(func() { b.conn.Close() })
	b.conn.SetDeadline(time.Now().Add(20 * time.Minute)) // of all that is said; a browser that hangs must not hang the test
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	b.call("Page.enable", nil, nil)
	b.call("Log.enable", nil, nil)
	b.call("Network.enable", nil, nil)
	b.call("Emulation.setScrollbarsHidden", map[string]any{"hidden": true}, nil)
	return b
}

// call calls a method, and keeps the events that come meanwhile.
func (b *browser) call(method string, params, result any) {
	b.t.Helper()
	if params == nil {
		params = map[string]any{}
	}
	raw, err := json.Marshal(params)
	if err != nil {
		b.t.Fatal(err)
	}
	b.next++
	if err := websocket.JSON.Send(b.conn, message{ID: b.next, SessionID: b.session, Method: method, Params: raw}); err != nil {
		b.t.Fatal(err)
	}
	for {
		m := b.receive()
		switch {
		case m.ID != b.next:
			b.events = append(b.events, m)
			continue
		case m.Error != nil:
			b.t.Fatalf("%s: %s", method, m.Error.Message)
		case result != nil:
			if err := json.Unmarshal(m.Result, result); err != nil {
				b.t.Fatal(err)
			}
		}
		return
	}
}

func (b *browser) receive() (m message) {
	b.t.Helper()
	if err := websocket.JSON.Receive(b.conn, &m); err != nil {
		b.t.Fatal("chromium: ", err)
	}
	return m
}

// screen sets the size of the window, in CSS pixels, and the colors that are
// preferred.
func (b *browser) screen(width, height int, colors string) {
	b.t.Helper()
	phone := width < 600
	scale := 1
	if phone {
		scale = 2
	}
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone}, nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": colors}}}, nil)
}

// open loads a page and waits until all of it is there.
func (b *browser) open(url string) {
	b.t.Helper()
	b.events = nil
	b.call("Page.navigate", map[string]any{"url": url}, nil)
	loaded := func() bool {
		for _, e := range b.events {
			if e.Method == "Page.loadEventFired" {
				return true
			}
		}
		return false
	}
	for !loaded() {
		b.events = append(b.events, b.receive())
	}
}

// eval gives the value of an expression in the page.
func (b *browser) eval(expression string) any {
	b.t.Helper()
	var answer struct {
		Result           struct{ Value any }
		ExceptionDetails *struct{ Text string }
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &answer)
	if answer.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, answer.ExceptionDetails.Text)
	}
	return answer.Result.Value
}

// said are the events of some method, as text.
func (b *browser) said(method string) (list []string) {
	for _, e := range b.events {
		if e.Method == method {
			list = append(list, string(e.Params))
		}
	}
	return list
}

// screenshot takes a picture of the whole page, as a PNG.
func (b *browser) screenshot() []byte {
	b.t.Helper()
	var shot struct{ Data []byte }
	b.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &shot)
	return shot.Data
}

// requested are the addresses that were asked for since open.
func (b *browser) requested() (urls []string) {
	for _, params := range b.said("Network.requestWillBeSent") {
		var p struct{ Request struct{ URL string } }
		if err := json.Unmarshal([]byte(params), &p); err != nil {
			b.t.Fatal(err)
		}
		urls = append(urls, p.Request.URL)
	}
	return urls
}

// number makes a number of what eval gives.
func number(t *testing.T, v any) float64 {
	t.Helper()
	n, ok := v.(float64)
	if !ok {
		t.Fatalf("%v is no number", v)
	}
	return n
}
