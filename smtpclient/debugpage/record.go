package debugpage

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/smtpclient"
)

const (
	// maxOutcomes is how many recipients of a delivery are remembered.
	maxOutcomes = 20
	// dialogueEnd is how many lines are kept of the begin of a dialogue, and at least
	// of its end; of each dialogueLine bytes.
	dialogueEnd  = 150
	dialogueLine = 1000
)

// log is the deliveries that are remembered.
type log struct {
	watching atomic.Int32 // how many watch

	mu       sync.Mutex
	last     int64 // the number given out last
	troubled ring  // those with somebody who was not delivered
	spoken   ring  // others whose dialogue was kept
	smooth   ring  // all others
	watchers []*watcher
}

// ring holds the last records.
type ring struct {
	list []*record
	next int
}

// slot is room for another record: that of the oldest one, once there are enough.
func (r *ring) slot(most int) *record {
	if len(r.list) < most {
		r.list = append(r.list, &record{})
		return r.list[len(r.list)-1]
	}
	rec := r.list[r.next]
	r.next = (r.next + 1) % len(r.list)
	return rec
}

// record is one delivery. What a delivery brought does not change once it is in a
// ring.
type record struct {
	id       int64
	queueID  string
	from     string
	to       int // recipients
	start    time.Time
	took     time.Duration
	size     int64
	outcomes []outcome // the first of them
	earlier  int       // attempts before those that decided
	dialogue *dialogue // nil: it was not kept
}

// outcome is what became of one recipient, without what is not shown.
type outcome struct {
	Address string
	Status  smtpclient.Status
	smtpclient.Attempt
}

// dialogue is what was said in one delivery.
type dialogue struct {
	env     *smtpclient.Envelope // of its delivery; it is only compared
	watcher *watcher             // who waits for it; nil: nobody
	content []byte               // its begin, if the program asks for it

	mu      sync.Mutex
	head    []string
	tail    []string
	leftOut int
}

func (d *dialogue) line(_ context.Context, line string) {
	if len(line) > dialogueLine {
		line = line[:dialogueLine] + "..."
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.head) < dialogueEnd {
		d.head = append(d.head, line)
		return
	}
	if len(d.tail) == 2*dialogueEnd {
		d.leftOut += dialogueEnd
		d.tail = append(d.tail[:0], d.tail[dialogueEnd:]...)
	}
	d.tail = append(d.tail, line)
}

// lines are those that are left.
func (d *dialogue) lines() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	lines := append([]string(nil), d.head...)
	if d.leftOut > 0 {
		lines = append(lines, fmt.Sprintf("(%d lines are left out)", d.leftOut))
	}
	return append(lines, d.tail...)
}

type dialogueKey struct{}

// Trace gives the Trace that tells the page of deliveries; see
// smtpclient.WithTrace. Lines are listened to only where a dialogue is kept.
func (p *Page) Trace() *smtpclient.Trace {
	p.begun()
	counting := p.stats.Trace()
	return &smtpclient.Trace{
		Begin: func(ctx context.Context, env *smtpclient.Envelope, content smtpclient.Content) context.Context {
			ctx = counting.Begin(ctx, env, content)
			d := p.dialogueOf(env)
			if d == nil {
				return ctx
			}
			d.env, d.content = env, beginOf(content, p.Content)
			return smtpclient.WithTrace(context.WithValue(ctx, dialogueKey{}, d), &smtpclient.Trace{Line: d.line})
		},
		End: func(ctx context.Context, env *smtpclient.Envelope, r *smtpclient.Report) {
			counting.End(ctx, env, r)
			p.record(ctx, env, r)
		},
	}
}

// dialogueOf is where the dialogue of a delivery goes, or nil.
func (p *Page) dialogueOf(env *smtpclient.Envelope) *dialogue {
	if p.log.watching.Load() > 0 {
		if w := p.log.watcherOf(env); w != nil {
			return &dialogue{watcher: w}
		}
	}
	if p.Dialogue != nil && p.Dialogue(env) {
		return &dialogue{}
	}
	return nil
}

// beginOf is the first bytes of a content.
func beginOf(content smtpclient.Content, most int) []byte {
	if most <= 0 || content == nil {
		return nil
	}
	r, err := content.Open()
	if err != nil {
		return nil // the delivery finds out, too
	}
	defer r.Close()
	begin, _ := io.ReadAll(io.LimitReader(r, int64(most)))
	return begin
}

// record remembers a delivery. It copies, into memory that an older one has left.
func (p *Page) record(ctx context.Context, env *smtpclient.Envelope, r *smtpclient.Report) {
	d, _ := ctx.Value(dialogueKey{}).(*dialogue)
	if d != nil && d.env != env {
		d = nil // of a delivery that this one is part of, as of a report that a hook sends
	}
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	p.log.last++
	rec := p.log.ringFor(r, d).slot(p.keep())
	outcomes := rec.outcomes[:0]
	*rec = record{id: p.log.last, queueID: smtpclient.QueueID(ctx), from: env.From, to: len(r.Outcomes), start: r.Start, took: r.Duration, size: r.Size, dialogue: d}
	for i := range r.Outcomes[:min(len(r.Outcomes), maxOutcomes)] {
		from := &r.Outcomes[i]
		outcomes = append(outcomes, outcome{from.Address, from.Status, *from.Attempt})
		outcomes[i].Transcript = nil
		rec.earlier += len(from.Earlier)
	}
	rec.outcomes = outcomes
	if d != nil && d.watcher != nil {
		d.watcher.found <- rec.id
	}
}

func (l *log) ringFor(r *smtpclient.Report, d *dialogue) *ring {
	for i := range r.Outcomes {
		if r.Outcomes[i].Status != smtpclient.Delivered {
			return &l.troubled
		}
	}
	if d != nil {
		return &l.spoken
	}
	return &l.smooth
}

// newest gives some deliveries, the newest first: those in trouble, and the others.
// They are copies, since records are used again.
func (l *log) newest(most int) (troubled, others []record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return newest(most, l.troubled.list), newest(most, l.spoken.list, l.smooth.list)
}

func newest(most int, lists ...[]*record) []record {
	all := slices.Concat(lists...)
	slices.SortFunc(all, func(a, b *record) int { return cmp.Compare(b.id, a.id) })
	copies := make([]record, min(len(all), most))
	for i := range copies {
		copies[i] = all[i].copy()
	}
	return copies
}

func (r *record) copy() record {
	c := *r
	c.outcomes = slices.Clone(r.outcomes)
	return c
}

// find gives a copy of the delivery with a number.
func (l *log) find(id int64) (record, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, rec := range slices.Concat(l.troubled.list, l.spoken.list, l.smooth.list) {
		if rec.id == id {
			return rec.copy(), true
		}
	}
	return record{}, false
}

// worst is the verdict that a delivery is shown with: what needs a look first.
func (r *record) worst() smtpclient.Status {
	order := [...]int{smtpclient.Delivered: 0, smtpclient.Deferred: 1, smtpclient.Failed: 2, smtpclient.Unknown: 3}
	worst := smtpclient.Delivered
	for i := range r.outcomes {
		if s := r.outcomes[i].Status; order[s] > order[worst] {
			worst = s
		}
	}
	return worst
}

// domainOf is the domain of an address, in lower case.
func domainOf(address string) string {
	return strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
}
