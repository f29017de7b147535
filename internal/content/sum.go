package content

import "hash/maphash"

// seed makes sums comparable between the scan and the sending of a message.
var seed = maphash.MakeSeed()

// Sum is the hash of Facts.Sum, for comparing a second reading with the first: that of
// each block goes into the next one. Whole blocks at once are faster by 1.6 than a
// maphash.Hash, whose own are of 128 bytes.
type Sum struct {
	block sumBlock
	n     int // bytes in it, never all
}

type sumBlock struct {
	before uint64 // the sum of all blocks in front
	size   uint64 // of a last one; zero: it is full
	bytes  [512]byte
}

// Write adds the next bytes.
func (s *Sum) Write(p []byte) {
	for len(p) > 0 {
		n := copy(s.block.bytes[s.n:], p)
		p = p[n:]
		if s.n += n; s.n == len(s.block.bytes) {
			s.block.before, s.n = maphash.Comparable(seed, s.block), 0
		}
	}
}

// Sum64 is the hash of what was written.
func (s *Sum) Sum64() uint64 {
	if s.n == 0 {
		return s.block.before
	}
	last := s.block
	last.size = uint64(s.n)
	clear(last.bytes[s.n:])
	return maphash.Comparable(seed, last)
}

// Marks are the sums of a message from its begin to each multiple of MarkEvery bytes.
// Who reads it again knows there that all so far is what was scanned.
type Marks []uint64

const (
	// MarkEvery is how much of a message is read up to a mark.
	MarkEvery = 256 << 10
	// maxMarks bounds the memory for a message without end: 1 GiB of it has marks.
	maxMarks = 4096
)

// UntilMark is how many bytes there are from an offset to the next mark.
func UntilMark(offset int64) int { return int(MarkEvery - offset%MarkEvery) }

// At finds the mark at an offset.
func (m Marks) At(offset int64) (sum uint64, ok bool) {
	i := offset/MarkEvery - 1
	if offset%MarkEvery != 0 || i < 0 || i >= int64(len(m)) {
		return 0, false
	}
	return m[i], true
}

// mark is called behind each block.
func (s *Scanner) mark() {
	if s.facts.Size%MarkEvery == 0 && len(s.marks) < maxMarks {
		s.marks = append(s.marks, s.sum.Sum64())
	}
}

// Marks are those of what was written.
func (s *Scanner) Marks() Marks { return s.marks }
