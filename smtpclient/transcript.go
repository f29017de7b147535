package smtpclient

import (
	"fmt"
	"slices"
)

// Transcript says whether a report holds the dialogue with each server, in
// Attempt.Transcript.
type Transcript uint8

// The values of Dialer.Transcript.
const (
	TranscriptOff         Transcript = iota
	TranscriptUndelivered            // of attempts that did not deliver
	TranscriptAll                    // of all
)

const (
	// transcriptEnd is how many lines are kept of the begin of a dialogue, and
	// between one and two times of its end.
	transcriptEnd = 50
	// transcriptLine is how many bytes are kept of a line.
	transcriptLine = 500
)

// record adds a line to the transcript. Attempts share what they have in common:
// lines are added behind, and never changed.
func (s *Session) record(line string) {
	if len(line) > transcriptLine {
		line = line[:transcriptLine] + "..."
	}
	lines := s.at.Transcript
	if len(lines) == 0 {
		s.leftOut = 0
	}
	if len(lines) == 3*transcriptEnd {
		gap := lines[transcriptEnd : 2*transcriptEnd]
		if s.leftOut > 0 {
			gap = gap[1:] // which says how many were left out so far
		}
		s.leftOut += len(gap)
		lines = slices.Concat(lines[:transcriptEnd], []string{fmt.Sprintf("(%d lines are left out)", s.leftOut)}, lines[2*transcriptEnd:])
	}
	s.at.Transcript = append(lines, line)
}
