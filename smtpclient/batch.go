package smtpclient

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Batch writes transactions as a batch SMTP file (RFC 2442), which a server takes
// later from its standard input, as "sendmail -bs" does, and judges them by the
// replies that it then wrote. It is made by NewBatch and serves one goroutine.
//
// Nobody sees a reply before the file is written. A server that refuses DATA reads
// the content that follows as commands, so a batch is for one's own server only;
// offer it CHUNKING where it takes that, since a refused chunk is swallowed.
type Batch struct {
	out     io.Writer
	dialer  Dialer
	offered []string
	script  *batchScript // what Add writes to
	session *Session
	entries []batchEntry
	err     error
}

type batchEntry struct {
	env      Envelope
	content  Content
	commands []string // verbs, "." for the end of data
}

// NewBatch begins a file. extensions are those that the server is known to take, as
// "8BITMIME" or "CHUNKING"; PIPELINING, STARTTLS and AUTH have no meaning here and
// are left out. localName is our name in EHLO, as for Dialer. An error is that of
// out, or says what is wrong with the name.
func NewBatch(out io.Writer, localName string, extensions ...string) (*Batch, error) {
	b := &Batch{out: out, dialer: Dialer{LocalName: localName, Quirks: chunkedBatch}}
	for _, e := range extensions {
		word, _, _ := strings.Cut(strings.ToUpper(e), " ")
		if !slices.Contains([]string{"PIPELINING", "STARTTLS", "AUTH"}, word) {
			b.offered = append(b.offered, e)
		}
	}
	b.script = &batchScript{record: out, greeting: b.greeting()}
	session, err := b.open(context.Background(), b.script)
	if err != nil {
		return nil, err
	}
	b.session = session
	return b, nil
}

// chunkedBatch has content go by BDAT where that was offered.
func chunkedBatch(Target) Quirks { return Quirks{Chunking: ChunkingAfter} }

// greeting is what a server would say up to its reply to EHLO.
func (b *Batch) greeting() []string {
	hello := "250 batch\r\n"
	for i := len(b.offered) - 1; i >= 0; i-- {
		sep := "-"
		if i == len(b.offered)-1 {
			sep, hello = " ", ""
		}
		hello = "250" + sep + b.offered[i] + "\r\n" + hello
	}
	if len(b.offered) > 0 {
		hello = "250-batch\r\n" + hello
	}
	return []string{"220 batch\r\n", hello}
}

func (b *Batch) open(ctx context.Context, conn net.Conn) (*Session, error) {
	d := b.dialer
	d.DialContext = func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	return d.Dial(ctx, Target{Addr: "unix:batch"})
}

// Add writes a transaction. The error is nil if all of it was written; else it is
// an *Error that says what was wrong with the input, and nothing more can be added
// if the writing failed. Content must give the same bytes until Replies.
func (b *Batch) Add(ctx context.Context, env Envelope, content Content) error {
	if b.err != nil {
		return b.err
	}
	b.script.commands = nil
	if len(b.entries) > 0 {
		// What was refused may have left a transaction open.
		if _, err := b.session.Rset(ctx); err != nil {
			return errors.Join(b.script.failed, err)
		}
	}
	_, err := b.session.Send(ctx, env, content)
	if b.err = b.script.failed; b.err != nil {
		return b.err
	}
	if len(b.script.commands) > 0 {
		b.entries = append(b.entries, batchEntry{env, content, b.script.commands})
	}
	return err
}

// Close writes QUIT. It does not close the writer.
func (b *Batch) Close() error {
	if b.err == nil {
		b.err = errors.New("the batch is closed")
		_ = b.session.Quit(context.Background()) // the replies are our own
		return b.script.failed
	}
	return nil
}

// Replies reads what the server answered to the file and gives a Report for each
// transaction that was added, in their order. Lines that are no replies are passed
// over: servers may echo what they read. Where a reply is missing, or cannot be
// matched since a content was read as commands, the recipients are Unknown: the
// server had all of their message.
func (b *Batch) Replies(ctx context.Context, replies io.Reader) ([]Report, error) {
	in := &batchReplies{in: bufio.NewReader(replies)}
	// Greeting and EHLO; a refusal there comes again for what follows.
	in.next()
	in.next()
	var reports []Report
	for _, entry := range b.entries {
		play := &batchScript{record: io.Discard, greeting: b.greeting(), replies: in, expected: entry.commands}
		session, err := b.open(ctx, play)
		if err != nil {
			return reports, err
		}
		report, _ := session.Send(ctx, entry.env, entry.content)
		session.Close()
		play.finish()
		for i := range report.Outcomes {
			unsure(&report.Outcomes[i])
		}
		reports = append(reports, report)
	}
	return reports, ctx.Err()
}

// unsure makes Unknown of what no reply decided, but for a fault of the input.
func unsure(o *Outcome) {
	if o.Status == Deferred && o.Reply.Code == 0 && o.Stage != StageInput {
		o.Status = Unknown
	}
}

// batchScript is the connection of a batch: it takes commands and content, and
// answers with a yes, or with the recorded replies.
type batchScript struct {
	record   io.Writer
	greeting []string
	commands []string // that were written
	failed   error    // of record

	replies  *batchReplies // nil: yes to all
	expected []string      // the commands that they are for

	line    []byte // of a command or of content, as far as it came
	content bool   // content is being written, up to the dot
	chunk   int    // octets of a chunk that are to come
	answers []string
}

// Read gives one reply, so that none comes before its command.
func (s *batchScript) Read(p []byte) (int, error) {
	if len(s.greeting) > 0 {
		s.answers, s.greeting = append(s.answers, s.greeting[0]), s.greeting[1:]
	}
	if len(s.answers) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.answers[0])
	if s.answers[0] = s.answers[0][n:]; s.answers[0] == "" {
		s.answers = s.answers[1:]
	}
	return n, nil
}

// Write takes commands and content.
func (s *batchScript) Write(p []byte) (int, error) {
	if _, err := s.record.Write(p); err != nil && s.failed == nil {
		s.failed = err
	}
	if s.failed != nil {
		return 0, s.failed
	}
	for rest := p; len(rest) > 0; {
		if s.chunk > 0 {
			n := min(s.chunk, len(rest))
			rest = rest[n:]
			if s.chunk -= n; s.chunk == 0 {
				s.answer("BDAT", "250 ok\r\n")
			}
			continue
		}
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		s.line = append(s.line, line...)
		rest = after
		if whole {
			s.take(strings.TrimSuffix(string(s.line), "\r"))
			s.line = s.line[:0]
		}
	}
	return len(p), nil
}

// take takes a whole line.
func (s *batchScript) take(line string) {
	verb, arg, _ := strings.Cut(line, " ")
	switch {
	case s.content:
		if line == "." {
			s.content = false
			s.answer(".", "250 ok\r\n")
		}
	case verb == "DATA":
		s.answer("DATA", "354 go ahead\r\n")
		s.content = strings.HasPrefix(s.answers[len(s.answers)-1], "3")
	case verb == "BDAT":
		size, _, _ := strings.Cut(arg, " ")
		s.chunk, _ = strconv.Atoi(size)
		if s.chunk == 0 {
			s.answer("BDAT", "250 ok\r\n")
		}
	case verb == "QUIT":
		s.answers = append(s.answers, "221 bye\r\n")
	case verb == "EHLO": // greeting has its reply
	case verb == "RSET" && s.replies != nil:
		s.answers = append(s.answers, "250 ok\r\n")
	default:
		s.answer(verb, "250 ok\r\n")
	}
}

// answer gives the reply to a command.
func (s *batchScript) answer(verb, yes string) {
	if s.replies == nil {
		s.commands = append(s.commands, verb)
		s.answers = append(s.answers, yes)
		return
	}
	for len(s.expected) > 0 {
		reply := s.nextReply()
		if verb == s.commands[len(s.commands)-1] {
			s.answers = append(s.answers, reply)
			return
		}
	}
	s.answers = append(s.answers, "")
}

// nextReply is the reply to the next command of the file, "" if there is none.
func (s *batchScript) nextReply() string {
	verb := s.expected[0]
	s.expected = s.expected[1:]
	s.commands = append(s.commands, verb)
	reply := s.replies.next()
	if verb == "DATA" && !strings.HasPrefix(reply, "3") {
		s.replies.lost = true
	}
	return reply
}

// finish passes over the replies to what the transaction left out.
func (s *batchScript) finish() {
	for len(s.expected) > 0 {
		s.nextReply()
	}
}

// The rest of net.Conn. Nothing here waits.
func (s *batchScript) Close() error                     { return nil }
func (s *batchScript) LocalAddr() net.Addr              { return programAddr("batch") }
func (s *batchScript) RemoteAddr() net.Addr             { return programAddr("batch") }
func (s *batchScript) SetDeadline(time.Time) error      { return nil }
func (s *batchScript) SetReadDeadline(time.Time) error  { return nil }
func (s *batchScript) SetWriteDeadline(time.Time) error { return nil }

// batchReplies are the replies of a server, one after the other.
type batchReplies struct {
	in   *bufio.Reader
	lost bool // what follows cannot be matched
}

// maxBatchReply bounds a reply; more is none.
const maxBatchReply = 64 << 10

// next is the next reply with all its lines, "" if there is none.
func (r *batchReplies) next() string {
	var reply strings.Builder
	for !r.lost {
		line, err := r.in.ReadSlice('\n')
		if err != nil || reply.Len() > maxBatchReply {
			break
		}
		if len(line) < 4 || len(bytes.Trim(line[:3], "0123456789")) > 0 || !bytes.ContainsAny(line[3:4], " -\r\n") {
			continue
		}
		reply.Write(line)
		if line[3] != '-' {
			return reply.String()
		}
	}
	r.lost = true
	return ""
}
