package smtpclient_test

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/postrider/postrider/smtpclient"
)

// data holds the content against the text.
func (h *hearing) data() bool {
	if len(h.asked) == 0 || h.chunks > 0 {
		h.fault("DATA stands behind %q", h.verbs)
	}
	reply := h.next()
	h.mark()
	rest := h.tape.out[h.at:]
	switch {
	case reply.no():
		h.asked, h.accepted = nil, nil // and the transaction may still be open
		return true
	case reply.code != 354:
		h.breaks(h.due - 1)
		return true // and a write behind it is a fault
	case len(h.accepted) == 0 && (h.plan.lmtp() || h.odd):
		h.breaks(h.due - 1)
		return true
	case len(h.accepted) == 0:
		if len(rest) == 0 {
			return false
		}
		if text, ended := h.line(); ended {
			if text != "." {
				h.fault("content for nobody: %q", text)
			}
			h.answer()
			h.endTransaction()
		}
		return true
	}
	if !bytes.HasPrefix(rest, []byte(h.plan.text.data)) {
		return h.unfinished(rest, h.plan.text.data)
	}
	h.at += len(h.plan.text.data)
	h.commit()
	return true
}

// unfinished is content that stops before its end, where nothing may follow.
func (h *hearing) unfinished(got []byte, want string) bool {
	if !strings.HasPrefix(want, string(got)) {
		i := 0
		for got[i] == want[i] {
			i++
		}
		h.fault("content differs at byte %d: %.60q, want %.60q", i, got[i:], want[i:])
	}
	h.at = len(h.tape.out)
	return false
}

func (h *hearing) bdat(arg string) bool {
	size, last, _ := strings.Cut(arg, " ")
	n, err := strconv.Atoi(size)
	want := h.plan.text.chunk[h.chunks:]
	if err != nil || last != "" && last != "LAST" || n > len(want) || (last != "") != (n == len(want)) || !h.offers.offers("CHUNKING") || len(h.asked) == 0 {
		h.fault("BDAT %s where %d bytes are left", arg, len(want))
		return false
	}
	rest := h.tape.out[h.at:]
	if len(rest) < n || string(rest[:n]) != want[:n] {
		return h.unfinished(rest[:min(n, len(rest))], want[:n])
	}
	h.at += n
	h.chunks += n
	if last != "" {
		h.commit()
		return true
	}
	if reply := h.answer(); reply.no() && h.due-1 <= h.broken {
		for _, to := range h.accepted {
			h.decide(to, reply)
		}
	}
	return true
}

// commit takes the replies to the end of the content: one, or in LMTP one for
// each whom the server has accepted (RFC 2033, Sections 4.2 and 4.3).
func (h *hearing) commit() {
	h.ends = append(h.ends, h.at)
	for _, to := range h.unheard { // the content went with the envelope
		h.fates[to] = append(h.fates[to], smtpclient.Unknown)
	}
	groups := [][]string{h.accepted}
	if h.plan.lmtp() {
		groups = nil
		for _, to := range h.accepted {
			groups = append(groups, []string{to})
		}
		if h.odd { // how many there will be nobody can tell
			h.breaks(h.due - 1)
		}
	}
	refused := false
	var held []verdictHeard // behind a reply of several lines, which another may have run into
	several, all := false, true
	for k, group := range groups {
		reply := h.answer()
		refused = refused || !reply.yes()
		ends := reply.code == 421 && h.due-1 == h.broken
		for _, to := range group {
			switch {
			case h.due-1 >= h.broken && !ends:
				h.fates[to] = append(h.fates[to], smtpclient.Unknown)
				all = false
			case several:
				held = append(held, verdictHeard{to, reply})
			default:
				h.decide(to, reply)
			}
		}
		several = several || reply.lines > 1
		all = all && (!ends || k == len(groups)-1)
	}
	for _, v := range held {
		if all {
			h.decide(v.to, v.reply)
		} else {
			h.fates[v.to] = append(h.fates[v.to], smtpclient.Unknown)
		}
	}
	open := h.open && h.chunks > 0 && refused // RFC 3030, Section 2
	h.nobody = h.plan.lmtp() && h.chunks > 0 && len(groups) == 0
	h.endTransaction()
	h.open = open
}

// knowsNoBDAT tells that the server has offered a command that it does not know.
func (h *hearing) knowsNoBDAT(reply heard) bool {
	return h.plan.is(byClient) && h.chunks > 0 && (reply.code == 500 || reply.code == 502)
}

// verdictHeard is a verdict that counts when all have come.
type verdictHeard struct {
	to    string
	reply heard
}

// decide notes what a reply means for a recipient.
func (h *hearing) decide(to string, reply heard) {
	fate := smtpclient.Delivered
	switch {
	case h.knowsNoBDAT(reply): // a Client remembers that, and sends it by DATA
		fate = smtpclient.Deferred
	case reply.final():
		fate = smtpclient.Failed
	case reply.no():
		fate = smtpclient.Deferred
	}
	h.fates[to] = append(h.fates[to], fate)
}
