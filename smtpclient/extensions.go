package smtpclient

import (
	"slices"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/ascii"
)

// extensions are what the server offered in its last reply to EHLO or LHLO.
type extensions struct {
	// lines are those behind the first that count. They are read again when one is
	// asked for, since many sessions rest with them.
	lines []string

	pipelining, eightBitMIME, startTLS, smtpUTF8, chunking bool

	sizes bool  // SIZE
	size  int64 // the largest message; 0: not known

	// What RFC 9422 calls limits; 0: not known.
	mailMax, rcptMax, rcptDomainMax int
}

type offer struct{ keyword, params string } // keyword in upper case

// parseExtensions reads the lines behind the first (RFC 5321, Section 4.1.1.1),
// which is a greeting whatever it looks like. Keywords come in any case of
// letters. Those in discard count as not offered.
func parseExtensions(lines []string, discard []string) extensions {
	x := extensions{lines: lines[min(1, len(lines)):]}
	if len(discard) > 0 {
		x.lines = slices.DeleteFunc(slices.Clone(x.lines), func(line string) bool {
			keyword, _ := splitOffer(line)
			return discarded(keyword, discard)
		})
	}
	for _, o := range x.offers() {
		x.note(o.keyword, o.params)
	}
	return x
}

// splitOffer takes a line apart. The keyword is "" where there is none.
func splitOffer(line string) (keyword, params string) {
	line = strings.TrimSpace(line)
	// "=" ends the keyword in the old form "AUTH=LOGIN".
	end := strings.IndexAny(line, " =")
	if end < 0 {
		end = len(line)
	}
	// Upper case may be ASCII where the line is not.
	if !ascii.Is(line[:end]) {
		return "", ""
	}
	return line[:end], strings.TrimSpace(strings.TrimPrefix(line[end:], "="))
}

// offers are all of them. A keyword that comes twice has the parameters of both.
func (x *extensions) offers() []offer {
	offers := make([]offer, 0, len(x.lines))
	for _, line := range x.lines {
		keyword, params := splitOffer(line)
		if keyword = strings.ToUpper(keyword); keyword == "" {
			continue
		}
		if i := slices.IndexFunc(offers, func(o offer) bool { return o.keyword == keyword }); i >= 0 {
			offers[i].params = strings.TrimSpace(offers[i].params + " " + params)
			continue
		}
		offers = append(offers, offer{keyword, params})
	}
	return offers
}

func discarded(keyword string, discard []string) bool {
	for _, d := range discard {
		if strings.EqualFold(d, keyword) {
			return true
		}
	}
	return false
}

// note keeps what is asked for each message.
func (x *extensions) note(keyword, params string) {
	switch keyword {
	case "PIPELINING":
		x.pipelining = true
	case "8BITMIME":
		x.eightBitMIME = true
	case "STARTTLS":
		x.startTLS = true
	case "SMTPUTF8":
		// RFC 6531, Section 3.1 has such a server offer 8BITMIME, too; some
		// forget to say so.
		x.smtpUTF8, x.eightBitMIME = true, true
	case "CHUNKING":
		x.chunking = true
	case "LIMITS":
		x.setLimits(params)
	case "X-RCPTLIMIT": // ZMailer
		x.rcptMax = lower(x.rcptMax, params)
	case "SIZE":
		// RFC 1870, Section 4: none or 0 is no fixed limit. What is no number
		// tells nothing.
		x.sizes = true
		if n, err := strconv.ParseInt(params, 10, 64); err == nil && n > 0 {
			x.size = n
		}
	}
}

// setLimits reads LIMITS (RFC 9422). What is unknown or no positive number tells
// nothing.
func (x *extensions) setLimits(params string) {
	for limit := range strings.FieldsSeq(params) {
		name, value, _ := strings.Cut(limit, "=")
		switch strings.ToUpper(name) {
		case "MAILMAX":
			x.mailMax = lower(x.mailMax, value)
		case "RCPTMAX":
			x.rcptMax = lower(x.rcptMax, value)
		case "RCPTDOMAINMAX":
			x.rcptDomainMax = lower(x.rcptDomainMax, value)
		}
	}
}

// lower is the lower of two limits, where 0 is none.
func lower(limit int, value string) int {
	n, err := strconv.Atoi(value)
	if err != nil || n <= 0 || limit > 0 && limit < n {
		return limit
	}
	return n
}

// has tells whether a keyword was offered.
func (x *extensions) has(keyword string) bool {
	_, ok := x.lookup(keyword)
	return ok
}

// lookup finds an offer by its keyword, in any case of letters.
func (x *extensions) lookup(keyword string) (params string, ok bool) {
	for _, line := range x.lines {
		k, p := splitOffer(line)
		if k == "" || !strings.EqualFold(k, keyword) {
			continue
		}
		if ok {
			p = strings.TrimSpace(params + " " + p)
		}
		params, ok = p, true
	}
	return params, ok
}
