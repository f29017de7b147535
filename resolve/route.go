package resolve

import (
	"context"
	"errors"
	"net/netip"
)

// NextHop is where mail is to go.
type NextHop struct {
	Kind Kind
	Name string
	Port uint16
}

// Kind says how a NextHop is turned into hosts.
type Kind uint8

// The kinds of next hop.
const (
	ViaMX Kind = iota
	ViaHost
	ViaSocket
)

// ParseNextHop is stubbed.
func ParseNextHop(s string) (NextHop, error) { panic("stub") }

// String is stubbed.
func (h NextHop) String() string { panic("stub") }

// Families is a set of address families.
type Families uint8

// The address families.
const (
	IPv4 Families = 1 << iota
	IPv6
)

// Routing says how hosts are found.
type Routing struct {
	Prefer Families
	Port   uint16
	Local  bool
}

// Route is stubbed.
func (o Routing) Route(ctx context.Context, r Resolver, hop NextHop) (*Route, error) { panic("stub") }

// Route is an ordered list of hosts.
type Route struct {
	NextHop NextHop
	Hosts   []Host
	Secure  bool
}

// Host is one host of a Route.
type Host struct {
	Name       string
	Preference uint16
	Port       uint16
	Addrs      []netip.Addr
	Canonical  string
	Secure     bool
	Err        error
}

// Permanent errors of Route.
var (
	ErrNotFound = errors.New("stub")
	ErrNullMX   = errors.New("stub")
)
