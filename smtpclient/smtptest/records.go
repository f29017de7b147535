package smtptest

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"net"
)

// tlsBuffer holds more than the plaintext of a TLS record, which is at most 16
// KiB, so that nothing stays unseen in a tls.Conn.
const tlsBuffer = 32 << 10

// serverTLS is the server's end of TLS over conn, without its handshake. early
// is what was read from conn before.
func serverTLS(conn net.Conn, early []byte, config *tls.Config) *tls.Conn {
	if mem, ok := conn.(*Conn); ok {
		mem.widenForTLS()
	}
	return tls.Server(&records{Conn: conn, early: bytes.Clone(early)}, config)
}

// records is a connection whose Read stops at the end of each TLS record. A
// tls.Conn reads ahead otherwise, and then nobody can say whether a client sent
// its next command before it had the reply to the last.
type records struct {
	net.Conn
	early  []byte
	header []byte // of the record that begins
	left   int    // bytes to the end of the record
}

// headerSize is that of a TLS record, whose last two bytes are its length.
const headerSize = 5

func (r *records) Read(p []byte) (int, error) {
	if r.left > 0 {
		n, err := r.read(p[:min(len(p), r.left)])
		r.left -= n
		return n, err
	}
	n, err := r.read(p[:min(len(p), headerSize-len(r.header))])
	r.header = append(r.header, p[:n]...)
	if len(r.header) == headerSize {
		r.left = int(binary.BigEndian.Uint16(r.header[3:]))
		r.header = r.header[:0]
	}
	return n, err
}

func (r *records) read(p []byte) (int, error) {
	if len(r.early) > 0 {
		n := copy(p, r.early)
		r.early = r.early[n:]
		return n, nil
	}
	return r.Conn.Read(p)
}
