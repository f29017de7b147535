package smtpclient

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/postrider/postrider/tlspolicy"
)

// LogRecord is what a log says of one recipient: what the line of Postfix's smtp(8)
// holds. Its strings are as the server or the caller gave them; String makes them
// safe for a line.
type LogRecord struct {
	QueueID  string // see WithQueueID; "": none
	To       string
	Original string // of ORCPT, where it differs from To; "" otherwise
	Relay    string // "mx.example.net[192.0.2.25]:25", "none"
	Uses     int    // transactions on the connection, this one included; zero without one
	// Delay is from the arrival of the message until the verdict, and Delays its
	// parts: before the call; waiting for the Limiter and the Pool; until the session
	// was ready, earlier hosts included; the transaction. Without Envelope.Arrival the
	// first one is zero.
	Delay  time.Duration
	Delays [4]time.Duration
	TLS    string // what was wanted, and what came of it: "may", "may:none", "dane", "!secure:encrypt", "dane?"; "" before that was decided
	DSN    string // RFC 3463
	// Status is sent, deferred or bounced, and for Envelope.Verify deliverable or
	// undeliverable. Unknown is deferred, as in Postfix, and Text says that the message
	// may be sent twice.
	Status string
	Text   string // the reply, or the cause

	verdict Status
}

type queueIDKey struct{}

// WithQueueID gives a ctx whose deliveries have this name in logs, in traces and on
// the debug page: that of the message in the caller's queue.
func WithQueueID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, queueIDKey{}, id)
}

// QueueID is the name that WithQueueID gave; "" without one.
func QueueID(ctx context.Context) string {
	id, _ := ctx.Value(queueIDKey{}).(string)
	return id
}

// LogRecords are those of a report, one for each recipient. It suits Trace.End.
func LogRecords(ctx context.Context, env *Envelope, r *Report) []LogRecord {
	records := make([]LogRecord, len(r.Outcomes))
	for i := range r.Outcomes {
		records[i] = logRecord(env, r, i)
		records[i].QueueID = QueueID(ctx)
	}
	return records
}

func logRecord(env *Envelope, r *Report, i int) LogRecord {
	o := &r.Outcomes[i]
	if o.Attempt == nil { // a program made it
		made := *o
		o, made.Attempt = &made, &Attempt{}
	}
	l := LogRecord{To: o.Address, TLS: tlsFeature(o.TLS), DSN: o.Enhanced, verdict: o.Status}
	l.Relay, l.Text = relayAndText(o)
	if _, original, ok := strings.Cut(env.To[i].ORCPT, ";"); ok && original != o.Address {
		l.Original = original
	}
	if o.Addr != "" {
		l.Uses = o.Reused + 1
	}
	l.Delays = delays(env, r, o)
	for _, d := range l.Delays {
		l.Delay += d
	}
	l.Status = [...]string{Unknown: "deferred", Delivered: "sent", Deferred: "deferred", Failed: "bounced"}[o.Status]
	if env.Verify != VerifyNo {
		l.Status = "undeliverable"
		if o.Status == Delivered {
			l.Status = "deliverable"
		}
	}
	return l
}

// relayAndText are LogRecord's. Of what was delivered they share their memory, since
// that is most of all records.
func relayAndText(o *Outcome) (server, text string) {
	if o.Cause != nil || o.Status != Delivered {
		return relay(o.Attempt), verdictText(o)
	}
	var room [256]byte
	b := appendRelay(room[:0], o.Attempt)
	n := len(b)
	both := string(o.Reply.append(b))
	return both[:n], both[n:]
}

// relay is the server as Postfix names it.
func relay(a *Attempt) string {
	var room [128]byte
	return string(appendRelay(room[:0], a))
}

func appendRelay(b []byte, a *Attempt) []byte {
	if a.Addr == "" {
		return append(b, "none"...)
	}
	ip, port := addressAndPort(a.Addr)
	if path, ok := strings.CutPrefix(a.Addr, "unix:"); ok {
		ip, port = path, ""
	}
	b = append(append(append(b, a.Host...), '['), ip...)
	return append(append(b, ']'), port...)
}

// namedHost is host and address without the port.
func namedHost(a *Attempt) string {
	ip, _ := addressAndPort(a.Addr)
	if ip == "" {
		return a.Host
	}
	return a.Host + "[" + ip + "]"
}

// addressAndPort cuts what netip.AddrPort has made.
func addressAndPort(addr string) (ip, port string) {
	i := strings.LastIndexByte(addr, ':')
	if i < 0 || strings.HasPrefix(addr, "unix:") {
		return "", ""
	}
	return strings.Trim(addr[:i], "[]"), addr[i:]
}

// delays cuts the time of a recipient into four parts that sum up to it.
func delays(env *Envelope, r *Report, o *Outcome) (parts [4]time.Duration) {
	if before := r.Start.Sub(env.Arrival); !env.Arrival.IsZero() && before > 0 {
		parts[0] = before
	}
	left := o.At.Sub(r.Start)
	for stage := StageMail; stage <= StageDataDone; stage++ {
		parts[3] += o.Times[stage]
	}
	parts[3] = min(parts[3], left)
	left -= parts[3]
	parts[1] = min(o.Times[StageLimit]+o.Times[StagePool], left)
	parts[2] = left - parts[1]
	return parts
}

// tlsFeature says how TLS came out against what was wanted, in the words of
// Postfix's smtp_log_tls_feature_status: "!" where it was violated, "?" where
// it did not come to that.
func tlsFeature(s tlspolicy.State) string {
	if s.Wanted == 0 {
		return ""
	}
	wanted := s.Wanted.String()
	switch {
	case s.Reached == 0:
		return wanted + "?"
	case s.Wanted == tlspolicy.None, s.Reached == tlspolicy.Verify, s.Reached == tlspolicy.Encrypt && !s.Wanted.Authenticates():
		return wanted
	case s.Wanted.Mandatory():
		return "!" + wanted + ":" + s.Reached.String()
	}
	return wanted + ":" + s.Reached.String()
}

// LogReports gives a Trace that writes a record to l for each recipient, "smtp
// recipient", with the fields of LogRecord: at level Info if it was delivered,
// else Warn. What is Unknown has "verdict" besides, since status does not tell. A
// nil l is slog.Default().
func LogReports(l *slog.Logger) *Trace {
	if l == nil {
		l = slog.Default()
	}
	return &Trace{End: func(ctx context.Context, env *Envelope, r *Report) {
		h, id := l.Handler(), QueueID(ctx)
		for i := range r.Outcomes {
			level := slog.LevelWarn
			if r.Outcomes[i].Status == Delivered {
				level = slog.LevelInfo
			}
			// Straight to the handler: where in the code we are says nothing.
			if h.Enabled(ctx, level) {
				record := logRecord(env, r, i)
				record.QueueID = id
				entry := slog.NewRecord(r.Start.Add(r.Duration), level, "smtp recipient", 0)
				record.addTo(&entry)
				h.Handle(ctx, entry)
			}
		}
	}}
}

// addTo adds the fields, by the names that they have in Postfix's line. Those that
// say nothing are left out. All go in one call, and without a group: both would
// allocate once more.
func (l *LogRecord) addTo(entry *slog.Record) {
	var room [16]slog.Attr
	attrs := appendText(room[:0], "queue_id", l.QueueID)
	attrs = appendText(attrs, "to", l.To)
	attrs = appendText(attrs, "orig_to", l.Original)
	attrs = appendText(attrs, "relay", l.Relay)
	if l.Uses > 1 {
		attrs = append(attrs, slog.Int("conn_use", l.Uses))
	}
	attrs = append(attrs, slog.Duration("delay", l.Delay))
	for i, d := range l.Delays {
		if d != 0 {
			attrs = append(attrs, slog.Duration(delayNames[i], d))
		}
	}
	attrs = appendText(attrs, "tls", l.TLS)
	attrs = appendText(attrs, "dsn", l.DSN)
	attrs = appendText(attrs, "status", l.Status)
	if l.verdict == Unknown {
		attrs = append(attrs, slog.String("verdict", l.verdict.String()))
	}
	entry.AddAttrs(appendText(attrs, "text", l.Text)...)
}

// delayNames are those of LogRecord.Delays.
var delayNames = [4]string{"delays.before", "delays.waiting", "delays.setup", "delays.transaction"}

func appendText(attrs []slog.Attr, key, value string) []slog.Attr {
	if value == "" {
		return attrs
	}
	return append(attrs, slog.String(key, value))
}
