package smtpclient_test

import (
	"bytes"
	"slices"
)

// checkWrites holds each write against what the client had read by then: all the
// replies that it was owed, none that ends the session, and nothing more.
func (h *hearing) checkWrites() {
	for _, w := range h.tape.writes {
		due := 0
		for _, m := range h.marks {
			if m.at <= w.at {
				due = m.due
			}
		}
		switch {
		case w.dead:
			h.fault("a write at %d, after the connection had failed", w.at)
		case due > len(h.replies) || w.given < h.replies[due-1].end:
			h.fault("a write at %d, before the reply it depends on", w.at)
		case due > h.broken:
			h.fault("a write at %d, after reply %d, which ends the session", w.at, h.broken)
		default:
			h.checkWrite(w, h.replies[due-1].end)
		}
	}
}

// checkWrite holds that nothing beyond the replies that were asked for, which end
// at asked, had come when a command was written, or the end of the content.
func (h *hearing) checkWrite(w writing, asked int) {
	lines := 0
	for _, s := range h.starts {
		if s >= w.at && s < w.at+w.n {
			lines++
		}
	}
	if lines > 1 && !h.offers.offers("PIPELINING") {
		h.fault("%d commands in one write at %d without PIPELINING", lines, w.at)
	}
	isCommand := slices.Contains(h.starts, w.at) && !bytes.HasPrefix(h.tape.out[w.at:], []byte("BDAT"))
	if isCommand && w.given > asked {
		h.fault("a command at %d in spite of a reply that nobody asked for", w.at)
	}
	for _, end := range h.ends {
		if w.at < end && end <= w.at+w.n && !isCommand && w.ready > asked {
			h.fault("the end of the content at %d in spite of a reply that had come", end)
		}
	}
}
