package debugpage

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/smtpclient"
)

const (
	watchTime   = 30 * time.Second
	maxWatchers = 8
)

// watcher is somebody who looks at the page and waits for a dialogue.
type watcher struct {
	domain string
	found  chan int64 // gets the number of the delivery; has room for it
}

// watch adds a watcher; nil where there are too many.
func (l *log) watch(domain string) *watcher {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watching.Load() >= maxWatchers {
		return nil
	}
	w := &watcher{domain: domain, found: make(chan int64, 1)}
	l.watchers = append(l.watchers, w)
	l.watching.Add(1)
	return w
}

// leave ends watching, if no delivery has come meanwhile.
func (l *log) leave(w *watcher) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.watchers, w); i >= 0 {
		l.watchers = slices.Delete(l.watchers, i, i+1)
		l.watching.Add(-1)
	}
}

// watcherOf takes the first one who waits for a delivery like this.
func (l *log) watcherOf(env *smtpclient.Envelope) *watcher {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, w := range l.watchers {
		if slices.ContainsFunc(env.To, func(r smtpclient.Recipient) bool { return domainOf(r.Address) == w.domain }) {
			l.watchers = slices.Delete(l.watchers, i, i+1)
			l.watching.Add(-1)
			return w
		}
	}
	return nil
}

// serveWatch waits for the next delivery to a domain, and leads to it.
func (p *Page) serveWatch(w http.ResponseWriter, r *http.Request, domain string) {
	domain = strings.ToLower(strings.TrimSpace(domain))
	watcher := p.log.watch(domain)
	if watcher == nil {
		render(w, http.StatusTooManyRequests, p.overview("Too many dialogues are being waited for. Try again in half a minute."))
		return
	}
	defer p.log.leave(watcher)
	timer := time.NewTimer(watchTime)
	defer timer.Stop()
	select {
	case id := <-watcher.found:
		// http.Redirect would leave out the end of the path.
		w.Header().Set("Location", fmt.Sprintf("?delivery=%d", id))
		w.WriteHeader(http.StatusSeeOther)
	case <-timer.C:
		render(w, http.StatusOK, p.overview(fmt.Sprintf("No delivery to %s has ended within %v.", domain, watchTime)))
	case <-r.Context().Done():
	}
}
