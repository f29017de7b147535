package smtpclient

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/ascii"
	"github.com/postrider/postrider/internal/wire"
	"github.com/postrider/postrider/tlspolicy"
)

// checkParams holds the fields of an envelope against the grammar of their
// parameters.
func (env *Envelope) checkParams() *fieldError {
	switch {
	case len(wire.AppendXtext(nil, env.EnvID)) > 100 || !graphic(env.EnvID):
		return &fieldError{"EnvID", errors.New("it must be printable ASCII, and at most 100 bytes as xtext (RFC 3461, Section 4.4)")}
	case env.Body > BodyBinary:
		return &fieldError{"Body", errUnknownValue}
	case env.Return > ReturnHeaders:
		return &fieldError{"Return", errUnknownValue}
	case env.TLS > tlspolicy.NotRequired:
		return &fieldError{"TLS", errUnknownValue}
	case env.Stamps > StampReturnPath|StampOriginalTo|StampDeliveredTo:
		return &fieldError{"Stamps", errUnknownValue}
	case env.Verify > VerifyData:
		return &fieldError{"Verify", errUnknownValue}
	case env.Priority < -9 || env.Priority > 9:
		return &fieldError{"Priority", errors.New("it must be from -9 to 9 (RFC 6710)")}
	case env.By.Return && env.By.Within <= 0:
		return &fieldError{"By", errors.New("with Return the time must be positive (RFC 2852, Section 4)")}
	case env.By.Within.Abs() > maxBy:
		return &fieldError{"By", errors.New("it must be below 1,000,000,000 seconds (RFC 2852, Section 4)")}
	case env.By.Within == 0 && env.By.Trace:
		return &fieldError{"By", errors.New("its field Within is missing")}
	case env.HoldFor < 0 || env.HoldFor > maxBy:
		return &fieldError{"HoldFor", errors.New("it must be positive and below 1,000,000,000 seconds")}
	case env.HoldFor != 0 && !env.HoldUntil.IsZero():
		return &fieldError{"HoldUntil", errors.New("it cannot stand beside HoldFor (RFC 4865)")}
	}
	if env.Auth != "" && env.Auth != "<>" {
		if _, err := reversePath(env.Auth); err != nil {
			return &fieldError{"Auth", err}
		}
		if len(wire.AppendXtext([]byte(" AUTH="), env.Auth)) > 500 {
			return &fieldError{"Auth", errors.New("as xtext it is longer than the 500 bytes that MAIL has for it (RFC 4954, Section 3)")}
		}
	}
	if env.XForward != nil {
		if err := env.XForward.check(); err != nil {
			return &fieldError{"XForward", err}
		}
	}
	return nil
}

const maxBy = 999_999_999 * time.Second

var errUnknownValue = errors.New("it has a value that is not one of the constants")

// graphic tells that s is printable ASCII.
func graphic(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' })
}

// checkParams holds the fields of a recipient against the grammar of their
// parameters.
func (to *Recipient) checkParams() *fieldError {
	switch {
	case to.Notify&NotifyNever != 0 && to.Notify != NotifyNever, to.Notify > NotifyNever:
		return &fieldError{"Notify", errors.New("NotifyNever stands alone (RFC 3461, Section 4.1)")}
	case to.ORCPT == "":
		return nil
	}
	kind, addr, ok := strings.Cut(to.ORCPT, ";")
	isUTF8 := strings.EqualFold(kind, "utf-8")
	switch {
	case !ok || kind == "" || addr == "" || strings.Trim(kind, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "":
		return &fieldError{"ORCPT", errors.New(`it must be "type;address", as "rfc822;bob@example.net" (RFC 3461, Section 4.2)`)}
	case len(wire.AppendXtext([]byte("ORCPT="), to.ORCPT)) > 500, isUTF8 && len(wire.AppendUTF8Address([]byte("ORCPT="), to.ORCPT, wire.ASCIIOnly)) > 500:
		return &fieldError{"ORCPT", errors.New("it has more than 500 bytes as it is written (RFC 3461, Section 4.2)")}
	case !utf8.ValidString(addr) || strings.ContainsFunc(addr, func(c rune) bool { return c < ' ' || c == 0x7f }) || !isUTF8 && !graphic(addr):
		return &fieldError{"ORCPT", errors.New("it holds a byte that its address type cannot have")}
	}
	return nil
}

// check refuses what could not be told from another line or attribute.
func (c *ClientInfo) check() error {
	for _, v := range []string{c.Name, c.Helo, c.Proto, c.Login, c.Ident, c.Source} {
		if !utf8.ValidString(v) || len(wire.AppendXtext(nil, v)) > 255 || strings.ContainsFunc(v, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			return fmt.Errorf("%q holds a control character, or more than 255 bytes as xtext", v)
		}
	}
	return nil
}

// misfit is why a server cannot have a message.
type misfit struct {
	enhanced string
	cause    error
	here     bool // only of this server: another host may do
}

// misfit looks for what the envelope needs and the server does not offer, before
// MAIL is sent. What concerns the content is left to fit, and what concerns single
// recipients to turnAway.
func (t *transaction) misfit() *misfit {
	ext, env := &t.s.ext, t.env
	if left, ok := t.timeLeft(); ok && env.By.Return {
		minimum, offered := ext.lookup("DELIVERBY")
		least, _ := strconv.Atoi(strings.TrimSpace(minimum))
		switch {
		case left <= 0: // RFC 2852, Section 4.1.3
			return &misfit{enhanced: "5.4.7", cause: errors.New("the time for delivery has expired")}
		case !offered: // RFC 2852, Section 4.1.4.1
			return &misfit{"5.3.3", errors.New("delivery within a time is asked for, but the server does not offer DELIVERBY"), true}
		case left < time.Duration(least)*time.Second:
			return &misfit{"5.3.3", fmt.Errorf("%v are left for delivery, but the server wants %d seconds", left, least), true}
		}
	}
	if m := t.insecure(); m != nil {
		return m
	}
	if (env.HoldFor != 0 || !env.HoldUntil.IsZero()) && !ext.has("FUTURERELEASE") {
		return &misfit{"5.3.3", errors.New("the message is to be held, but the server does not offer FUTURERELEASE"), true}
	}
	return nil
}

// letterNeedsUTF8 tells that the message needs SMTPUTF8 whoever gets it.
func (t *transaction) letterNeedsUTF8() bool {
	return t.env.UTF8 || !ascii.Is(t.from) || t.message.facts.HeaderUTF8 && t.env.Body != BodyBinary
}

// turnAway settles the recipients who need what the server does not offer, and
// finds out whether the rest need SMTPUTF8.
func (t *transaction) turnAway() {
	t.utf8 = t.letterNeedsUTF8()
	for i, r := range t.rcpts {
		if !r.utf8 && r.to.Since.IsZero() {
			continue
		}
		if t.unfit(r) != nil {
			t.split(i)
			return
		}
		t.utf8 = t.utf8 || r.utf8
	}
}

// split keeps those whom the server can serve; all before start are such.
func (t *transaction) split(start int) {
	rest := slices.Clone(t.rcpts[:start])
	for _, r := range t.rcpts[start:] {
		if m := t.unfit(r); m != nil {
			t.reject(r, m)
			continue
		}
		t.utf8 = t.utf8 || r.utf8
		rest = append(rest, r)
	}
	t.rcpts = rest
}

// unfit is what the server cannot do for a recipient, or nil.
func (t *transaction) unfit(r *recipient) *misfit {
	if r.utf8 && !t.s.ext.smtpUTF8 {
		return &misfit{"5.6.7", errors.New("the address needs SMTPUTF8, which the server does not offer"), true}
	}
	if r.to.Since.IsZero() {
		return nil
	}
	if !t.s.ext.has("RRVS") {
		return &misfit{"5.7.19", errors.New("the owner of the mailbox is to be checked, but the server does not offer RRVS"), true}
	}
	return nil
}

// size is what the message has on the wire, before dots are doubled.
func (t *transaction) size() int64 {
	if t.env.Body == BodyBinary {
		return t.message.facts.Size
	}
	return t.message.facts.WireSize
}

// timeLeft is what is left of Envelope.By, if that was asked for.
func (t *transaction) timeLeft() (time.Duration, bool) {
	if t.env.By == (DeliverBy{}) {
		return 0, false
	}
	left := t.env.By.Within
	if !t.env.Arrival.IsZero() {
		left -= time.Since(t.env.Arrival)
	}
	return left.Truncate(time.Second), true
}

// leftOut notes what is advice and not offered.
func (t *transaction) leftOut(what, keyword string) {
	t.s.at.Notes = append(t.s.at.Notes, fmt.Sprintf("%s was left out: the server does not offer %s", what, keyword))
}

// mail is the MAIL command with its parameters, in Postfix's order; those that
// Postfix does not know stand at the end.
func (t *transaction) mail() []byte {
	env, ext := t.env, &t.s.ext
	b := append(append(append(t.s.scratch[:0], "MAIL FROM:<"...), t.from...), '>')
	if ext.sizes && env.Verify == VerifyNo {
		b = strconv.AppendInt(append(b, " SIZE="...), t.size(), 10)
	}
	b = t.appendBody(b)
	b = t.appendDSN(b)
	if t.utf8 {
		b = append(b, " SMTPUTF8"...)
	}
	if t.promisesTLS() {
		b = append(b, " REQUIRETLS"...)
	}
	if env.Auth != "" {
		if _, ok := ext.lookup("AUTH"); ok {
			b = wire.AppendXtext(append(b, " AUTH="...), env.Auth)
		} else {
			t.leftOut("AUTH=", "AUTH")
		}
	}
	if env.Priority != 0 {
		if _, ok := ext.lookup("MT-PRIORITY"); ok {
			b = fmt.Appendf(b, " MT-PRIORITY=%d", env.Priority)
		} else {
			t.leftOut("MT-PRIORITY", "MT-PRIORITY")
		}
	}
	b = t.appendBy(b)
	switch {
	case env.HoldFor != 0:
		b = fmt.Appendf(b, " HOLDFOR=%d", int64(env.HoldFor/time.Second))
	case !env.HoldUntil.IsZero():
		b = append(b, " HOLDUNTIL="...)
		b = env.HoldUntil.UTC().AppendFormat(b, "2006-01-02T15:04:05Z")
	}
	t.s.scratch = b
	return b
}

// appendBody declares how the content is coded (RFC 6152, RFC 3030).
func (t *transaction) appendBody(b []byte) []byte {
	switch env, ext := t.env, &t.s.ext; {
	case env.Verify != VerifyNo:
	case env.Body == BodyBinary:
		return append(b, " BODY=BINARYMIME"...)
	case !ext.eightBitMIME:
	case env.Body == Body8Bit || t.message.facts.EightBit:
		return append(b, " BODY=8BITMIME"...)
	case env.Body == Body7Bit:
		return append(b, " BODY=7BIT"...)
	}
	return b
}

// appendDSN adds ENVID and RET (RFC 3461, Sections 4.3 and 4.4).
func (t *transaction) appendDSN(b []byte) []byte {
	env, wanted := t.env, t.returns()
	if env.EnvID == "" && wanted == ReturnUnset {
		return b
	}
	if _, ok := t.s.ext.lookup("DSN"); !ok {
		t.leftOut("RET or ENVID", "DSN")
		return b
	}
	if env.EnvID != "" {
		b = wire.AppendXtext(append(b, " ENVID="...), env.EnvID)
	}
	switch wanted {
	case ReturnFull:
		b = append(b, " RET=FULL"...)
	case ReturnHeaders:
		b = append(b, " RET=HDRS"...)
	}
	return b
}

// appendBy adds BY with the time that is left (RFC 2852, Section 4).
func (t *transaction) appendBy(b []byte) []byte {
	left, ok := t.timeLeft()
	if !ok {
		return b
	}
	if _, ok := t.s.ext.lookup("DELIVERBY"); !ok {
		t.leftOut("BY", "DELIVERBY")
		return b
	}
	mode := "N"
	if t.env.By.Return {
		mode = "R"
	}
	if t.env.By.Trace {
		mode += "T"
	}
	return fmt.Appendf(b, " BY=%d;%s", int64(left/time.Second), mode)
}

// rcpt is the RCPT command with its parameters.
func (t *transaction) rcpt(r *recipient) []byte {
	r.handed = false
	b := append(append(append(t.s.scratch[:0], "RCPT TO:<"...), r.path...), '>')
	if r.to.ORCPT != "" || r.to.Notify != 0 {
		if _, ok := t.s.ext.lookup("DSN"); ok {
			b = t.appendORCPT(b, r.to.ORCPT)
			b = appendNotify(b, r.to.Notify)
			r.handed = true
		} else if !t.noDSN {
			t.noDSN = true
			t.leftOut("NOTIFY or ORCPT", "DSN")
		}
	}
	if !r.to.Since.IsZero() {
		b = append(b, " RRVS="...)
		b = r.to.Since.UTC().AppendFormat(b, "2006-01-02T15:04:05Z")
	}
	if t.s.quirks.IgnoreQuota && t.s.kind.protocol == LMTP && t.s.ext.has("IGNOREQUOTA") {
		b = append(b, " IGNOREQUOTA"...)
	}
	t.s.scratch = b
	return b
}

// appendORCPT adds the original recipient (RFC 3461, Section 4.2). An address of
// type utf-8 stands as it is where the transaction has SMTPUTF8, else in ASCII
// (RFC 6533, Section 3).
func (t *transaction) appendORCPT(b []byte, orcpt string) []byte {
	kind, addr, ok := strings.Cut(orcpt, ";")
	if !ok {
		return b
	}
	b = append(b, " ORCPT="+kind+";"...)
	switch {
	case !strings.EqualFold(kind, "utf-8"):
		return wire.AppendXtext(b, addr)
	case t.utf8:
		return wire.AppendUTF8Address(b, addr, wire.Unitext)
	}
	return wire.AppendUTF8Address(b, addr, wire.ASCIIOnly)
}

// appendNotify adds NOTIFY (RFC 3461, Section 4.1).
func appendNotify(b []byte, n Notify) []byte {
	if n == 0 {
		return b
	}
	return n.append(append(b, " NOTIFY="...))
}

// maxAttributes is the longest XFORWARD, without its CRLF (RFC 5321, Section
// 4.5.3.1.4).
const maxAttributes = 510

// attributes are the attributes of c that the server knows, in Postfix's order,
// split in two commands as Postfix does, or in more where they are long.
func (c *ClientInfo) attributes(verb, known string) []string {
	values := map[string]string{
		"NAME": c.Name, "HELO": c.Helo, "PROTO": c.Proto, "LOGIN": c.Login, "IDENT": c.Ident, "SOURCE": c.Source,
		"ADDR": attributeAddr(c.Addr), "PORT": attributePort(c.Addr), "DESTADDR": attributeAddr(c.DestAddr), "DESTPORT": attributePort(c.DestAddr),
	}
	var lines []string
	for _, group := range [][]string{{"NAME", "ADDR", "PORT"}, {"PROTO", "HELO", "IDENT", "SOURCE", "LOGIN", "DESTADDR", "DESTPORT"}} {
		b := []byte(verb)
		for _, name := range group {
			if v := values[name]; v != "" && containsWord(known, name) {
				attribute := wire.AppendXtext([]byte(" "+name+"="), v)
				if len(b)+len(attribute) > maxAttributes && len(b) > len(verb) {
					lines = append(lines, string(b))
					b = []byte(verb)
				}
				b = append(b, attribute...)
			}
		}
		if len(b) > len(verb) {
			lines = append(lines, string(b))
		}
	}
	return lines
}

func containsWord(words, word string) bool {
	for w := range strings.FieldsSeq(words) {
		if strings.EqualFold(w, word) {
			return true
		}
	}
	return false
}

// attributeAddr writes an address as XFORWARD and XCLIENT have it.
func attributeAddr(a netip.AddrPort) string {
	addr := a.Addr().Unmap()
	switch {
	case !addr.IsValid():
		return ""
	case addr.Is4():
		return addr.String()
	}
	return "IPV6:" + addr.WithZone("").String()
}

func attributePort(a netip.AddrPort) string {
	if a.Port() == 0 {
		return ""
	}
	return strconv.Itoa(int(a.Port()))
}
