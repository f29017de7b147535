package smtpclient

import (
	"bytes"
	"context"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// PostfixLog writes what becomes of each recipient as Postfix's smtp(8) logs it, for
// the tools that read such logs:
//
//	Nov 21 14:03:09 mail postfix/smtp[4711]: 3F9A2: to=<bob@example.net>, relay=mx.example.net[192.0.2.25]:25, delay=0.41, delays=0.1/0/0.2/0.11, dsn=2.0.0, status=sent (250 2.0.0 ok)
//
// Before these comes a line of qmgr(8) with sender and size, where the ctx has a
// queue ID: sizes are known to such tools by that only. The fields must not change
// after the first delivery; Trace may be used by many goroutines.
type PostfixLog struct {
	Writer io.Writer // gets whole lines, those of a delivery in one Write; what it returns is ignored
	Host   string    // ours; "": os.Hostname
	// Service is the program in each line. "": "smtp"; "lmtp" suits package lmtp.
	Service string
	// TLS puts LogRecord.TLS into the line, behind delays, as "tls=may". Tools that are
	// older than smtp_log_tls_feature_status may not know it.
	TLS TLSLogging

	mu     sync.Mutex // guards Writer and what follows
	buf    []byte
	second int64 // of the time that stamp is
	stamp  []byte
}

// TLSLogging says whether TLS is in a log.
type TLSLogging uint8

// The values of PostfixLog.TLS.
const (
	TLSNotLogged TLSLogging = iota
	TLSLogged
)

// Trace gives the Trace that writes.
func (p *PostfixLog) Trace() *Trace {
	host := p.Host
	if host == "" {
		host, _ = os.Hostname()
	}
	if host == "" {
		host = "localhost"
	}
	service := p.Service
	if service == "" {
		service = "smtp"
	}
	before, pid := " "+inField(host)+" postfix/", "["+strconv.Itoa(os.Getpid())+"]: "
	qmgr, agent := before+"qmgr"+pid, before+service+pid
	return &Trace{End: func(ctx context.Context, env *Envelope, r *Report) {
		id := inField(QueueID(ctx))
		p.mu.Lock()
		defer p.mu.Unlock()
		b, now := p.buf[:0], p.stampLocked(time.Now())
		if id != "" {
			b = appendQueued(append(append(b, now...), qmgr...), id, env, r)
		}
		for i := range r.Outcomes {
			record := logRecord(env, r, i)
			record.QueueID = id
			b = append(append(b, now...), agent...)
			b = append(record.append(b, p.TLS), '\n')
		}
		p.Writer.Write(b)
		if p.buf = b; cap(b) > maxLogBuffer {
			p.buf = nil
		}
	}}
}

// stampLocked is the time as syslog writes it, made once in each second.
func (p *PostfixLog) stampLocked(now time.Time) []byte {
	if second := now.Unix(); p.stamp == nil || second != p.second {
		p.stamp, p.second = now.AppendFormat(p.stamp[:0], time.Stamp), second
	}
	return p.stamp
}

// maxLogBuffer is how much memory is kept for the next delivery.
const maxLogBuffer = 64 << 10

// appendQueued is what qmgr(8) says when a message is going to be delivered.
func appendQueued(b []byte, id string, env *Envelope, r *Report) []byte {
	b = append(append(b, id...), ": from=<"...)
	b = append(append(b, inAddress(strings.Trim(env.From, "<>"))...), ">, size="...)
	b = append(strconv.AppendInt(b, r.Size, 10), ", nrcpt="...)
	b = strconv.AppendInt(b, int64(len(env.To)), 10)
	return append(b, " (queue active)\n"...)
}

// String gives the record as Postfix's smtp(8) would log it, without what syslog
// adds: "3F9A2: to=<bob@example.net>, relay=...". A record without a queue ID has
// "NOQUEUE".
func (l LogRecord) String() string { return string(l.append(nil, TLSLogged)) }

func (l *LogRecord) append(b []byte, tls TLSLogging) []byte {
	id := inField(l.QueueID)
	if id == "" {
		id = "NOQUEUE"
	}
	b = append(append(b, id...), ": to=<"...)
	b = append(append(b, inAddress(l.To)...), ">, "...)
	if l.Original != "" {
		b = append(append(b, "orig_to=<"...), inAddress(l.Original)...)
		b = append(b, ">, "...)
	}
	b = append(append(b, "relay="...), inField(l.Relay)...)
	if l.Uses > 1 {
		b = strconv.AppendInt(append(b, ", conn_use="...), int64(l.Uses), 10)
	}
	b = appendDelay(append(b, ", delay="...), l.Delay)
	sep := ", delays="
	for _, d := range l.Delays {
		b = appendDelay(append(b, sep...), d)
		sep = "/"
	}
	if l.TLS != "" && tls == TLSLogged {
		b = append(append(b, ", tls="...), inField(l.TLS)...)
	}
	b = append(append(b, ", dsn="...), inField(l.DSN)...)
	b = append(append(b, ", status="...), l.Status...)
	b = append(append(b, " ("...), oneLine(l.Text)...)
	return append(b, ')')
}

// appendDelay writes seconds as Postfix does: two digits that count, and no more
// than two behind the point (delay_logging_resolution_limit).
func appendDelay(b []byte, d time.Duration) []byte {
	if d < 5*time.Millisecond {
		return append(b, '0')
	}
	s := d.Seconds()
	digits := 2
	switch {
	case s >= 9.95:
		digits = 0
	case s >= 0.995:
		digits = 1
	}
	from := len(b)
	b = strconv.AppendFloat(b, s, 'f', digits, 64)
	if digits > 0 {
		b = b[:from+len(bytes.TrimRight(bytes.TrimRight(b[from:], "0"), "."))]
	}
	return b
}

// oneLine replaces what could end the line or hide in it.
func oneLine(s string) string { return masked(s, "") }

// inField replaces also what ends a field of the line.
func inField(s string) string { return masked(s, ", ") }

// inAddress replaces what ends an address of the line: a quoted local part may
// have it (RFC 5321, Section 4.1.2).
func inAddress(s string) string { return masked(s, "<>") }

// masked replaces what does not belong into a line, and the characters of more.
func masked(s, more string) string {
	if isPlain(s, more) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || strings.ContainsRune(more, r) {
			return '?'
		}
		return r
	}, s)
}

// isPlain tells of most texts, without a look at each rune, that there is nothing to
// be replaced.
func isPlain(s, more string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f {
			return false
		}
	}
	for i := range len(more) {
		if strings.IndexByte(s, more[i]) >= 0 {
			return false
		}
	}
	return true
}

// verdictText says why, in the words that Postfix has and its tools look for.
func verdictText(o *Outcome) string {
	text := o.Reply.String()
	switch {
	case o.Cause == nil && o.Status == Delivered:
		return text
	case o.Cause == nil && o.Stage == StageGreeting:
		return "host " + namedHost(o.Attempt) + " refused to talk to me: " + text
	case o.Cause == nil:
		return "host " + namedHost(o.Attempt) + " said: " + text + " (in reply to " + commandOf(o.Stage) + ")"
	case o.Stage == StageConnect && o.Addr != "":
		text = "connect to " + relay(o.Attempt) + ": " + o.Cause.Error()
	case o.Addr != "":
		text = namedHost(o.Attempt) + ": " + o.Cause.Error() + " while waiting at " + commandOf(o.Stage)
	default:
		text = o.Cause.Error()
	}
	if o.Status == Unknown {
		text += " -- message may be sent more than once"
	}
	return text
}

// commandOf names what a stage waits for.
func commandOf(stage Stage) string {
	switch stage {
	case StageHello:
		return "EHLO command"
	case StageStartTLS:
		return "STARTTLS command"
	case StageAuth:
		return "AUTH command"
	case StageMail:
		return "MAIL FROM command"
	case StageRcpt:
		return "RCPT TO command"
	case StageDataInit:
		return "DATA command"
	case StageDataDone:
		return "end of DATA command"
	}
	return stage.String()
}
