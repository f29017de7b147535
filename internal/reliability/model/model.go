// Package model says what must have become of the recipients of a mail session, from
// the bytes of both directions alone. It is what the client's reports are held
// against when connections are cut, and shares no code with the client, nor with
// the servers of the tests. It is written from the rules:
//
//   - A recipient is Delivered by a positive reply to the end of the data, Failed by
//     a 5yz to MAIL, to its RCPT, to DATA, to a chunk or to the end of the data, and
//     Deferred by a 4yz there: RFC 5321, Section 4.3.2; in LMTP each accepted
//     recipient has its own reply to the end of the data: RFC 2033, Section 4.2.
//   - Without such a reply it is Unknown once our connection has accepted the last
//     byte of the end of the data, whatever the server saw of it, and Deferred before.
//   - Who was Deferred may go again, on this connection or another; the last time
//     counts. Nobody else may be named again.
package model

import (
	"bytes"
	"strconv"
	"strings"
)

// Verdict is what became of a recipient. Zero: it was never named.
type Verdict byte

// The verdicts.
const (
	Delivered Verdict = 'd'
	Deferred  Verdict = 'D'
	Failed    Verdict = 'f'
	Unknown   Verdict = 'u'
)

// Connection is what went over one connection, without what TLS adds.
type Connection struct {
	LMTP     bool
	Accepted []byte // what our connection took of us, whether or not the server saw it
	Readable []byte // what came from the server, whether or not it was read
	// CutOff: a Write of ours failed. What the server had said by then may have gone
	// unheard, as long as the end of the data was not accepted.
	CutOff bool
}

// Fate is what the model says of one recipient.
type Fate struct {
	Verdict Verdict
	Also    Verdict // that is right, too; zero: none
	// Silent: the connection had served another transaction, and nothing at all was
	// said in this one. Then another connection must be tried.
	Silent bool
	// Again: it was named again after a verdict which is final. This must not be.
	Again bool
}

// Judge gives the fate of each recipient that was named, by its path, after all
// connections in their order. That of "" is of those whom a MAIL was for that was
// refused before they were named.
func Judge(connections []Connection) map[string]Fate {
	fates := make(map[string]Fate)
	for _, c := range connections {
		w := &walk{lmtp: c.LMTP, rest: c.Accepted, codes: codesOf(c.Readable)}
		w.run()
		here := make(map[string]bool)
		for i, tx := range w.done {
			if len(tx.rcpts) == 0 && tx.mail/100 >= 4 {
				tx.rcpts = []*rcpt{{}}
			}
			cutOff := c.CutOff && i == len(w.done)-1 && !tx.ended
			for _, r := range tx.rcpts {
				before, named := fates[r.path]
				f := Fate{Verdict: tx.verdict(r), Silent: i > 0 && !tx.heard && !here[r.path]}
				if cutOff && f.Verdict == Failed {
					f.Also = Deferred
				}
				f.Again = named && (before.Again || before.Verdict != Deferred && before.Also != Deferred)
				fates[r.path], here[r.path] = f, true
			}
		}
	}
	return fates
}

// codesOf gives the code of each complete reply: RFC 5321, Section 4.2.1.
func codesOf(text []byte) (codes []int) {
	for {
		line, rest, whole := bytes.Cut(text, []byte("\r\n"))
		if !whole {
			return codes
		}
		text = rest
		if len(line) == 3 || len(line) > 3 && line[3] == ' ' {
			code, err := strconv.Atoi(string(line[:3]))
			if err != nil {
				return codes
			}
			codes = append(codes, code)
		}
	}
}

// rcpt is one RCPT of a transaction.
type rcpt struct {
	path  string
	code  int // 0: none came
	final int // to the end of the data
}

// transaction is all from MAIL to the end of the data, or to where it stops.
type transaction struct {
	mail, data, chunk int // codes; 0: none came
	rcpts             []*rcpt
	ended             bool // the end of the data was accepted
	heard             bool // there was any reply since the transaction before
}

func (tx *transaction) accepted() (in []*rcpt) {
	for _, r := range tx.rcpts {
		if tx.mail/100 == 2 && r.code/100 == 2 {
			in = append(in, r)
		}
	}
	return in
}

// verdict is that of one recipient.
func (tx *transaction) verdict(r *rcpt) Verdict {
	for _, code := range []int{tx.mail, r.code, tx.data, tx.chunk} {
		switch code / 100 {
		case 4:
			return Deferred
		case 5:
			return Failed
		}
	}
	switch class := r.final / 100; {
	case !tx.ended && class < 4:
		return Deferred
	case class == 2:
		return Delivered
	case class == 4:
		return Deferred
	case class == 5:
		return Failed
	}
	return Unknown
}

// walk goes through what a connection took of us, and gives each command its reply.
type walk struct {
	lmtp  bool
	rest  []byte
	codes []int
	tx    *transaction // nil: none is open
	heard bool         // a reply since the last transaction
	done  []*transaction
}

func (w *walk) run() {
	w.next() // the greeting
	w.heard = false
	for {
		line, rest, whole := bytes.Cut(w.rest, []byte("\r\n"))
		if !whole {
			return
		}
		w.rest = rest
		w.command(string(line))
	}
}

// next is the code of the next reply; 0 if none came.
func (w *walk) next() int {
	if len(w.codes) == 0 {
		return 0
	}
	code := w.codes[0]
	w.codes = w.codes[1:]
	w.heard = true
	if w.tx != nil {
		w.tx.heard = true
	}
	return code
}

func (w *walk) command(line string) {
	verb, args, _ := strings.Cut(line, " ")
	switch verb {
	case "MAIL":
		w.tx = &transaction{heard: w.heard}
		w.done = append(w.done, w.tx)
		w.tx.mail = w.next()
	case "RCPT":
		r := &rcpt{path: path(args)}
		w.tx.rcpts = append(w.tx.rcpts, r)
		r.code = w.next()
	case "DATA":
		if w.tx.data = w.next(); w.tx.data == 354 {
			w.content()
		}
	case "BDAT":
		w.bdat(args)
	case "RSET":
		w.tx, w.heard = nil, false
		w.next()
	default:
		w.next()
	}
}

// path is what stands in the angle brackets.
func path(args string) string {
	_, rest, _ := strings.Cut(args, "<")
	path, _, _ := strings.Cut(rest, ">")
	return path
}

// content skips the content up to its end: RFC 5321, Section 4.1.1.4. Behind the
// reply to DATA its first line may be the dot.
func (w *walk) content() {
	if rest, empty := bytes.CutPrefix(w.rest, []byte(".\r\n")); empty {
		w.rest = rest
		w.end()
		return
	}
	_, rest, whole := bytes.Cut(w.rest, []byte("\r\n.\r\n"))
	w.rest = rest
	if whole {
		w.end()
		return
	}
	w.refusedEarly()
}

// refusedEarly takes a refusal that came while content was under way, and says
// something about all whom it was for.
func (w *walk) refusedEarly() {
	code := w.next()
	for _, r := range w.tx.accepted() {
		if code/100 >= 4 {
			r.final = code
		}
	}
}

// bdat skips a chunk: RFC 3030, Section 2.
func (w *walk) bdat(args string) {
	digits, last, _ := strings.Cut(args, " ")
	size, _ := strconv.Atoi(digits)
	whole := len(w.rest) >= size
	w.rest = w.rest[min(size, len(w.rest)):]
	switch {
	case !whole:
		w.refusedEarly()
	case last == "LAST":
		w.end()
	default:
		if code := w.next(); code/100 >= 4 {
			w.tx.chunk = code
		}
	}
}

// end gives the replies to the end of the data to whom they are for.
func (w *walk) end() {
	tx := w.tx
	tx.ended = true
	in := tx.accepted()
	if w.lmtp {
		for _, r := range in {
			r.final = w.next()
		}
	} else {
		code := w.next()
		for _, r := range in {
			r.final = code
		}
	}
	w.tx, w.heard = nil, false
}
