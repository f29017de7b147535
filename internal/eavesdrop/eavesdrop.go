// Package eavesdrop is for tests: it searches all that the library says, in reports
// and errors in every form, in traces, logs and caches, for the secrets that it was
// given, as they are and as they can be written otherwise.
package eavesdrop

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"

	"github.com/postrider/postrider/smtpclient"
)

// Listener looks for some secrets. It is safe for many goroutines. It must come from
// New.
type Listener struct {
	pieces []string // of the secrets

	mu    sync.Mutex
	heard int
	leaks []string
	kept  []string
	keep  bool
}

// Of each secret pieces of 8 bytes are looked for, 4 apart, so that any 11 bytes of
// it are found: a server may repeat a part of what it heard.
const (
	pieceSize = 8
	pieceStep = 4
)

// New listens for secrets, which have 12 bytes or more.
func New(secrets ...string) *Listener {
	l := &Listener{}
	for _, s := range secrets {
		if len(s) < pieceSize+pieceStep {
			panic("eavesdrop: the secret is too short to be told from other text")
		}
		for i := 0; i+pieceSize <= len(s); i += pieceStep {
			l.pieces = append(l.pieces, s[i:i+pieceSize])
		}
		first := s[:pieceSize]
		l.pieces = append(l.pieces, fmt.Sprintf("%x", first), fmt.Sprintf("%X", first), strings.Trim(fmt.Sprint([]byte(first)), "[]"))
	}
	return l
}

// Keep has the listener remember what it hears, for Find.
func (l *Listener) Keep() *Listener {
	l.keep = true
	return l
}

var inBase64 = regexp.MustCompile(`[A-Za-z0-9+/_-]{16,}`)

// Check tells whether a text holds a secret, also in base64 from any place on, and
// notes it.
func (l *Listener) Check(text string) bool {
	leak := l.holds(text)
	for _, word := range inBase64.FindAllString(text, -1) {
		word = strings.NewReplacer("-", "+", "_", "/").Replace(word)
		for i := range 4 {
			plain, _ := base64.RawStdEncoding.DecodeString(word[i : i+(len(word)-i)&^3])
			leak = leak || l.holds(string(plain))
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard++
	if l.keep {
		l.kept = append(l.kept, text)
	}
	if leak {
		l.leakLocked(text)
	}
	return leak
}

func (l *Listener) holds(text string) bool {
	for _, p := range l.pieces {
		if strings.Contains(text, p) {
			return true
		}
	}
	return false
}

func (l *Listener) leakLocked(text string) {
	if len(l.leaks) < 10 {
		l.leaks = append(l.leaks, text)
	}
}

// Find looks for further secrets in what was kept, as those that came about on the
// way and were seen on the wire.
func (l *Listener) Find(secrets ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, text := range l.kept {
		for _, s := range secrets {
			if strings.Contains(text, s) {
				l.leakLocked(text)
			}
		}
	}
}

// Heard is how many texts there were.
func (l *Listener) Heard() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heard
}

// Leaks are the first texts that held a secret.
func (l *Listener) Leaks() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leaks
}

// Write is for loggers.
func (l *Listener) Write(p []byte) (int, error) {
	l.Check(string(p))
	return len(p), nil
}

// Context gives a ctx whose trace and log are heard.
func (l *Listener) Context(ctx context.Context) context.Context {
	log := slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx = smtpclient.WithTrace(ctx, smtpclient.LogTrace(log))
	return smtpclient.WithTrace(ctx, &smtpclient.Trace{
		Start: func(_ context.Context, e smtpclient.Event) { l.Check(fmt.Sprintf("%+v", e)) },
		Done:  func(_ context.Context, e smtpclient.Event) { l.Check(fmt.Sprintf("%+v", e)) },
		Line:  func(_ context.Context, line string) { l.Check(line) },
	})
}

// Value prints something in all ways that there are, and the errors below it.
func (l *Listener) Value(v any) {
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X"} {
		fmt.Fprintf(&out, verb+"\n", v)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "value", v)
	}
	text, _ := json.Marshal(v)
	out.Write(text)
	l.Check(out.String())
	switch err := v.(type) {
	case interface{ Unwrap() error }:
		l.below(err.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range err.Unwrap() {
			l.below(err)
		}
	}
}

func (l *Listener) below(err error) {
	if err != nil {
		l.Value(err)
	}
}

// Report listens to what a call gave.
func (l *Listener) Report(report smtpclient.Report, err error) {
	l.Value(report)
	l.below(err)
	for _, o := range report.Outcomes {
		l.below(o.Err())
		l.below(o.Cause)
		for _, a := range o.Earlier {
			l.Value(a)
			l.below(a.Cause)
		}
	}
}
