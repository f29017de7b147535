package interop

import (
	"fmt"
	"strings"
)

// The addresses of the servers, for Postfix all on Postfix.Port. The first are
// doors of one Postfix; at the last nobody listens but what a test puts there.
const (
	PostfixFull      = "127.0.0.1" // everything that Postfix offers
	PostfixLockstep  = "127.0.0.2" // no PIPELINING
	PostfixPlaintext = "127.0.0.3" // no STARTTLS
	PostfixSevenBit  = "127.0.0.4" // no 8BITMIME, and no SMTPUTF8, which implies it
	PostfixSmall     = "127.0.0.5" // SIZE 10000
	PostfixRefusing  = "127.0.0.6" // no recipient is taken for now: 450 4.7.1
	PostfixUnwilling = "127.0.0.7" // the greeting is 554 5.7.1

	EximFull      = "127.0.0.1" // on Exim.Port
	OpenSMTPDFull = "127.0.0.1" // on OpenSMTPD.Port

	Closed  = "127.0.0.8"
	Lost    = "127.0.0.9"
	Counted = "127.0.0.10"
	Watched = "127.0.0.11"
)

func doors() []string {
	return []string{PostfixFull, PostfixLockstep, PostfixPlaintext, PostfixSevenBit, PostfixSmall, PostfixRefusing, PostfixUnwilling}
}

// utf8Domain has mailboxes whose names are not ASCII.
const utf8Domain = "utf8.example.test"

// domains are those for which Postfix has mailboxes. The zone says where each
// is to be delivered.
func domains() []string {
	names := []string{"example.test", utf8Domain}
	for _, sub := range []string{"backups", "addressed", "many", "closed-first", "unwilling-first", "refusing-first", "lost-first"} {
		names = append(names, sub+".example.test")
	}
	return names
}

// zoneText is the zone example.test.
func zoneText() string {
	var b strings.Builder
	b.WriteString(zoneHead)
	for name, addr := range map[string]string{
		"full": PostfixFull, "lockstep": PostfixLockstep, "plaintext": PostfixPlaintext, "sevenbit": PostfixSevenBit,
		"small": PostfixSmall, "refusing": PostfixRefusing, "unwilling": PostfixUnwilling,
		"closed": Closed, "lost": Lost, "counted": Counted, "watched": Watched,
	} {
		fmt.Fprintf(&b, "%s A %s\n", name, addr)
	}
	// Too many to fit into a datagram: some 3,600 bytes.
	for i := range 60 {
		fmt.Fprintf(&b, "many MX %d another-mail-exchanger-with-a-long-name-%d\n", 1000+i, i)
		fmt.Fprintf(&b, "another-mail-exchanger-with-a-long-name-%d A %s\n", i, Closed)
	}
	return b.String()
}

const zoneHead = `$ORIGIN example.test.
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 127.0.0.1
@ MX 10 full
; The best is neither the first nor the last.
backups MX 20 plaintext
backups MX 10 full
backups MX 30 lockstep
addressed A 127.0.0.1
many MX 10 full
null MX 0 .
nothing TXT "neither MX nor address"
closed-first MX 10 closed
closed-first MX 20 full
unwilling-first MX 10 unwilling
unwilling-first MX 20 full
refusing-first MX 10 refusing
refusing-first MX 20 full
lost-first MX 10 lost
lost-first MX 20 counted
`
