package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/postrider/postrider/smtpclient"
)

// letter is what is sent. The same one is sent again and again, and each sender
// finds in it what it needs, made before.
type letter struct {
	from    string
	to      []string
	body    []byte
	text    string             // the body
	content smtpclient.Content // the body, scanned once
	env     smtpclient.Envelope
	file    string             // with the same bytes; "" where no sender needs it
	spooled smtpclient.Content // that file, scanned once; nil likewise
	lines   string             // a file with the lines of the body, which end in LF; likewise
	wires   [rawOverlapped + 1]wire
}

func letterTo(n, size int) *letter {
	l := &letter{from: "ann@example.org", env: smtpclient.Envelope{From: "ann@example.org"}}
	for i := range n {
		to := fmt.Sprintf("recipient%d@example.net", i)
		l.to = append(l.to, to)
		l.env.To = append(l.env.To, smtpclient.Recipient{Address: to})
	}
	l.fill(text(size))
	return l
}

func (l *letter) fill(body []byte) {
	l.body, l.text, l.content = body, string(body), smtpclient.Bytes(body)
}

func text(size int) []byte {
	line := strings.Repeat("A line of a message that needs no repair. ", 2)[:70] + "\r\n"
	b := []byte("From: ann@example.org\r\nTo: somebody@example.net\r\nSubject: bench\r\n\r\n")
	b = append(b, bytes.Repeat([]byte(line), size/len(line)+1)...)[:size-2]
	return append(b, "\r\n"...)
}

// broken gives a letter lines that end in LF, every tenth with a dot in front.
func broken(l *letter) *letter {
	lines := bytes.SplitAfter(bytes.ReplaceAll(l.body, []byte("\r\n"), []byte("\n")), []byte("\n"))
	for i := range lines {
		if i > 5 && i%10 == 0 && len(lines[i]) > 0 {
			lines[i] = append([]byte("."), lines[i]...)
		}
	}
	l.fill(bytes.Join(lines, nil))
	return l
}

// store writes the files of a letter; remove takes them away.
func (l *letter) store() (remove func(), err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	l.file, l.lines = dir+"/message.eml", dir+"/lines"
	l.spooled = smtpclient.File(l.file)
	remove = func() { os.RemoveAll(dir) }
	err = os.WriteFile(l.file, l.body, 0o600)
	if err == nil {
		err = os.WriteFile(l.lines, bytes.ReplaceAll(l.body, []byte("\r\n"), []byte("\n")), 0o600)
	}
	if err == nil { // a file that has just changed does not go straight: see smtpclient.ChunkingAuto
		hourAgo := time.Now().Add(-time.Hour)
		err = os.Chtimes(l.file, hourAgo, hourAgo)
	}
	if err != nil {
		remove()
	}
	return remove, err
}
