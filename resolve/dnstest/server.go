// Package dnstest is a DNS server for tests, made from zone text.
//
//	srv := &dnstest.Server{Zones: []dnstest.Zone{{Text: `
//	$ORIGIN example.org.
//	@    MX    10 mx
//	mx   A     192.0.2.25
//	`}}}
//	defer srv.Close()
//	resolver := &resolve.DNS{Servers: []string{"127.0.0.1:53"}, DialContext: srv.DialContext}
//
// DialContext connects in memory, also inside a testing/synctest bubble; Listen
// opens real sockets.
package dnstest

import (
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// Server answers questions about its Zones as an authoritative server does, and
// about all other names with REFUSED: a Zone with the text "$ORIGIN ." makes
// them names that do not exist. Aliases are followed through all Zones.
//
// The fields must not change after the first use. The methods may be called from
// many goroutines; inside a testing/synctest bubble, make the Server there.
type Server struct {
	Zones []Zone
	// Script chooses what goes wrong with a question; name is in lower case,
	// without a final dot. It is called from many goroutines. nil: nothing.
	Script func(name string, qtype uint16) Fault

	load    sync.Once
	zones   []*zone // set by load, as what follows
	loadErr error

	running   sync.WaitGroup
	mu        sync.Mutex
	questions []Question // guarded by mu, as what follows
	open      map[io.Closer]bool
	closed    bool
}

// Zone is a part of the name space.
type Zone struct {
	// Text is a master file (RFC 1035), where a line that begins with a blank
	// goes on with the name before it: do not indent. It begins with $ORIGIN,
	// or has an SOA record, whose owner is the zone. Without an SOA record there is one of
	// the server's own. Where no TTL is given it is an hour.
	Text string
	// Secure sets the AD bit in answers, as a validating resolver does for a
	// signed zone, if the question asked for it by AD or DO. An answer that
	// goes through several zones has it if all are Secure.
	Secure bool
}

// Fault is what goes wrong with a question.
type Fault uint8

// The faults. Zero is None.
const (
	None     Fault = iota
	ServFail       // SERVFAIL
	Refused        // REFUSED
	FormErr        // FORMERR
	NotImp         // NOTIMP
	Bogus          // SERVFAIL with the extended error 6, DNSSEC bogus
	Silence        // no answer
	Truncate       // an empty answer with TC by UDP, the whole by TCP
	Garbage        // the ID of the question, and then bytes that are no DNS message
)

// Question is a question that the server has got.
type Question struct {
	Name    string // in lower case, without a final dot
	Type    uint16
	Network string // "udp" or "tcp"
}

// Questions gives the questions so far, in the order of their arrival.
func (s *Server) Questions() []Question {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.questions)
}

// answer makes the answer to a message; nil is silence, also to what is no
// question.
func (s *Server) answer(network string, raw []byte) []byte {
	req := new(dns.Msg)
	if req.Unpack(raw) != nil || req.Response || len(req.Question) != 1 {
		return nil
	}
	q := Question{Name: lower(req.Question[0].Name), Type: req.Question[0].Qtype, Network: network}
	s.mu.Lock()
	s.questions = append(s.questions, q)
	s.mu.Unlock()

	fault := None
	if s.Script != nil {
		fault = s.Script(q.Name, q.Type)
	}
	switch fault {
	case Silence:
		return nil
	case Garbage:
		return append(slices.Clone(raw[:2]), "\x81\x80 this is no DNS message"...)
	}
	resp := s.reply(req, q, fault)
	if network == "udp" {
		limit(resp, req, fault)
	} else {
		resp.Truncate(dns.MaxMsgSize - 1)
	}
	packed, err := resp.Pack()
	if err != nil {
		return nil
	}
	return packed
}

// reply makes the whole answer, as it goes by TCP.
func (s *Server) reply(req *dns.Msg, q Question, fault Fault) *dns.Msg {
	resp := new(dns.Msg).SetReply(req)
	resp.Compress = true
	resp.RecursionAvailable = true // or nobody would believe an empty answer
	do := false
	if opt := req.IsEdns0(); opt != nil {
		do = opt.Do()
		resp.SetEdns0(4096, do)
	}
	if code, faulty := rcodes[fault]; faulty {
		resp.Rcode = code
		if opt := resp.IsEdns0(); opt != nil && fault == Bogus {
			opt.Option = append(opt.Option, &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeDNSBogus, ExtraText: "signature wrong"})
		}
		return resp
	}
	found := s.find(q.Name, q.Type)
	resp.Authoritative = found.rcode != dns.RcodeRefused
	resp.Rcode, resp.Answer, resp.Ns = found.rcode, found.answer, found.authority
	resp.AuthenticatedData = found.secure && (req.AuthenticatedData || do)
	return resp
}

var rcodes = map[Fault]int{
	ServFail: dns.RcodeServerFailure,
	Refused:  dns.RcodeRefused,
	FormErr:  dns.RcodeFormatError,
	NotImp:   dns.RcodeNotImplemented,
	Bogus:    dns.RcodeServerFailure,
}

// limit cuts an answer to what the client can take by UDP.
func limit(resp, req *dns.Msg, fault Fault) {
	if fault == Truncate {
		resp.Truncated = true
		resp.Answer, resp.Ns = nil, nil
		return
	}
	size := dns.MinMsgSize
	if opt := req.IsEdns0(); opt != nil {
		size = max(size, int(opt.UDPSize()))
	}
	resp.Truncate(size)
}

func lower(name string) string {
	return strings.TrimSuffix(strings.ToLower(name), ".")
}
