package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
)

// options is the table of all flags. Addresses, next hops and names are not
// judged here: the library does that, and its verdict is in the report.
func options() []option {
	return []option{
		{"from", "ADDRESS", "the sender, or <> for a notice", setFrom},
		{"to", "ADDRESS", "a recipient; may be repeated", addTo},
		{"file", "FILE", "the message; else it is read from standard input", text(func(c *config) *string { return &c.file })},
		{"nexthop", "DEST", "send to domain, [host]:port, inet:host:port or unix:path; may be repeated, in order", addNextHop},
		{"proto", "smtp|lmtp", "what is spoken; with lmtp -nexthop names the stores", setProto},
		{"helo", "NAME", "our name in EHLO", text(func(c *config) *string { return &c.client.LocalName })},
		{"dns", "HOST:PORT", "ask this DNS server", setDNS},
		{"local", "", "allow mail servers at loopback and link-local addresses", on(func(c *config) *bool { return &c.client.Routing.Local })},
		{"port", "N", "the port where nothing else names one", setPort},
		{"fallback", "DEST", "next hop for recipients that no host answered; may be repeated, in order", addFallback},
		{"bind4", "IP", "local address for IPv4", address(func(c *config) *netip.Addr { return &c.dialer.LocalAddr4 })},
		{"bind6", "IP", "local address for IPv6", address(func(c *config) *netip.Addr { return &c.dialer.LocalAddr6 })},
		{"prefer", "ipv4|ipv6|any", "family to try first among hosts of equal preference", setPrefer},

		{"tls", "LEVEL", "none, may, encrypt, fingerprint, dane, dane-only, verify or secure", setTLS},
		{"tls-policy", "FILE", "table of TLS policies by next hop, as Postfix has it; -tls is for what is not in it", text(func(c *config) *string { return &c.tls.table })},
		{"ca", "FILE", "certificates of trusted authorities, in place of the system's", text(func(c *config) *string { return &c.tls.ca })},
		{"cert", "FILE", "our certificate, for servers that ask for one", text(func(c *config) *string { return &c.tls.cert })},
		{"key", "FILE", "key of our certificate; else it is looked for in -cert", text(func(c *config) *string { return &c.tls.key })},
		{"fingerprint", "HEX", "SHA-256 of an accepted certificate or public key, at level fingerprint; may be repeated", addFingerprint},
		{"match", "NAME", "accepted name in the server's certificate, at verify and secure; may be repeated", addMatch},
		{"wrapper", "", "TLS before the greeting; the level is then encrypt at least", on(func(c *config) *bool { return &c.tls.policy.Implicit })},
		{"servername", "NAME", "name that is asked for in the TLS handshake", text(func(c *config) *string { return &c.tls.policy.ServerName })},
		{"retry-plaintext", "on|off", "at level may: plaintext after a failed handshake", setRetryPlaintext},

		{"auth-user", "U", "user to authenticate to the servers that -nexthop names", text(func(c *config) *string { return &c.auth.user })},
		{"auth-pass-env", "VAR", "environment variable with the password, or with the token of XOAUTH2 or OAUTHBEARER", text(func(c *config) *string { return &c.auth.passEnv })},
		{"auth-mech", "M", "SASL mechanism; else the strongest that the server offers", text(func(c *config) *string { return &c.auth.mechanism })},
		{"auth-plaintext-ok", "", "show the password also without TLS and to a server that has not proved its name; -tls is then may, if it is not given", on(func(c *config) *bool { return &c.auth.plaintext })},

		{"body", "auto|7bit|8bitmime|binarymime", "how the content is coded; auto looks at it", setBody},
		{"smtputf8", "", "ask for SMTPUTF8 also where neither an address nor the header needs it", on(func(c *config) *bool { return &c.envelope.UTF8 })},
		{"requiretls", "", "ask for TLS on every hop; the server is then verified", setRequireTLS},
		{"ret", "full|hdrs", "how much a notice gives back", setReturn},
		{"envid", "ID", "envelope identifier for notices", setEnvID},
		{"notify", "LIST", "never, or of success,failure,delay: when to notify about the -to before it, or about all before any -to", setNotify},
		{"orcpt", "ADDR", "original recipient of the -to before it, or of all before any -to; rfc822 unless a type stands before it", setORCPT},

		{"pipelining", "on|off", "off: overlook PIPELINING", onOff(func(c *config, on bool) { c.lockstep = !on })},
		{"chunking", "off|auto|after|grouped", "use of BDAT; auto: for binary content; grouped: for one's own servers only", setChunking},
		{"overlap", "on|off", "with -pool on: begin the next transaction with the final dot of the last (on)", onOff(func(c *config, on bool) { c.quirks.NoOverlap = !on })},
		{"discard", "KEYWORDS", "EHLO keywords to overlook, separated by commas", addDiscard},
		{"mx-address-limit", "N", "addresses that are dialled; 0: no limit", limit(func(c *config) *int { return &c.client.Limits.Addresses })},
		{"mx-session-limit", "N", "sessions that reach MAIL; 0: no limit", limit(func(c *config) *int { return &c.client.Limits.Sessions })},
		{"timeout", "STAGE=DURATION", "time for a stage, as rcpt=30s; 0: the default, negative: none; may be repeated", setTimeout},

		{"verify", "", "only ask whether the recipients would be accepted; standard input is not read", setVerify},
		{"arrival", "TIME", "when the message came in, as 2026-12-31T18:00:00Z; -by counts from there", setArrival},
		{"deadline", "DURATION", "time for the whole delivery of one message", setDeadline},
		{"final", "", "LMTP: the server is the end of the way", on(func(c *config) *bool { return &c.final })},
		{"srv", "SERVICE", "look for SRV records of a service in place of MX records, as submission", text(func(c *config) *string { return &c.client.Routing.Service })},
		{"by", "SECONDS[;R|N[T]]", "deliver within a time; R: else return it, N: else notify (the default), T: trace", setBy},
		{"hold", "WHEN", "have the server hold the message, for seconds or until a time as of -arrival", setHold},
		{"priority", "N", "priority from -9 to 9", setPriority},
		{"auth-param", "ADDR", "AUTH= of MAIL: who gave us the message, or <>", setAuthParam},
		{"xforward", "NAME=VALUE", "an attribute for XFORWARD, as ADDR=192.0.2.1; may be repeated", addXForward},
		{"tls-required", "no", "do not enforce what the recipient's domain demands of TLS", setTLSRequired},

		{"repeat", "N", "deliver N times; a summary follows on standard error", count(func(c *config) *int { return &c.repeat })},
		{"concurrency", "N", "deliver N at the same time", count(func(c *config) *int { return &c.concurrency })},
		{"pool", "on|off", "keep connections open for the next message, -concurrency of them to a destination (off)", onOff(func(c *config, on bool) { c.pool = on })},
		{"trace", "", "show the dialogue on standard error", on(func(c *config) *bool { return &c.trace })},
		{"json", "", "print the report as JSON", on(func(c *config) *bool { return &c.json })},
	}
}

// text sets a field to what was given.
func text(field func(*config) *string) func(*config, string) error {
	return func(c *config, value string) error {
		*field(c) = value
		return nil
	}
}

var errSwitch = errors.New("is a switch; it takes nothing, true or false")

// on sets a switch.
func on(field func(*config) *bool) func(*config, string) error {
	return func(c *config, value string) error {
		b, err := strconv.ParseBool(value)
		if err != nil {
			return errSwitch
		}
		*field(c) = b
		return nil
	}
}

// onOff sets what is on or off.
func onOff(set func(c *config, on bool)) func(*config, string) error {
	return func(c *config, value string) error {
		if value != "on" && value != "off" {
			return errors.New("takes on or off")
		}
		set(c, value == "on")
		return nil
	}
}

// count sets a number of at least one.
func count(field func(*config) *int) func(*config, string) error {
	return func(c *config, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			return errors.New("takes a number, 1 or more")
		}
		*field(c) = n
		return nil
	}
}

// limit sets a limit, where 0 on the command line is a negative number in Go.
func limit(field func(*config) *int) func(*config, string) error {
	return func(c *config, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return errors.New("takes a number; 0 is no limit")
		}
		if n == 0 {
			n = -1
		}
		*field(c) = n
		return nil
	}
}

// address sets a local address. Whether its family is right, the library says.
func address(field func(*config) *netip.Addr) func(*config, string) error {
	return func(c *config, value string) error {
		addr, err := netip.ParseAddr(value)
		if err != nil {
			return errors.New("takes an IP address")
		}
		*field(c) = addr
		return nil
	}
}

func addNextHop(c *config, value string) error {
	c.client.NextHops = append(c.client.NextHops, value)
	return nil
}

func addFallback(c *config, value string) error {
	c.client.Fallback = append(c.client.Fallback, value)
	return nil
}

func setDNS(c *config, value string) error {
	host, port, err := net.SplitHostPort(value)
	if err != nil || host == "" || !isPort(port) {
		return errors.New("takes HOST:PORT, as 127.0.0.1:53 or [::1]:53")
	}
	c.client.Resolver = &resolve.DNS{Servers: []string{value}}
	return nil
}

func setPort(c *config, value string) error {
	if !isPort(value) {
		return errors.New("takes a number from 1 to 65535")
	}
	n, _ := strconv.ParseUint(value, 10, 16)
	c.client.Routing.Port = uint16(n)
	return nil
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

func setPrefer(c *config, value string) error {
	families := map[string]resolve.Families{"ipv4": resolve.IPv4, "ipv6": resolve.IPv6, "any": 0}
	family, ok := families[value]
	if !ok {
		return errors.New("takes ipv4, ipv6 or any")
	}
	c.client.Routing.Prefer = family
	return nil
}

func setChunking(c *config, value string) error {
	uses := map[string]smtpclient.Chunking{"off": smtpclient.ChunkingOff, "auto": smtpclient.ChunkingAuto,
		"after": smtpclient.ChunkingAfter, "grouped": smtpclient.ChunkingGrouped}
	use, ok := uses[value]
	if !ok {
		return errors.New("takes off, auto, after or grouped")
	}
	c.quirks.Chunking = use
	return nil
}

func addDiscard(c *config, value string) error {
	words := strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
	if len(words) == 0 {
		return errors.New("takes EHLO keywords separated by commas, as PIPELINING,SIZE")
	}
	c.quirks.Discard = append(c.quirks.Discard, words...)
	return nil
}

func setDeadline(c *config, value string) error {
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		return errors.New("takes a duration, as 90s or 5m")
	}
	c.deadline = d
	return nil
}

// timeoutStages are the stages of -timeout, in their order.
var timeoutStages = [...]string{"connect", "greeting", "hello", "starttls", "auth", "mail", "rcpt", "data-init",
	"data-block", "data-done", "command", "quit", "transaction"}

func setTimeout(c *config, value string) error {
	stage, duration, _ := strings.Cut(value, "=")
	d, err := time.ParseDuration(duration)
	if err != nil {
		return errors.New("takes STAGE=DURATION, as rcpt=30s or data-done=5m")
	}
	field := timeoutField(&c.dialer.Timeouts, stage)
	if field == nil {
		return fmt.Errorf("takes STAGE=DURATION, where STAGE is one of %s", strings.Join(timeoutStages[:], ", "))
	}
	*field = d
	return nil
}

// timeoutField finds the timeout of a stage; nil if there is none.
func timeoutField(t *smtpclient.Timeouts, stage string) *time.Duration {
	return map[string]*time.Duration{
		"connect":     &t.Connect,
		"greeting":    &t.Greeting,
		"hello":       &t.Hello,
		"starttls":    &t.StartTLS,
		"auth":        &t.Auth,
		"mail":        &t.Mail,
		"rcpt":        &t.Rcpt,
		"data-init":   &t.DataInit,
		"data-block":  &t.DataBlock,
		"data-done":   &t.DataDone,
		"command":     &t.Command,
		"quit":        &t.Quit,
		"transaction": &t.Transaction,
	}[stage]
}
