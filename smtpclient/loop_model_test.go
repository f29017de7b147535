package smtpclient_test

import (
	"slices"
	"strings"
)

// habit is the one thing that a server does to everybody. Verb is where; "" is
// nowhere, and besides the verbs of SMTP there are three places before them.
type habit struct {
	verb string
	act  action
}

const (
	noAddress = "no address"     // of the whole host
	refused   = "refused"        // connections are
	silent    = "silent"         // connections are never made
	brokenTLS = "broken TLS"     // a handshake never ends well
	noUTF8    = "no SMTPUTF8"    // offered
	tooSmall  = "too small SIZE" // for any message
)

// place is one address of a host, with the reply that each user gets to RCPT.
type place struct {
	addr  string
	habit habit
	rcpt  map[string]string
}

// stop is a host with its addresses.
type stop struct {
	name   string
	places []place
}

// trip is what a call is given.
type trip struct {
	users               []string
	hosts, fallback     []stop // fallback: each a next hop of its own
	addresses, sessions int    // limits as a caller sets them
	recipients          int
	finalGreeting       bool
	finalHello          bool
	fallbackForDeferred bool
	utf8                bool // the message needs SMTPUTF8
	soft                bool // Classify makes Failed Deferred
	hard                bool // Classify makes Deferred Failed
}

// fate is what the model says of a recipient.
type fate struct {
	verdict string   // status, stage and enhanced code
	log     []string // where, stage and enhanced code of each attempt
	open    bool
	greeted bool // by any host
	asked   bool // Classify has had its word on the last attempt
}

// contact is what the model says that a server sees.
type contact struct {
	sessions, mails int
	rcpts           []string
}

// model walks through a trip as the rules of delivery have it: a recipient goes
// from address to address until a server has decided, within limits. It is
// written from the rules, and shares nothing with the engine.
type model struct {
	trip
	fates    map[string]*fate
	contacts map[string]*contact
	paths    map[string]bool // what happened
}

func simulate(p trip) *model {
	m := &model{trip: p, fates: make(map[string]*fate), contacts: make(map[string]*contact), paths: make(map[string]bool)}
	for _, u := range p.users {
		m.fates[u] = &fate{open: true}
	}
	m.hop(m.hosts, m.users)
	for _, relay := range m.fallback {
		var left []string
		for _, u := range m.users {
			if f := m.fates[u]; f.open && (m.fallbackForDeferred || !f.greeted) {
				left = append(left, u)
			}
		}
		if len(left) > 0 {
			m.paths["fallback"] = true
			m.hop([]stop{relay}, left)
		}
	}
	for _, f := range m.fates {
		if where, ok := strings.CutPrefix(f.verdict, "deferred "); ok && m.hard && !f.asked {
			m.paths["made hard"] = true
			f.verdict = "failed " + hardened(where)
			f.log[len(f.log)-1] = hardened(f.log[len(f.log)-1])
		}
	}
	return m
}

// hardened has the enhanced code at the end, "4.x.y", as "5.x.y".
func hardened(s string) string { return s[:len(s)-5] + "5" + s[len(s)-4:] }

func softened(s string) string { return s[:len(s)-5] + "4" + s[len(s)-4:] }

// hop tries the hosts of one next hop.
func (m *model) hop(hosts []stop, users []string) {
	if !slices.ContainsFunc(hosts, func(h stop) bool { return len(h.places) > 0 }) {
		m.paths["no host has an address"] = true
		m.verdict(users, "", "failed", "resolve 5.4.4", len(m.fallback) > 0)
		return
	}
	addresses, sessions := 0, 0
	for _, h := range hosts {
		if len(h.places) == 0 {
			m.paths[noAddress] = true
			m.verdict(m.left(users), h.name, "deferred", "resolve 4.4.4", true)
		}
		for _, p := range h.places {
			open := m.left(users)
			if len(open) == 0 {
				m.paths["all decided"] = true
				return
			}
			addresses++
			if m.visit(p, open) {
				sessions++
			}
			if addresses == limitOr(m.addresses, 5) {
				m.paths["address limit"] = true
				return
			}
			if sessions == limitOr(m.sessions, 2) {
				m.paths["session limit"] = true
				return
			}
		}
	}
	m.paths["hosts used up"] = true
}

func limitOr(n, usual int) int {
	if n == 0 {
		return usual
	}
	return n
}

func (m *model) left(users []string) (open []string) {
	for _, u := range users {
		if m.fates[u].open {
			open = append(open, u)
		}
	}
	return open
}

// verdict is what users get at a server. open has another host take them all the
// same.
func (m *model) verdict(users []string, at, status, where string, open bool) {
	for _, u := range users {
		f := m.fates[u]
		what := where
		f.asked = status == "failed"
		if status == "failed" && m.soft {
			m.paths["made soft"] = true
			f.verdict, what, f.open = "deferred "+softened(where), softened(where), true
		} else {
			f.verdict, f.open = status+" "+where, open
		}
		f.log = append(f.log, at+" "+what)
	}
}

// visit dials an address, and tells whether MAIL was reached.
func (m *model) visit(p place, users []string) bool {
	m.paths[p.habit.verb+" "+p.habit.act.Reply] = true
	c := &contact{}
	if known := m.contacts[p.addr]; known != nil {
		c = known
	}
	m.contacts[p.addr] = c
	switch verb := p.habit.verb; verb {
	case refused, silent:
		m.verdict(users, p.addr, "deferred", "connect 4.4.1", true)
		return false
	case brokenTLS:
		c.sessions++ // another one follows in plaintext, and is not counted
	}
	c.sessions++
	switch p.habit.verb + " " + p.habit.act.Reply {
	case "Connect ":
		m.verdict(users, p.addr, "deferred", "greeting 4.4.2", true)
		return false
	case "Connect 450 4.3.2 busy":
		m.greet(users)
		m.verdict(users, p.addr, "deferred", "greeting 4.3.2", true)
		return false
	case "Connect 554 5.7.1 go away":
		m.greet(users)
		m.unwilling(users, p.addr, "greeting", m.finalGreeting)
		return false
	case "EHLO 554 5.7.1 go away":
		m.greet(users)
		m.unwilling(users, p.addr, "hello", m.finalHello)
		return false
	}
	m.greet(users)
	switch {
	case p.habit.verb == tooSmall:
		m.verdict(users, p.addr, "failed", "mail 5.3.4", false)
		return false
	case p.habit.verb == noUTF8 && m.utf8:
		m.verdict(users, p.addr, "failed", "mail 5.6.7", true)
		return false
	}
	m.converse(c, p, users)
	return true
}

func (m *model) greet(users []string) {
	for _, u := range users {
		m.fates[u].greeted = true
	}
}

// unwilling is a 5yz before MAIL.
func (m *model) unwilling(users []string, at, stage string, final bool) {
	if final {
		m.verdict(users, at, "failed", stage+" 5.7.1", false)
	} else {
		m.verdict(users, at, "deferred", stage+" 4.7.1", true)
	}
}

// converse is a session, with a transaction for each share of the recipients.
func (m *model) converse(c *contact, p place, users []string) {
	at, most := p.addr, limitOr(m.recipients, 50)
	if len(users) > most {
		m.paths["several transactions"] = true
	}
	for share := range slices.Chunk(users, most) {
		lost, stage := m.transact(c, p, share), ""
		switch {
		case !lost:
			continue
		case p.habit.verb == "MAIL":
			stage = "mail"
		case p.habit.verb == "DATA":
			stage = "data-init"
		default:
			stage = "data-done"
		}
		done := slices.Index(users, share[len(share)-1]) + 1
		m.verdict(users[done:], at, "deferred", stage+" 4.4.2", true)
		return
	}
}

// transact is one transaction. It tells that the connection was lost.
func (m *model) transact(c *contact, p place, share []string) (lost bool) {
	at, habit := p.addr, p.habit.verb+" "+p.habit.act.Reply
	c.mails++
	switch habit {
	case "MAIL 451 4.3.0 later":
		m.verdict(share, at, "deferred", "mail 4.3.0", true)
		return false
	case "MAIL 550 5.7.1 no":
		m.verdict(share, at, "failed", "mail 5.7.1", false)
		return false
	case "MAIL ":
		m.verdict(share, at, "deferred", "mail 4.4.2", true)
		return true
	}
	var accepted []string
	for _, u := range share {
		c.rcpts = append(c.rcpts, u)
		switch p.rcpt[u] {
		case "450 4.2.1 wait":
			m.verdict([]string{u}, at, "deferred", "rcpt 4.2.1", true)
		case "550 5.1.1 nobody":
			m.verdict([]string{u}, at, "failed", "rcpt 5.1.1", false)
		default:
			accepted = append(accepted, u)
		}
	}
	if len(accepted) == 0 {
		m.paths["nobody accepted"] = true
		return false
	}
	switch habit {
	case "DATA 451 4.3.0 later":
		m.verdict(accepted, at, "deferred", "data-init 4.3.0", true)
	case "DATA 554 5.7.1 no":
		m.verdict(accepted, at, "failed", "data-init 5.7.1", false)
	case "DATA ":
		m.verdict(accepted, at, "deferred", "data-init 4.4.2", true)
		return true
	case "EndOfData 451 4.3.0 later":
		m.verdict(accepted, at, "deferred", "data-done 4.3.0", true)
	case "EndOfData 554 5.7.1 no":
		m.verdict(accepted, at, "failed", "data-done 5.7.1", false)
	case "EndOfData ":
		m.verdict(accepted, at, "unknown", "data-done 4.4.2", false)
		return true
	default:
		m.verdict(accepted, at, "delivered", "data-done 2.0.0", false)
	}
	return false
}
