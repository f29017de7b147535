package main

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// The flags that fill the envelope. What has a grammar of its own on the command
// line is read here; addresses are left to the library.

func setFrom(c *config, value string) error {
	c.envelope.From, c.hasFrom = value, true
	return nil
}

func addTo(c *config, value string) error {
	to := c.everyone
	to.Address = value
	c.envelope.To = append(c.envelope.To, to)
	return nil
}

// recipient is whom -notify and -orcpt are about: the -to before them, or all
// where none came yet.
func (c *config) recipient() *smtpclient.Recipient {
	if n := len(c.envelope.To); n > 0 {
		return &c.envelope.To[n-1]
	}
	return &c.everyone
}

func setNotify(c *config, value string) error {
	events := map[string]smtpclient.Notify{
		"success": smtpclient.NotifySuccess,
		"failure": smtpclient.NotifyFailure,
		"delay":   smtpclient.NotifyDelay,
		"never":   smtpclient.NotifyNever,
	}
	var notify smtpclient.Notify
	for word := range strings.SplitSeq(value, ",") {
		event, ok := events[strings.ToLower(word)]
		if !ok {
			return errors.New("takes never, or some of success, failure and delay separated by commas")
		}
		notify |= event
	}
	if notify&smtpclient.NotifyNever != 0 && notify != smtpclient.NotifyNever {
		return errors.New("takes never alone, without success, failure and delay")
	}
	c.recipient().Notify = notify
	return nil
}

// setORCPT takes an address with its type, as "rfc822;bob@example.net", or
// without.
func setORCPT(c *config, value string) error {
	if value == "" {
		return errors.New("takes an address, as bob@example.net or rfc822;bob@example.net")
	}
	c.recipient().ORCPT = withType(value)
	return nil
}

// withType puts the address type before an address that has none. What stands
// before a semicolon is one unless it could not be, as a quotation mark.
func withType(addr string) string {
	kind, _, found := strings.Cut(addr, ";")
	if found && !strings.ContainsAny(kind, `"@`) {
		return addr
	}
	if strings.ContainsFunc(addr, func(c rune) bool { return c > '~' }) {
		return "utf-8;" + addr // RFC 6533
	}
	return "rfc822;" + addr
}

func setBody(c *config, value string) error {
	bodies := map[string]smtpclient.Body{"auto": smtpclient.BodyAuto, "7bit": smtpclient.Body7Bit,
		"8bitmime": smtpclient.Body8Bit, "binarymime": smtpclient.BodyBinary}
	body, ok := bodies[value]
	if !ok {
		return errors.New("takes auto, 7bit, 8bitmime or binarymime")
	}
	c.envelope.Body = body
	return nil
}

func setReturn(c *config, value string) error {
	switch value {
	case "full":
		c.envelope.Return = smtpclient.ReturnFull
	case "hdrs":
		c.envelope.Return = smtpclient.ReturnHeaders
	default:
		return errors.New("takes full or hdrs")
	}
	return nil
}

func setEnvID(c *config, value string) error {
	// RFC 3461, Section 4.4.
	unfit := func(c rune) bool { return c < ' ' || c > '~' }
	if value == "" || len(value) > 100 || strings.ContainsFunc(value, unfit) {
		return errors.New("takes 1 to 100 printable ASCII characters")
	}
	c.envelope.EnvID = value
	return nil
}

func setAuthParam(c *config, value string) error {
	if value == "" {
		return errors.New("takes an address, or <> where it is not known who gave us the message")
	}
	c.envelope.Auth = value
	return nil
}

func setPriority(c *config, value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < -9 || n > 9 {
		return errors.New("takes a number from -9 to 9")
	}
	c.envelope.Priority = n
	return nil
}

// setBy reads the form of BY (RFC 2852, Section 4), where the mode may be left
// out: that is N.
func setBy(c *config, value string) error {
	count, mode, hasMode := strings.Cut(value, ";")
	within, ok := parseSeconds(count)
	mode = strings.ToUpper(mode)
	if !hasMode {
		mode = "N"
	}
	switch {
	case !ok || within == 0 || mode != "R" && mode != "RT" && mode != "N" && mode != "NT":
		return errors.New("takes SECONDS, SECONDS;R or SECONDS;N, and T behind that to trace, as 3600;R or 600;NT")
	case within < 0 && mode[0] == 'R':
		return errors.New("takes a positive time where the mode is R")
	}
	c.envelope.By = smtpclient.DeliverBy{Within: within, Return: mode[0] == 'R', Trace: len(mode) == 2}
	return nil
}

// parseSeconds reads a number of at most nine digits, with or without a sign.
func parseSeconds(s string) (time.Duration, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return time.Duration(n) * time.Second, err == nil && -1e9 < n && n < 1e9
}

func setHold(c *config, value string) error {
	c.envelope.HoldFor, c.envelope.HoldUntil = 0, time.Time{}
	if d, ok := parseSeconds(value); ok && d > 0 {
		c.envelope.HoldFor = d
		return nil
	}
	if t, err := time.Parse(time.RFC3339, value); err == nil && !t.IsZero() {
		c.envelope.HoldUntil = t
		return nil
	}
	return errors.New("takes a number of seconds, or a time as 2026-12-31T18:00:00Z")
}

func setArrival(c *config, value string) error {
	t, err := time.Parse(time.RFC3339, value)
	if err != nil || t.IsZero() {
		return errors.New("takes a time as 2026-12-31T18:00:00Z or 2026-12-31T19:00:00+01:00")
	}
	c.envelope.Arrival = t
	return nil
}

func setRequireTLS(c *config, value string) error {
	require, err := strconv.ParseBool(value)
	if err != nil {
		return errSwitch
	}
	if c.envelope.TLS == tlspolicy.NotRequired {
		return errors.New("cannot stand beside -tls-required no")
	}
	c.envelope.TLS = 0
	if require {
		c.envelope.TLS = tlspolicy.EveryHop
	}
	return nil
}

func setVerify(c *config, value string) error {
	verify, err := strconv.ParseBool(value)
	if err != nil {
		return errSwitch
	}
	c.envelope.Verify = smtpclient.VerifyNo
	if verify {
		c.envelope.Verify = smtpclient.VerifyRcpt
	}
	return nil
}

// addXForward sets one attribute, by the names that Postfix's XFORWARD has.
func addXForward(c *config, value string) error {
	name, v, _ := strings.Cut(value, "=")
	if v == "" {
		return errors.New("takes NAME=VALUE, as NAME=client.example.org or ADDR=192.0.2.1")
	}
	if c.envelope.XForward == nil {
		c.envelope.XForward = &smtpclient.ClientInfo{}
	}
	info := c.envelope.XForward
	name = strings.ToUpper(name)
	texts := map[string]*string{"NAME": &info.Name, "HELO": &info.Helo, "PROTO": &info.Proto,
		"LOGIN": &info.Login, "IDENT": &info.Ident, "SOURCE": &info.Source}
	if field := texts[name]; field != nil {
		*field = v
		return nil
	}
	switch name {
	case "ADDR":
		return setIP(&info.Addr, v)
	case "DESTADDR":
		return setIP(&info.DestAddr, v)
	case "PORT":
		return setIPPort(&info.Addr, v)
	case "DESTPORT":
		return setIPPort(&info.DestAddr, v)
	}
	return errors.New("takes NAME=VALUE, where NAME is one of NAME, ADDR, PORT, HELO, PROTO, LOGIN, IDENT, SOURCE, DESTADDR, DESTPORT")
}

// setIP and setIPPort each set one half and keep the other.
func setIP(ap *netip.AddrPort, value string) error {
	addr, err := netip.ParseAddr(value)
	if err != nil {
		return errors.New("takes an IP address in ADDR and DESTADDR, as 192.0.2.1 or 2001:db8::1")
	}
	*ap = netip.AddrPortFrom(addr, ap.Port())
	return nil
}

func setIPPort(ap *netip.AddrPort, value string) error {
	n, err := strconv.ParseUint(value, 10, 16)
	if err != nil || n == 0 {
		return errors.New("takes a number from 1 to 65535 in PORT and DESTPORT")
	}
	*ap = netip.AddrPortFrom(ap.Addr(), uint16(n))
	return nil
}
