package debugpage

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	_ "embed" // for the page and its style
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

//go:embed page.html
var pageText string

//go:embed style.css
var style string

var page = template.Must(template.New("page").Parse(pageText))

// styleHash is what the style is allowed by: CSP Level 3, Section 2.3.1.
func styleHash() string {
	sum := sha256.Sum256([]byte(style))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// maxRows is how many rows a table has.
const maxRows = 100

// view is what the page is made of.
type view struct {
	Style    template.CSS
	Now      string
	Since    string
	Notice   string
	Tiles    []tile
	Pool     *poolView
	Limits   []limitRow
	Limiter  *smtpclient.LimiterStats
	Troubled []deliveryRow
	Others   []deliveryRow
	Delivery *deliveryView // nil: the overview
}

type tile struct{ Label, Value, Note, Tone string }

type poolView struct {
	smtpclient.PoolStats
	Sessions     []sessionRow
	Destinations []destinationRow
	More         int // sessions that are left out
	MoreElse     int // destinations
}

type sessionRow struct{ Destination, Host, Addr, Phase, TLS, Login, Uses, Age, Resting string }

type destinationRow struct {
	Name                 string
	InUse, Idle, Waiting int
	Last                 string
}

type limitRow struct {
	Key, Used, Max, Until string
	Waiting               int
	Full                  bool
}

type deliveryRow struct {
	ID                             int64
	When, Queue, To, Status, Stage string
	Host, DSN, Text, Took, Others  string
	Dialogue                       bool
}

type deliveryView struct {
	deliveryRow
	From, Size string
	Earlier    int
	Outcomes   []outcomeView
	More       int // recipients that are left out
	Lines      []lineView
	Content    string
	Shown      bool // addresses are
}

type outcomeView struct {
	Address, Status, Stage, Server, Addr, DSN, TLS, Login, Text string
	Reused                                                      int
	Notes                                                       []string
	Times                                                       []timeView
}

// timeView is a bar of a stage's time: from X on, W wide, of 1000.
type timeView struct {
	Stage, Took string
	X, W        int
}

type lineView struct{ Side, Text string }

// render writes the page. It is made whole first: a fault shows as such.
func render(w http.ResponseWriter, status int, v *view) {
	v.Style = template.CSS(style)
	var b bytes.Buffer
	if err := page.Execute(&b, v); err != nil {
		http.Error(w, "The page could not be made: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}

// overview is the page with everything on it.
func (p *Page) overview(notice string) *view {
	now := time.Now()
	v := &view{Now: now.UTC().Format("2006-01-02 15:04:05 MST"), Since: short(now.Sub(p.begun())), Notice: notice}
	c := p.stats.Counts()
	v.Tiles = []tile{
		{"Delivered", number(c.Of(smtpclient.Delivered)), size(c.Bytes), "good"},
		{"Deferred", number(c.Of(smtpclient.Deferred)), "will be tried again", tone(c.Of(smtpclient.Deferred), "wait")},
		{"Failed", number(c.Of(smtpclient.Failed)), "for good", tone(c.Of(smtpclient.Failed), "bad")},
		{"Unknown", number(c.Of(smtpclient.Unknown)), "may have been taken", tone(c.Of(smtpclient.Unknown), "odd")},
		{"Under way", number(c.Active), number(c.Deliveries) + " deliveries ended", ""},
	}
	if p.Pool != nil {
		v.Pool = p.poolView(now)
		v.Tiles = append(v.Tiles, tile{"Sessions", strconv.Itoa(v.Pool.InUse + v.Pool.Idle), fmt.Sprintf("%d in use, %d waited for", v.Pool.InUse, v.Pool.Waiting), tone(int64(v.Pool.Waiting), "wait")})
	}
	if p.Limiter != nil {
		s := p.Limiter.Stats()
		v.Limiter = &s
		for _, l := range p.Limiter.Limits(maxRows) {
			row := limitOf(l, now)
			row.Key = (&redactor{shown: p.Addresses == AddressesShown}).text(row.Key) // a program may limit its users
			v.Limits = append(v.Limits, row)
		}
	}
	troubled, others := p.log.newest(maxRows)
	for i := range troubled {
		v.Troubled = append(v.Troubled, p.row(&troubled[i], now))
	}
	for i := range others {
		v.Others = append(v.Others, p.row(&others[i], now))
	}
	return v
}

func (p *Page) poolView(now time.Time) *poolView {
	v := &poolView{PoolStats: p.Pool.Stats()}
	sessions := p.Pool.Sessions()
	v.More = max(len(sessions)-maxRows, 0)
	for _, s := range sessions[:len(sessions)-v.More] {
		row := sessionRow{Destination: s.Destination, Host: s.Host, Addr: s.Addr, Phase: s.Phase.String(), TLS: "wanted: " + s.Wanted.String(), Uses: strconv.Itoa(s.Uses)}
		if s.Phase != smtpclient.PoolDialing {
			row.Age = short(s.Age)
		}
		if s.Phase == smtpclient.PoolIdle {
			row.Resting, row.TLS = short(s.Resting), tlsText(s.TLS)
			if s.Login != "" {
				row.Login = (&redactor{shown: p.Addresses == AddressesShown}).address(s.Login)
			}
		}
		v.Sessions = append(v.Sessions, row)
	}
	destinations := p.Pool.Destinations()
	v.MoreElse = max(len(destinations)-maxRows, 0)
	for _, d := range destinations[:len(destinations)-v.MoreElse] {
		v.Destinations = append(v.Destinations, destinationRow{d.Name, d.InUse, d.Idle, d.Waiting, short(now.Sub(d.Last)) + " ago"})
	}
	return v
}

func limitOf(l smtpclient.LimitState, now time.Time) limitRow {
	row := limitRow{Key: l.Key, Used: strconv.Itoa(l.InUse), Waiting: l.Waiting, Full: l.Waiting > 0 || !l.Until.IsZero()}
	row.Max = strconv.Itoa(l.Most)
	if l.Per > 0 {
		row.Used, row.Max = "", fmt.Sprintf("%d in %s", l.Max, short(l.Per))
	} else if l.Most != l.Max {
		row.Max += fmt.Sprintf(" of %d", l.Max)
	}
	if !l.Until.IsZero() {
		row.Until = short(l.Until.Sub(now))
	}
	return row
}

func (p *Page) row(rec *record, now time.Time) deliveryRow {
	r := p.redactor(rec)
	row := deliveryRow{ID: rec.id, When: short(now.Sub(rec.start.Add(rec.took))) + " ago", Queue: rec.queueID, Status: rec.worst().String(), Took: short(rec.took), Dialogue: rec.dialogue != nil}
	if rec.to > 1 {
		row.Others = fmt.Sprintf("and %d more", rec.to-1)
	}
	for i := range rec.outcomes {
		if o := &rec.outcomes[i]; o.Status == rec.worst() {
			row.To, row.Stage, row.Host, row.DSN, row.Text = r.address(o.Address), o.Stage.String(), o.Host, o.Enhanced, r.cause(&o.Attempt)
			break
		}
	}
	return row
}

// serveDelivery shows one delivery.
func (p *Page) serveDelivery(w http.ResponseWriter, number string) {
	id, err := strconv.ParseInt(number, 10, 64)
	rec, ok := p.log.find(id)
	if err != nil || !ok {
		render(w, http.StatusNotFound, p.overview("This delivery is not remembered any more."))
		return
	}
	now := time.Now()
	r := p.redactor(&rec)
	d := &deliveryView{deliveryRow: p.row(&rec, now), From: r.address(rec.from), Size: size(rec.size), Earlier: rec.earlier, More: rec.to - len(rec.outcomes), Shown: r.shown}
	for i := range rec.outcomes {
		d.Outcomes = append(d.Outcomes, outcomeOf(&rec.outcomes[i], r))
	}
	if rec.dialogue != nil {
		for _, line := range rec.dialogue.lines() {
			d.Lines = append(d.Lines, lineOf(r.line(line)))
		}
		d.Content = string(rec.dialogue.content)
	}
	render(w, http.StatusOK, &view{Now: now.UTC().Format("2006-01-02 15:04:05 MST"), Since: short(now.Sub(p.begun())), Delivery: d})
}

func outcomeOf(o *outcome, r *redactor) outcomeView {
	v := outcomeView{Address: r.address(o.Address), Status: o.Status.String(), Stage: o.Stage.String(), Server: o.Host, Addr: o.Addr,
		DSN: o.Enhanced, TLS: tlsText(o.TLS), Reused: o.Reused, Text: r.cause(&o.Attempt)}
	if o.Login != "" {
		v.Login = r.address(o.Login)
	}
	for _, note := range o.Notes {
		v.Notes = append(v.Notes, r.text(note))
	}
	total, at := time.Duration(0), time.Duration(0)
	for _, d := range o.Times {
		total += max(d, 0)
	}
	for stage, d := range o.Times {
		if d < time.Microsecond {
			continue
		}
		x := int(1000 * at / total)
		at += d
		v.Times = append(v.Times, timeView{smtpclient.Stage(stage).String(), short(d), x, max(int(1000*at/total)-x, 4)})
	}
	return v
}

func lineOf(s string) lineView {
	switch {
	case strings.HasPrefix(s, "C: "):
		return lineView{"client", s[3:]}
	case strings.HasPrefix(s, "S: "):
		return lineView{"server", s[3:]}
	}
	return lineView{"note", s}
}

func tlsText(s tlspolicy.State) string {
	switch {
	case s.Reached == 0:
		return ""
	case s.Version == 0:
		return "plaintext"
	}
	text := tls.VersionName(s.Version) + ", " + tls.CipherSuiteName(s.Cipher)
	if s.Verified != "" {
		text += ", verified by " + s.Verified
	}
	return text
}

func tone(n int64, tone string) string {
	if n == 0 {
		return ""
	}
	return tone
}

// number writes 1234567 as 1 234 567, with thin spaces.
func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u2009" + s[i:]
	}
	return s
}

func size(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	f, unit := float64(n), 0
	for f >= 1000 && unit < len(units)-1 {
		f /= 1000
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.3g %s", f, units[unit])
}

// short is a duration with as much of it as a person reads.
func short(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}
