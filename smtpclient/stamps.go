package smtpclient

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/postrider/postrider/tlspolicy"
)

// Stamps is a set of header fields that are made for each delivery, as a delivery
// agent does that hands the message to a mailbox or to a program. They stand in
// this order.
type Stamps uint8

// The stamps. With StampOriginalTo and StampDeliveredTo every recipient has a
// transaction of its own.
const (
	// StampReturnPath is Return-Path, with Envelope.From (RFC 5321, Section 4.4).
	// It is for the last hop: a server that relays further must not get it.
	StampReturnPath Stamps = 1 << iota
	// StampOriginalTo is X-Original-To, with the address in Recipient.ORCPT, else
	// Recipient.Address.
	StampOriginalTo
	// StampDeliveredTo is Delivered-To, with Recipient.Address. A recipient who
	// stands in such a field of the message already is in a loop, and fails
	// (5.4.6).
	StampDeliveredTo
)

// single tells that every recipient has a transaction of its own.
func (s Stamps) single() bool { return s&(StampOriginalTo|StampDeliveredTo) != 0 }

// stamps are the header lines for this transaction.
func (t *transaction) stamps() []byte {
	var b []byte
	set := t.env.Stamps
	if set&StampReturnPath != 0 {
		b = fmt.Appendf(b, "Return-Path: <%s>\r\n", t.from)
	}
	if set&StampOriginalTo != 0 {
		b = fmt.Appendf(b, "X-Original-To: %s\r\n", t.rcpts[0].original())
	}
	if set&StampDeliveredTo != 0 {
		b = fmt.Appendf(b, "Delivered-To: %s\r\n", t.rcpts[0].path)
	}
	return b
}

// original is the address to which the message was sent first.
func (r *recipient) original() string {
	kind, addr, _ := strings.Cut(r.to.ORCPT, ";")
	if addr != "" && (strings.EqualFold(kind, "rfc822") || strings.EqualFold(kind, "utf-8")) {
		return addr
	}
	return r.path
}

// checkLoops fails the recipients to whom the message was delivered before.
func (l *letter) checkLoops(ctx context.Context) {
	if l.env.Stamps&StampDeliveredTo == 0 || l.env.Verify != VerifyNo {
		return
	}
	header, err := l.message.header(ctx)
	if err != nil {
		e := &inputError{status: Deferred, enhanced: "4.3.0", cause: err}
		l.settleOpen(e.status, e.attempt())
		return
	}
	seen := make(map[string]bool)
	for name, value := range fields(header) {
		if strings.EqualFold(name, "Delivered-To") {
			seen[strings.ToLower(value)] = true
		}
	}
	for i := range l.rcpts {
		if r := &l.rcpts[i]; r.open && seen[strings.ToLower(r.path)] {
			e := badInput("5.4.6", fmt.Sprintf("Envelope.To[%d].Address", i), errDeliveredBefore)
			r.settle(e.status, e.attempt())
		}
	}
}

var errDeliveredBefore = errors.New("mail loop: the message has a Delivered-To field with this address")

// tagTLS adds the field by which further servers are told that TLS is not
// required. There must not be two of them (RFC 8689, Section 3).
func (l *letter) tagTLS(ctx context.Context) error {
	if l.env.TLS != tlspolicy.NotRequired {
		return nil
	}
	header, err := l.message.header(ctx)
	if err != nil {
		return err
	}
	for name := range fields(header) {
		if strings.EqualFold(name, "TLS-Required") {
			return nil
		}
	}
	l.message = l.message.under([]byte("TLS-Required: No\r\n"))
	return nil
}
