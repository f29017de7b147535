package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/postrider/postrider/smtpclient"
)

// writeText prints a report for people: a line for each recipient, and below it
// what there is to know about TLS and earlier attempts.
//
//	bob@example.net: delivered (relayed), mx.example.net (192.0.2.25:25) at data-done: 250 2.0.0 ok
//	    tls: TLS1.3, TLS_AES_128_GCM_SHA256, not verified
//	    auth: ann
//	    before: mx2.example.net (192.0.2.26:25) at connect: 4.4.1 connection refused
func writeText(w io.Writer, r smtpclient.Report) {
	for _, o := range r.Outcomes {
		fmt.Fprintf(w, "%s: %s%s, %s\n", o.Address, o.Status, action(o), attemptText(*o.Attempt))
		if s := tlsText(*o.Attempt); s != "" {
			fmt.Fprintf(w, "    tls: %s\n", s)
		}
		if o.Login != "" {
			fmt.Fprintf(w, "    auth: %s\n", o.Login)
		}
		for _, note := range o.Notes {
			fmt.Fprintf(w, "    note: %s\n", note)
		}
		for _, a := range o.Earlier {
			fmt.Fprintf(w, "    before: %s\n", attemptText(a))
		}
	}
}

// action names the DSN action where it says more than the status does. With
// -verify nothing was sent, which only the stage shows.
func action(o smtpclient.Outcome) string {
	if o.Status == smtpclient.Delivered && o.Stage != smtpclient.StageDataDone {
		return " (would be taken)"
	}
	if o.Action == "" || o.Action == o.Status.String() {
		return ""
	}
	return " (" + o.Action + ")"
}

// attemptText says where, at which stage and why.
func attemptText(a smtpclient.Attempt) string {
	var b strings.Builder
	if server := serverName(a); server != "" {
		b.WriteString(server + " ")
	}
	b.WriteString("at " + a.Stage.String() + ":")
	if a.Cause != nil {
		fmt.Fprintf(&b, " %s %v", a.Enhanced, a.Cause)
	}
	if a.Cause != nil && a.Reply.Code != 0 {
		b.WriteString(":")
	}
	if a.Reply.Code != 0 {
		b.WriteString(" " + a.Reply.String())
	}
	return b.String()
}

// serverName gives "mx.example.net (192.0.2.25:25)", or what is known of it.
func serverName(a smtpclient.Attempt) string {
	if a.Host == "" || a.Addr == "" {
		return a.Host + a.Addr
	}
	return a.Host + " (" + a.Addr + ")"
}

// tlsText describes the channel; "" if none was settled.
func tlsText(a smtpclient.Attempt) string {
	s := a.TLS
	if s.Version != 0 {
		verified := "not verified"
		if s.Verified != "" {
			verified = "verified by " + s.Verified
		}
		return tlsVersion(s.Version) + ", " + tlsCipher(s.Cipher) + ", " + verified
	}
	if s.Fallback != nil {
		return "plaintext, because TLS failed: " + s.Fallback.Error()
	}
	if s.Reached != 0 {
		return "plaintext"
	}
	return ""
}
