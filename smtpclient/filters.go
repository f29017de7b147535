package smtpclient

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/address"
	"github.com/postrider/postrider/internal/wire"
)

// Filters are hooks of the caller's that change what goes out through a Dialer,
// and what comes back. The zero value and nil functions change nothing.
//
// The functions may be called from many goroutines at once, and for one delivery
// several times with the same argument: they must give the same result for it
// each time, or the delivery is Deferred since the content seems to change. What
// they give is checked like input, and what is at fault defers the message
// (4.3.0), as a panic does. They hold the call while they run.
//
// A filter that changes signed content breaks its signature.
type Filters struct {
	// Header is asked about each header field of the content. Postfix has
	// smtp_header_checks, smtp_mime_header_checks and smtp_nested_header_checks.
	// Fields that Envelope or Rules add are not shown.
	Header func(f HeaderField) Check
	// Body is asked about each other line, without its end, as it stands in the
	// content: encoded parts are not decoded. A line of more than 32 KiB comes in
	// pieces. Postfix has smtp_body_checks.
	Body func(line string) Check
	// Address gives what stands in place of an address, as smtp_generic_maps does:
	// in MAIL, in RCPT, and in the fields of the primary header that hold addresses,
	// whose names, comments and folds stay. "" leaves it as it is. The next hop and
	// the report go by the address of the envelope, and so does ORCPT.
	Address func(address string) string
	// Reply changes each line of a server's replies, without its end, before it is
	// read, as smtp_reply_filter does. What it gives is read as strictly as if it
	// came from the server.
	Reply func(line string) string
	// Status may put another enhanced code of the same class, or another text, into
	// an outcome, as smtp_delivery_status_filter does. What is not valid leaves the
	// outcome as it is, with a note: the verdict stands whatever happens here.
	Status func(o Outcome) StatusText
}

// HeaderField is one field of a header.
type HeaderField struct {
	Class HeaderClass
	Text  string // "Subject: hello", in one line
}

// HeaderClass says where a header field stands.
type HeaderClass uint8

// The classes. HeaderMIME are MIME-Version and all Content- fields, and those of
// the parts of a multipart; HeaderNested the others of a message within the message.
const (
	HeaderPrimary HeaderClass = iota
	HeaderMIME
	HeaderNested
)

// Check is what a filter wants done. Zero: nothing.
type Check struct {
	Action CheckAction
	Text   string // one line: a field for a header, with its name; for a note what it says
}

// CheckAction is one of the actions that Postfix has for delivery agents.
type CheckAction uint8

// The actions. Notes are in Attempt.Notes of every attempt.
const (
	CheckKeep    CheckAction = iota
	CheckInfo                // a note with the field or line
	CheckWarn                // the same, as a warning
	CheckReplace             // Text stands in its place
	CheckPrepend             // Text goes before it, as a field or line of its own
	CheckStrip               // take it out, with a note
	CheckIgnore              // take it out
)

// StatusText is what Filters.Status changes. "" leaves what is there.
type StatusText struct {
	Enhanced string // as "5.7.1"
	Text     string // of the reply, or of the cause where no reply decided; one line
}

// filters are those of a Dialer, which may be nil.
func (d *Dialer) filters() *Filters {
	if d == nil {
		return nil
	}
	return d.Filters
}

// hookError is a hook of the caller's that panicked, or gave what cannot be used.
type hookError struct {
	hook  string
	cause error
}

func (e *hookError) Error() string { return "Dialer.Filters." + e.hook + ": " + e.cause.Error() }
func (e *hookError) Unwrap() error { return e.cause }

func hookFailed(err error) bool {
	var e *hookError
	return errors.As(err, &e)
}

// guard runs a hook and makes an error of what goes wrong in it.
func guard(hook string, run func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
		if err != nil {
			err = &hookError{hook, err}
		}
	}()
	return run()
}

// fitsLine holds what a hook gave to what may stand on a line.
func fitsLine(text string, most int) error {
	switch {
	case strings.ContainsAny(text, "\r\n\x00"):
		return fmt.Errorf("%.80q holds a CR, LF or NUL; it must be one line", text)
	case len(text) > most:
		return fmt.Errorf("a line of %d bytes is too long; at most %d", len(text), most)
	}
	return nil
}

// rewritten is an address after the filter, in its wire form. The null reverse path
// stays.
func (f *Filters) rewritten(path string) (string, error) {
	if f == nil || f.Address == nil || path == "" {
		return path, nil
	}
	err := guard("Address", func() error {
		fresh := f.Address(path)
		if fresh == "" || fresh == path {
			return nil
		}
		m, err := address.Parse(fresh)
		path = m.String()
		return err
	})
	return path, err
}

// rewriteRecipients puts other paths into RCPT. Where each goes stays.
func (l *letter) rewriteRecipients() {
	if l.filters == nil || l.filters.Address == nil {
		return
	}
	for i := range l.rcpts {
		r := &l.rcpts[i]
		if !r.open {
			continue
		}
		path, err := l.filters.rewritten(r.path)
		if err != nil {
			r.settle(Deferred, &Attempt{Stage: StageInput, Enhanced: "4.3.0", Cause: err})
			r.open = false
			continue
		}
		r.setPath(path)
	}
}

// maxReplyLine is the longest line that is read from a server.
const maxReplyLine = 4 << 10

// reader reads replies from conn through the filter.
func (f *Filters) reader(conn net.Conn) *wire.Reader {
	r := wire.NewReader(conn)
	if f != nil && f.Reply != nil {
		r.Filter = f.reply
	}
	return r
}

func (f *Filters) reply(line []byte) (fresh []byte, err error) {
	err = guard("Reply", func() error {
		fresh = []byte(f.Reply(string(line)))
		return fitsLine(string(fresh), maxReplyLine)
	})
	return fresh, err
}

// filterStatus lets the filter word the outcomes.
func (l *letter) filterStatus() {
	if l.filters == nil || l.filters.Status == nil {
		return
	}
	for i := range l.report.Outcomes {
		o := &l.report.Outcomes[i]
		err := guard("Status", func() error {
			return o.reword(l.filters.Status(*o))
		})
		if err != nil {
			a := o.edit()
			a.Notes = append(slices.Clone(a.Notes), err.Error())
		}
	}
}

// reword puts other words into an outcome, or leaves it.
func (o *Outcome) reword(s StatusText) error {
	if s.Enhanced != "" && !wire.IsEnhanced(int(o.Enhanced[0]-'0')*100, s.Enhanced) {
		return fmt.Errorf("%.20q is no enhanced code of the class of %s", s.Enhanced, o.Enhanced)
	}
	if err := fitsLine(s.Text, maxTextLine); err != nil {
		return err
	}
	if s == (StatusText{}) {
		return nil
	}
	a := o.edit()
	if s.Enhanced != "" {
		a.Enhanced = s.Enhanced
	}
	switch {
	case s.Text == "":
	case a.Cause != nil:
		a.Cause = &reworded{s.Text, a.Cause}
	default:
		a.Reply.Lines = []string{s.Text}
	}
	return nil
}

// reworded is a cause in the words of the filter.
type reworded struct {
	text  string
	cause error
}

func (e *reworded) Error() string { return e.text }
func (e *reworded) Unwrap() error { return e.cause }
