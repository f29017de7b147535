package resolve

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/address"
)

// NextHop is where mail is to go. ParseNextHop makes one from text; a NextHop
// made by hand has its name in the form given below. NextHops can be compared.
type NextHop struct {
	Kind Kind
	Port uint16 // zero: Routing.Port; ViaSocket has none
	// Name is a domain or host name in A-labels and lower case, without a final
	// dot; for ViaHost also an IP address, without brackets; for ViaSocket an
	// absolute path.
	Name string
}

// Kind says how a NextHop is turned into hosts.
type Kind uint8

// The kinds of next hop.
const (
	ViaMX     Kind = iota // the mail exchangers of a domain
	ViaHost               // one host, by name or address; no MX lookup
	ViaSocket             // a Unix socket; no lookup at all
)

// ParseNextHop reads a next hop:
//
//	example.org             the mail exchangers of example.org
//	example.org:587         the same, at another port
//	[mx.example.org]        the host mx.example.org
//	[mx.example.org]:587    the same, at another port
//	[192.0.2.1]             an address, also as domain of a recipient
//	[2001:db8::1]:587       [IPv6:2001:db8::1] means the same
//	inet:mx.example.org:24  as [mx.example.org]:24
//	unix:/run/lmtp.sock     a Unix socket
//
// A port is a number from 1 to 65535, or smtp (25), smtps or submissions (465),
// submission (587) or lmtp (24). Names that are not ASCII become A-labels. The
// error says what to write instead.
func ParseNextHop(s string) (NextHop, error) {
	hop, err := parseNextHop(s)
	if err != nil {
		return NextHop{}, fmt.Errorf("next hop %s: %w", quote(s), err)
	}
	return hop, nil
}

func parseNextHop(s string) (NextHop, error) {
	if path, found := strings.CutPrefix(s, "unix:"); found {
		return socketHop(path)
	}
	if host, found := strings.CutPrefix(s, "inet:"); found {
		return inetHop(host)
	}
	if strings.HasPrefix(s, "[") {
		return bracketHop(s)
	}
	return mxHop(s)
}

func socketHop(path string) (NextHop, error) {
	if !strings.HasPrefix(path, "/") {
		return NextHop{}, errors.New("write the whole path of the socket, as unix:/run/lmtp.sock")
	}
	if strings.ContainsFunc(path, isControl) {
		return NextHop{}, errors.New("the path of the socket has a control character")
	}
	return NextHop{Kind: ViaSocket, Name: path}, nil
}

// inetHop reads what follows "inet:": host, host:port, or the forms in brackets.
func inetHop(s string) (NextHop, error) {
	if strings.HasPrefix(s, "[") {
		return bracketHop(s)
	}
	host, rest := cutPort(s)
	if strings.Contains(host, ":") {
		return NextHop{}, errors.New("write an IPv6 address in brackets, as inet:[2001:db8::1]:24")
	}
	return hostHop(host, rest)
}

// bracketHop reads [host] and [host]:port.
func bracketHop(s string) (NextHop, error) {
	host, rest, found := strings.Cut(s[1:], "]")
	if !found {
		return NextHop{}, errors.New("the closing bracket is missing; write [mx.example.org]:587")
	}
	return hostHop(host, rest)
}

func hostHop(host, rest string) (NextHop, error) {
	port, err := parsePort(rest)
	if err != nil {
		return NextHop{}, err
	}
	name, err := hostName(host)
	if err != nil {
		return NextHop{}, err
	}
	return NextHop{Kind: ViaHost, Name: name, Port: port}, nil
}

// hostName brings the name or address of a host to its one form. An address may
// have the tag that it has in an address literal.
func hostName(s string) (string, error) {
	addr, isAddr := parseAddr(s)
	if !isAddr && strings.Contains(s, ":") {
		addr, isAddr = address.Literal("[" + s + "]")
	}
	switch {
	case !isAddr:
		return address.Domain(s)
	case addr.Zone() != "":
		return "", errors.New("an address with a zone is not supported; write it without the % and what follows")
	}
	return addr.Unmap().String(), nil
}

// mxHop reads domain and domain:port.
func mxHop(s string) (NextHop, error) {
	if addr, ok := parseAddr(s); ok {
		return NextHop{}, fmt.Errorf("write an address in brackets, as [%s]", addr.WithZone(""))
	}
	domain, rest := cutPort(s)
	port, err := parsePort(rest)
	if err != nil {
		return NextHop{}, err
	}
	name, err := address.Domain(domain)
	if err != nil {
		return NextHop{}, err
	}
	return NextHop{Kind: ViaMX, Name: name, Port: port}, nil
}

// cutPort splits before the last colon.
func cutPort(s string) (host, rest string) {
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// parsePort reads ":port" or nothing.
func parsePort(s string) (uint16, error) {
	if s == "" {
		return 0, nil
	}
	text, found := strings.CutPrefix(s, ":")
	if !found {
		return 0, fmt.Errorf("only a colon and a port may follow the bracket, not %s", quote(s))
	}
	if text != "" && text[0] > '9' {
		if port, known := servicePorts[strings.ToLower(text)]; known {
			return port, nil
		}
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%s is no port; write a number from 1 to 65535, or smtp, submission, submissions or lmtp", quote(text))
	}
	return uint16(n), nil
}

// String gives the form that ParseNextHop reads back: one text for one NextHop.
func (h NextHop) String() string {
	switch h.Kind {
	case ViaSocket:
		return "unix:" + h.Name
	case ViaHost:
		return "[" + h.Name + "]" + h.portSuffix()
	}
	return h.Name + h.portSuffix()
}

func (h NextHop) portSuffix() string {
	if h.Port == 0 {
		return ""
	}
	return ":" + strconv.Itoa(int(h.Port))
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// quote makes a foreign string fit for an error: ASCII, escaped and short.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "..."
	}
	return strconv.QuoteToASCII(s)
}
