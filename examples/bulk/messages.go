package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"

	"github.com/postrider/postrider/smtpclient"
)

// messages are those of an mbox file, or of the .eml files of a directory.
func messages(name string) iter.Seq2[[]byte, error] {
	if files := emlFiles(name); files != nil {
		return func(yield func([]byte, error) bool) {
			for _, file := range files {
				if !yield(os.ReadFile(file)) {
					return
				}
			}
		}
	}
	return func(yield func([]byte, error) bool) {
		f, err := os.Open(name)
		if err != nil {
			yield(nil, err)
			return
		}
		defer f.Close()
		readMbox(f, yield)
	}
}

// size is how much messages will give, or a little more.
func size(name string) (total int64, err error) {
	files := emlFiles(name)
	if files == nil {
		files = []string{name}
	}
	for _, file := range files {
		st, err := os.Stat(file)
		if err == nil && st.IsDir() {
			err = fmt.Errorf("%s: there is no file *.eml in it", name)
		}
		if err != nil {
			return 0, err
		}
		total += st.Size()
	}
	return max(1, total), nil
}

func emlFiles(dir string) []string {
	files, _ := filepath.Glob(filepath.Join(dir, "*.eml"))
	return files
}

// quoted is a line of a message that would look like the start of another one: most
// programs put a > in front, and one more where there is one.
var quoted = regexp.MustCompile(`^>+From `)

// readMbox reads an mbox file: each message begins with a line "From ", after an
// empty one.
func readMbox(r io.Reader, yield func([]byte, error) bool) {
	lines := bufio.NewReader(r)
	var message []byte
	begun, empty := false, true
	for {
		line, err := lines.ReadBytes('\n')
		if empty && bytes.HasPrefix(line, []byte("From ")) {
			if begun && !yield(withoutLast(message), nil) {
				return
			}
			message, begun, empty = nil, true, false
			continue
		}
		if len(line) > 0 && !begun {
			yield(nil, errors.New("this is no mbox file: it does not begin with From and a space"))
			return
		}
		if quoted.Match(line) {
			line = line[1:]
		}
		message, empty = append(message, line...), len(bytes.TrimRight(line, "\r\n")) == 0
		if err == nil {
			continue
		}
		if err != io.EOF {
			yield(nil, err)
		} else if begun {
			yield(withoutLast(message), nil)
		}
		return
	}
}

// withoutLast takes the empty line away that ends a message in an mbox file.
func withoutLast(message []byte) []byte {
	for _, end := range []string{"\r\n\r\n", "\n\n"} {
		if bytes.HasSuffix(message, []byte(end)) {
			return message[:len(message)-len(end)/2]
		}
	}
	return message
}

// envelope takes sender and recipients from the header.
func envelope(message []byte) (env smtpclient.Envelope, err error) {
	m, err := mail.ReadMessage(bytes.NewReader(message))
	if err != nil {
		return env, fmt.Errorf("a message without a header: %w", err)
	}
	from, err := m.Header.AddressList("From")
	if err != nil {
		return env, fmt.Errorf("the field From: %w", err)
	}
	env.From = from[0].Address
	for _, field := range []string{"To", "Cc"} {
		to, err := m.Header.AddressList(field)
		if err != nil && m.Header.Get(field) != "" {
			return env, fmt.Errorf("the field %s: %w", field, err)
		}
		for _, a := range to {
			env.To = append(env.To, smtpclient.Recipient{Address: a.Address})
		}
	}
	if len(env.To) == 0 {
		return env, errors.New("a message without recipients in To and Cc")
	}
	return env, nil
}
