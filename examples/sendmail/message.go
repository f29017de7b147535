package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net/mail"
	"regexp"
	"strings"
	"time"
)

// message is what came in: the fields of the header, each with its line ends, and
// the body with the empty line before it.
type message struct {
	fields []string
	body   []byte
}

// readMessage reads to the end, or to a line with a dot alone.
func readMessage(in io.Reader, ignoreDots bool) (*message, error) {
	r := bufio.NewReader(in)
	m := new(message)
	var text bytes.Buffer
	for inHeader := true; ; {
		line, err := r.ReadString('\n')
		if end := strings.TrimRight(line, "\r\n"); end == "." && !ignoreDots {
			break
		}
		switch {
		case inHeader && len(m.fields) == 0 && strings.HasPrefix(line, "From "): // of a mailbox file
		case inHeader && m.continues(line):
			m.fields[len(m.fields)-1] += line
		case inHeader && fieldName(line) != "":
			m.fields = append(m.fields, line)
		case inHeader:
			inHeader = false
			if strings.TrimRight(line, "\r\n") != "" { // a body without its empty line
				text.WriteString("\n")
			}
			fallthrough
		default:
			text.WriteString(line)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, &fault{exTempFail, "reading the message: " + err.Error()}
		}
	}
	if m.body = text.Bytes(); len(m.body) == 0 {
		m.body = []byte("\n")
	}
	return m, nil
}

func (m *message) continues(line string) bool {
	return len(m.fields) > 0 && (line != "" && (line[0] == ' ' || line[0] == '\t')) && strings.TrimSpace(line) != ""
}

var fieldStart = regexp.MustCompile(`^([!-9;-~]+)[ \t]*:`)

// fieldName is the name of a field in lower case, "" if the line is none.
func fieldName(line string) string {
	if m := fieldStart.FindStringSubmatch(line); m != nil {
		return strings.ToLower(m[1])
	}
	return ""
}

// recipients are those of To, Cc and Bcc, or of the same fields of a message that is
// sent on.
func (m *message) recipients() ([]string, error) {
	var to []string
	for _, resent := range []string{"resent-", ""} {
		for _, field := range m.fields {
			switch name := fieldName(field); name {
			case resent + "to", resent + "cc", resent + "bcc":
				_, value, _ := strings.Cut(field, ":")
				listed, err := addresses(value)
				if err != nil {
					return nil, &fault{exDataErr, fmt.Sprintf("the field %s: %v", name, err)}
				}
				to = append(to, listed...)
			}
		}
		if len(to) > 0 {
			break
		}
	}
	return to, nil
}

// finish gives the message as it goes out: without what nobody else may see, and
// with the fields that every message has.
func (m *message) finish(fullName, author string) []byte {
	var b bytes.Buffer
	have := make(map[string]bool)
	for _, field := range m.fields {
		switch name := fieldName(field); name {
		case "bcc", "resent-bcc", "return-path", "content-length":
		default:
			have[name] = true
			b.WriteString(strings.TrimRight(field, "\r\n") + "\n")
		}
	}
	if !have["from"] {
		fmt.Fprintf(&b, "From: %s\n", &mail.Address{Name: fullName, Address: author})
	}
	if !have["date"] {
		fmt.Fprintf(&b, "Date: %s\n", time.Now().Format("Mon, 2 Jan 2006 15:04:05 -0700"))
	}
	if !have["message-id"] {
		fmt.Fprintf(&b, "Message-ID: <%s@%s>\n", strings.ToLower(rand.Text()), author[strings.LastIndex(author, "@")+1:])
	}
	b.Write(m.body)
	return b.Bytes()
}
