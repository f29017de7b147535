package content

import (
	"bytes"
	"io"
)

// Signed reads a message and tells whether anything in it is signed in a way that
// a change of a line would break: it has a DKIM-Signature or an
// ARC-Message-Signature, a part of it is multipart/signed, or text is signed in
// place as RFC 4880 has it. The error is that of the reader, or an *Unfit where
// nobody can tell.
func Signed(r io.Reader) (bool, error) {
	f := &signedFinder{}
	f.v = f
	f.globals = true
	err := transform(r, f, repairEnds).run()
	return f.found, err
}

type signedFinder struct {
	walker
	found bool
}

func (f *signedFinder) take() []byte { return nil }

func (f *signedFinder) headEnd(e *entity, _ []byte) error {
	f.found = f.found || e.signed || e.typ == "multipart/signed"
	return nil
}

func (f *signedFinder) body(_ *entity, text []byte, start bool) error {
	f.found = f.found || start && bytes.HasPrefix(text, []byte("-----BEGIN PGP SIGNED MESSAGE-----"))
	return nil
}

func (f *signedFinder) field(*entity, string, []byte) error { return nil }
func (f *signedFinder) bodyEnd(*entity, bool) error         { return nil }
func (f *signedFinder) delimiter([]byte) error              { return nil }
func (f *signedFinder) outside(*enclosure, []byte) error    { return nil }
func (f *signedFinder) closed(*enclosure) error             { return nil }
