package smtpclient_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

const attached = "From: Ann (me) <ann@example.org>\r\nTo: bob@example.net\r\nSubject: hello\r\nMIME-Version: 1.0\r\n" +
	"Content-Type: multipart/mixed;\r\n boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n" +
	"Subject: inner\r\nTo: cy@example.com\r\n\r\nHello.\r\n--b--\r\n"

// filteredBy delivers a message through filters and gives what arrived.
func filteredBy(t *testing.T, w *world, f *smtpclient.Filters, message string) (smtpclient.Outcome, *smtptest.Message) {
	t.Helper()
	mx := w.mx(10, &smtptest.Server{Extensions: []string{"PIPELINING", "8BITMIME"}})
	w.client.Dialer.Filters = f
	w.books.Altered, w.books.Renamed = true, f.Address != nil
	report, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), smtpclient.Bytes([]byte(message)))
	checkError(t, report, err)
	all := mx.Messages()
	if len(all) != 1 {
		return report.Outcomes[0], nil
	}
	return report.Outcomes[0], &all[0]
}

// Header checks see each field once, with its class.
func TestHeaderChecks(t *testing.T) {
	for name, tt := range map[string]struct {
		class smtpclient.HeaderClass
		field string
		check smtpclient.Check
		want  string // by the replacements of strings.NewReplacer, split at |
		note  string
	}{
		"replace":          {smtpclient.HeaderPrimary, "Subject: hello", smtpclient.Check{Action: smtpclient.CheckReplace, Text: "Subject: other"}, "Subject: hello|Subject: other", ""},
		"prepend":          {smtpclient.HeaderPrimary, "Subject: hello", smtpclient.Check{Action: smtpclient.CheckPrepend, Text: "X-New: 1"}, "Subject: hello|X-New: 1\r\nSubject: hello", ""},
		"strip":            {smtpclient.HeaderPrimary, "Subject: hello", smtpclient.Check{Action: smtpclient.CheckStrip, Text: "why"}, "Subject: hello\r\n|", `taken out: why: "Subject: hello"`},
		"ignore":           {smtpclient.HeaderPrimary, "Subject: hello", smtpclient.Check{Action: smtpclient.CheckIgnore}, "Subject: hello\r\n|", ""},
		"info":             {smtpclient.HeaderPrimary, "Subject: hello", smtpclient.Check{Action: smtpclient.CheckInfo, Text: "look"}, "", `info: look: "Subject: hello"`},
		"warn":             {smtpclient.HeaderPrimary, "Subject: hello", smtpclient.Check{Action: smtpclient.CheckWarn, Text: "look"}, "", `warning: look: "Subject: hello"`},
		"keep":             {smtpclient.HeaderPrimary, "Subject: hello", smtpclient.Check{Text: "no effect"}, "", ""},
		"MIME, folded":     {smtpclient.HeaderMIME, "Content-Type: multipart/mixed; boundary=b", smtpclient.Check{Action: smtpclient.CheckPrepend, Text: "X-MIME: 1"}, "Content-Type: multipart|X-MIME: 1\r\nContent-Type: multipart", ""},
		"MIME, of a part":  {smtpclient.HeaderMIME, "Content-Type: message/rfc822", smtpclient.Check{Action: smtpclient.CheckPrepend, Text: "X-MIME: 1"}, "Content-Type: message|X-MIME: 1\r\nContent-Type: message", ""},
		"nested":           {smtpclient.HeaderNested, "Subject: inner", smtpclient.Check{Action: smtpclient.CheckIgnore}, "Subject: inner\r\n|", ""},
		"of another class": {smtpclient.HeaderPrimary, "Subject: inner", smtpclient.Check{Action: smtpclient.CheckIgnore}, "", ""},
		"long, at blanks":  {smtpclient.HeaderPrimary, "Subject: hello", smtpclient.Check{Action: smtpclient.CheckReplace, Text: "Subject:" + strings.Repeat(" 1234567", 130)}, "Subject: hello|Subject:" + strings.Repeat(" 1234567", 123) + "\r\n" + strings.Repeat(" 1234567", 7), ""},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				o, m := filteredBy(t, w, &smtpclient.Filters{Header: func(f smtpclient.HeaderField) smtpclient.Check {
					if f.Class == tt.class && f.Text == tt.field {
						return tt.check
					}
					return smtpclient.Check{}
				}}, attached)
				want := attached
				if old, fresh, ok := strings.Cut(tt.want, "|"); ok {
					want = strings.Replace(want, old, fresh, 1)
				}
				if m == nil || string(m.Data) != want {
					t.Fatalf("got %+v, want %q; %v", m, want, o.Err())
				}
				if got := strings.Join(o.Notes, "\n"); got != tt.note {
					t.Errorf("notes %q, want %q", got, tt.note)
				}
			})
		})
	}
}

// Body checks have the same actions. A dot that a filter puts at the begin of a
// line ends nothing.
func TestBodyCheckActions(t *testing.T) {
	for name, tt := range map[string]struct {
		check smtpclient.Check
		want  string // in place of the line
		note  string
	}{
		"replace":     {smtpclient.Check{Action: smtpclient.CheckReplace, Text: "Bye."}, "Bye.\r\n", ""},
		"with a dot":  {smtpclient.Check{Action: smtpclient.CheckReplace, Text: "."}, ".\r\n", ""},
		"with 8 bits": {smtpclient.Check{Action: smtpclient.CheckReplace, Text: "gr\u00fcn"}, "gr\u00fcn\r\n", ""},
		"prepend":     {smtpclient.Check{Action: smtpclient.CheckPrepend, Text: "."}, ".\r\nHello.\r\n", ""},
		"strip":       {smtpclient.Check{Action: smtpclient.CheckStrip, Text: "why"}, "", `taken out: why: "Hello."`},
		"ignore":      {smtpclient.Check{Action: smtpclient.CheckIgnore}, "", ""},
		"info":        {smtpclient.Check{Action: smtpclient.CheckInfo, Text: "look"}, "Hello.\r\n", `info: look: "Hello."`},
		"warn":        {smtpclient.Check{Action: smtpclient.CheckWarn, Text: "look"}, "Hello.\r\n", `warning: look: "Hello."`},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				o, m := filteredBy(t, w, &smtpclient.Filters{Body: func(line string) smtpclient.Check {
					if line == "Hello." {
						return tt.check
					}
					return smtpclient.Check{}
				}}, attached)
				if want := strings.Replace(attached, "Hello.\r\n", tt.want, 1); m == nil || string(m.Data) != want {
					t.Fatalf("got %+v, want %q; %v", m, want, o.Err())
				}
				if got := strings.Join(o.Notes, "\n"); got != tt.note {
					t.Errorf("notes %q, want %q", got, tt.note)
				}
			})
		})
	}
}

func TestBodyChecks(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var seen []string
		o, m := filteredBy(t, w, &smtpclient.Filters{Body: func(line string) smtpclient.Check {
			seen = append(seen, line)
			if line == "Hello." {
				return smtpclient.Check{Action: smtpclient.CheckReplace, Text: ".Bye."}
			}
			return smtpclient.Check{}
		}}, attached)
		if m == nil || string(m.Data) != strings.Replace(attached, "Hello.", ".Bye.", 1) {
			t.Fatalf("got %+v, %v", m, o.Err())
		}
		once := []string{"--b", "Hello.", "--b--"}
		if !slices.Equal(seen, slices.Concat(once, once)) { // by the scan, and for the server
			t.Errorf("asked about %q", seen)
		}
	})
}

// Addresses are rewritten in MAIL, RCPT and the primary header. The message goes
// where the address of the envelope says, and the report has that.
func TestAddressRewriting(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		generic := map[string]string{"ann@example.org": "a.smith@example.com", "bob@example.net": "Bob@BÜCHER.example", "cy@example.com": "no@example.com"}
		o, m := filteredBy(t, w, &smtpclient.Filters{Address: func(a string) string { return generic[a] }}, attached)
		if m == nil {
			t.Fatal(o.Err())
		}
		if m.From != "a.smith@example.com" || m.To[0] != "Bob@xn--bcher-kva.example" || o.Address != "bob@example.net" {
			t.Errorf("from %s to %q, outcome of %s", m.From, m.To, o.Address)
		}
		want := strings.NewReplacer("<ann@example.org>", "<a.smith@example.com>", "bob@example.net", "Bob@xn--bcher-kva.example").Replace(attached)
		if string(m.Data) != want {
			t.Errorf("got %q", m.Data)
		}
	})
}

// A reply is rewritten before it is read.
func TestReplyFilter(t *testing.T) {
	for name, tt := range map[string]struct {
		filter func(string) string
		want   string
	}{
		"another code":  {func(l string) string { return strings.Replace(l, "550 5.1.1", "450 4.2.0", 1) }, "deferred rcpt 4.2.0"},
		"every line":    {func(l string) string { return strings.Replace(l, "PIPELINING", "X-NOTHING", 1) }, "failed rcpt 5.1.1"},
		"no reply":      {func(l string) string { return strings.Replace(l, "550 ", "what? ", 1) }, "deferred rcpt 4.5.0"},
		"a line more":   {func(l string) string { return strings.Replace(l, "550 ", "250 ok\r\n250 ", 1) }, "deferred rcpt 4.3.0"},
		"NUL":           {func(l string) string { return strings.Replace(l, "550 ", "550 \x00", 1) }, "deferred rcpt 4.3.0"},
		"without end":   {func(l string) string { return strings.Replace(l, "550 ", "550 "+strings.Repeat("x", 5000), 1) }, "deferred rcpt 4.3.0"},
		"panic":         {panicAt("550"), "deferred rcpt 4.3.0"},
		"of no concern": {func(l string) string { return l }, "failed rcpt 5.1.1"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.mx(10, &smtptest.Server{Extensions: pipelined, Script: on("RCPT", action{Reply: "550 5.1.1 no such user"})})
				w.client.Dialer.Filters = &smtpclient.Filters{Reply: tt.filter}
				report, err := w.client.Deliver(t.Context(), fromAnn("bob@example.net"), smtpclient.Bytes([]byte(hello)))
				checkError(t, report, err)
				expect(t, report, "bob@example.net "+tt.want)
			})
		})
	}
}

func panicAt(code string) func(string) string {
	return func(line string) string {
		if strings.HasPrefix(line, code) {
			panic("no such line")
		}
		return line
	}
}

// After the end of the data a reply that the filter spoils leaves it unknown
// whether the message was taken.
func TestReplyFilterFailsAtTheEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mx(10, &smtptest.Server{Extensions: pipelined, Script: on(smtptest.EndOfData, action{Reply: "250 2.0.0 taken"})})
		w.client.Dialer.Filters = &smtpclient.Filters{Reply: func(line string) string {
			if strings.HasSuffix(line, "taken") {
				panic("spoiled")
			}
			return line
		}}
		report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
		expect(t, report, "bob@example.net unknown data-done 4.3.0")
	})
}

// Outcomes are reworded, but no verdict changes.
func TestStatusFilter(t *testing.T) {
	const refusal = "550 5.1.1 no such user"
	for name, tt := range map[string]struct {
		reply  string
		filter func(smtpclient.Outcome) smtpclient.StatusText
		want   string
		text   string
		note   string
	}{
		"code":         {refusal, reword("5.7.1", ""), "failed rcpt 5.7.1", refusal, ""},
		"text":         {refusal, reword("", "not here"), "failed rcpt 5.1.1", "550 not here", ""},
		"both":         {refusal, reword("5.2.1", "not here"), "failed rcpt 5.2.1", "550 not here", ""},
		"neither":      {refusal, reword("", ""), "failed rcpt 5.1.1", refusal, ""},
		"class":        {refusal, reword("4.7.1", "x"), "failed rcpt 5.1.1", refusal, "no enhanced code of the class"},
		"no code":      {refusal, reword("5.7", ""), "failed rcpt 5.1.1", refusal, "no enhanced code"},
		"more of code": {refusal, reword("5.7.1 x", ""), "failed rcpt 5.1.1", refusal, "no enhanced code"},
		"line end":     {refusal, reword("5.7.1", "a\nb"), "failed rcpt 5.1.1", refusal, "CR, LF or NUL"},
		"too long":     {refusal, reword("", strings.Repeat("x", 999)), "failed rcpt 5.1.1", refusal, "too long"},
		"panic":        {refusal, func(smtpclient.Outcome) smtpclient.StatusText { panic("no") }, "failed rcpt 5.1.1", refusal, "panic"},
		"delivered":    {"", reword("2.1.5", "gone"), "delivered data-done 2.1.5", "250 gone", ""},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				server := &smtptest.Server{Extensions: pipelined}
				if tt.reply != "" {
					server.Script = on("RCPT", action{Reply: tt.reply})
				}
				w.mx(10, server)
				w.client.Dialer.Filters = &smtpclient.Filters{Status: tt.filter}
				report := w.deliver(t.Context(), fromAnn("bob@example.net"), hello)
				expect(t, report, "bob@example.net "+tt.want)
				if got := report.Outcomes[0].Reply.String(); got != tt.text {
					t.Errorf("reply %q, want %q", got, tt.text)
				}
				notes := strings.Join(report.Outcomes[0].Notes, "\n")
				if !strings.Contains(notes, tt.note) || (notes == "") != (tt.note == "") {
					t.Errorf("notes %q, want %q", notes, tt.note)
				}
			})
		})
	}
}

func reword(code, text string) func(smtpclient.Outcome) smtpclient.StatusText {
	return func(smtpclient.Outcome) smtpclient.StatusText {
		return smtpclient.StatusText{Enhanced: code, Text: text}
	}
}

// What a hook gives is held to the rules for input, and a panic is contained:
// the message waits, and nothing was sent.
func TestFiltersAtFault(t *testing.T) {
	header := func(c smtpclient.Check) *smtpclient.Filters {
		return &smtpclient.Filters{Header: func(smtpclient.HeaderField) smtpclient.Check { return c }}
	}
	body := func(c smtpclient.Check) *smtpclient.Filters {
		return &smtpclient.Filters{Body: func(string) smtpclient.Check { return c }}
	}
	address := func(a string) *smtpclient.Filters {
		return &smtpclient.Filters{Address: func(string) string { return a }}
	}
	long := strings.Repeat("x", 999)
	for name, tt := range map[string]struct {
		filters *smtpclient.Filters
		hook    string
	}{
		"header with a line more":  {header(smtpclient.Check{Action: smtpclient.CheckReplace, Text: "X: y\r\nBcc: z"}), "Header"},
		"header with LF":           {header(smtpclient.Check{Action: smtpclient.CheckPrepend, Text: "X: y\n"}), "Header"},
		"header with NUL":          {header(smtpclient.Check{Action: smtpclient.CheckReplace, Text: "X: \x00"}), "Header"},
		"header that is none":      {header(smtpclient.Check{Action: smtpclient.CheckReplace, Text: "x"}), "Header"},
		"header that ends the one": {header(smtpclient.Check{Action: smtpclient.CheckPrepend}), "Header"},
		"header too long":          {header(smtpclient.Check{Action: smtpclient.CheckReplace, Text: "X:" + long}), "Header"},
		"header, no such action":   {header(smtpclient.Check{Action: 99}), "Header"},
		"header, panic":            {&smtpclient.Filters{Header: func(smtpclient.HeaderField) smtpclient.Check { panic("no") }}, "Header"},
		"body with a line more":    {body(smtpclient.Check{Action: smtpclient.CheckReplace, Text: "\r\n.\r\n"}), "Body"},
		"body with CR":             {body(smtpclient.Check{Action: smtpclient.CheckPrepend, Text: ".\r"}), "Body"},
		"body too long":            {body(smtpclient.Check{Action: smtpclient.CheckReplace, Text: long}), "Body"},
		"body, panic":              {&smtpclient.Filters{Body: func(string) smtpclient.Check { panic("no") }}, "Body"},
		"address that ends a line": {address("a@b.example>\r\nRCPT TO:<c@d.example"), "Address"},
		"address without domain":   {address("ann"), "Address"},
		"address in brackets":      {address("<a@b.example>"), "Address"},
		"null reverse path":        {address("<>"), "Address"},
		"address, panic":           {&smtpclient.Filters{Address: func(string) string { panic("no") }}, "Address"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				o, m := filteredBy(t, w, tt.filters, attached)
				if got := fmt.Sprintf("%v %v %s", o.Status, o.Stage, o.Enhanced); m != nil || got != "deferred input 4.3.0" {
					t.Errorf("got %s, message %+v", got, m)
				}
				if err := o.Err(); err == nil || !strings.Contains(err.Error(), "Dialer.Filters."+tt.hook) {
					t.Errorf("%v does not name the hook", err)
				}
			})
		})
	}
}

// A filter that is not of one mind never lets a message through that was not
// scanned.
func TestFilterThatChangesItsMind(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		calls := 0
		w.unruly = true // it stops in the middle of the content
		o, m := filteredBy(t, w, &smtpclient.Filters{Body: func(string) smtpclient.Check {
			calls++
			return smtpclient.Check{Action: smtpclient.CheckPrepend, Text: fmt.Sprint(calls)}
		}}, hello)
		if m != nil || o.Status != smtpclient.Deferred || o.Enhanced != "4.3.0" {
			t.Errorf("got %+v, %v", m, o.Err())
		}
	})
}

// What no reader could take apart is not filtered, but refused.
func TestFilterOfEndlessNesting(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		o, m := filteredBy(t, w, &smtpclient.Filters{Body: func(string) smtpclient.Check { return smtpclient.Check{} }},
			strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 102))
		if m != nil || o.Status != smtpclient.Failed || o.Enhanced != "5.6.0" {
			t.Errorf("got %+v, %v", m, o.Err())
		}
	})
}

// The filters of a Dialer hold for its Sessions, and binary content stays so.
func TestFiltersOfSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		mx := w.mx(10, &smtptest.Server{Extensions: chunking})
		w.books.Altered, w.books.Renamed = true, true
		w.client.Dialer.Filters = &smtpclient.Filters{
			Header: func(f smtpclient.HeaderField) smtpclient.Check {
				return smtpclient.Check{Action: smtpclient.CheckIgnore}
			},
			Address: strings.ToUpper,
		}
		s, err := w.client.Dialer.Dial(t.Context(), smtpclient.Target{Addr: "192.0.2.10:25"})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Quit(t.Context())
		env := fromAnn("bob@example.net")
		env.Body = smtpclient.BodyBinary
		report, err := w.send(t.Context(), s, env, smtpclient.Bytes([]byte("Subject: x\n\na\x00\rb\n")))
		checkError(t, report, err)
		expect(t, report, "bob@example.net delivered data-done 2.0.0")
		m := mx.Messages()[0]
		if !bytes.Equal(m.Data, []byte("\na\x00\rb\n")) || m.To[0] != "BOB@example.net" {
			t.Errorf("%q got %q", m.To, m.Data)
		}
	})
}
