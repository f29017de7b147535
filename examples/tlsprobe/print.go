package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// paper is what people read.
type paper struct {
	io.Writer
	colour bool
}

const (
	red    = "31"
	green  = "32"
	yellow = "33"
	bold   = "1"
)

// painted is a text in a colour, where there are colours.
func (w *paper) painted(colour, s string) string {
	if !w.colour || s == "" {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}

// hasColour tells whether out is a terminal, and nobody has said that colours are not
// wanted.
func hasColour(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

var colours = map[verdict]string{verified: green, halfway: green, encrypted: yellow, plaintext: red, refused: red, skipped: red, unreachable: red}

func (f *finding) print(w *paper) {
	fmt.Fprintln(w, w.painted(bold, clean(f.Domain)))
	if f.Error != "" {
		w.row("hosts", w.painted(red, clean(f.Error)))
	} else {
		w.row("MX", w.yes(f.SecureMX, "with DNSSEC", "without DNSSEC"))
	}
	switch {
	case f.STS == nil:
		w.row("MTA-STS", w.painted(yellow, "none"))
	case f.STS.Mode == "":
		w.row("MTA-STS", w.painted(red, clean(f.STS.Error)))
	default:
		w.row("MTA-STS", w.yes(f.STS.Mode == "enforce", "enforce", f.STS.Mode)+", for "+clean(strings.Join(f.STS.MX, ", ")))
	}
	w.row("TLSRPT", cmp.Or(w.painted(red, clean(f.ReportsErr)), clean(strings.Join(f.Reports, ", ")), w.painted(yellow, "none")))
	for i := range f.Hosts {
		f.Hosts[i].print(w)
	}
}

// row is a line of the table.
func (w *paper) row(name, value string) {
	fmt.Fprintf(w, "  %-12s %s\n", name, value)
}

func (w *paper) yes(ok bool, good, bad string) string {
	if ok {
		return w.painted(green, good)
	}
	return w.painted(yellow, clean(bad))
}

func (h *host) print(w *paper) {
	fmt.Fprintf(w, "  %-40s %s\n", clean(h.Name), w.painted(colours[h.Verdict], string(h.Verdict)))
	w.part("preference", fmt.Sprintf("%d, addresses %s", h.Preference, w.yes(h.Secure, "with DNSSEC", "without DNSSEC")))
	for _, record := range h.TLSA {
		w.part("TLSA", clean(record))
	}
	if h.Asked != "" {
		w.part("level", fmt.Sprintf("%s asked, %s reached%s", h.Asked, cmp.Or(h.Reached, "nothing"), in(h.VerifiedBy)))
	}
	if h.Address != "" {
		w.part("address", h.Address)
	}
	if h.Protocol != "" {
		w.part("protocol", h.Protocol+", "+h.Cipher)
	}
	if c := h.Certificate; c != nil {
		w.part("certificate", clean(strings.Join(c.Names, ", "))+", by "+clean(c.Issuer))
		w.part("", fmt.Sprintf("until %s, %s", c.NotAfter.UTC().Format(time.DateOnly), w.yes(c.Web, "good for the web", "not for the web: "+c.WebError)))
		w.part("", "3 1 1 "+c.KeySHA256)
	}
	if h.Why != "" {
		w.part("why", clean(h.Why))
	}
}

func in(proof string) string {
	if proof == "" {
		return ""
	}
	return " (" + proof + ")"
}

func (w *paper) part(name, value string) {
	fmt.Fprintf(w, "    %-12s %s\n", name, value)
}

// clean keeps what strangers have written from doing something to the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
