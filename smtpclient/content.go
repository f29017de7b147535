package smtpclient

import "io"

// Content is the message: header, empty line and body. It is opened again for
// every attempt, also concurrently, and gives the same bytes each time; every
// stream is independent of the others. Lines may end in LF or CRLF.
//
// A Content that blocks in Open or Read holds the call, also after ctx has
// ended.
type Content interface {
	Open() (io.ReadCloser, error)
	Size() int64 // in bytes as Open gives them; -1: not known
}
