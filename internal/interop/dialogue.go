package interop

import (
	"bytes"
	"io"
	"net"
	"sync/atomic"
)

// Dialogue counts what goes through a front, which passes every write of the client
// on as it came. The sessions are in plaintext.
type Dialogue struct {
	Front *Front

	overlapped, flown atomic.Int64
}

// NewDialogue stands at a free port before a server.
func NewDialogue(server string) (*Dialogue, error) {
	d := &Dialogue{}
	f, err := NewFront("127.0.0.1:0", func(client net.Conn) {
		between(client, server, func(backend net.Conn) { d.pass(backend, client) }, io.Copy)
	})
	d.Front = f
	return d, err
}

// Addr is where it listens.
func (d *Dialogue) Addr() string { return d.Front.listener.Addr().String() }

// Overlapped is how many transactions began in the write that ended the one before.
func (d *Dialogue) Overlapped() int { return int(d.overlapped.Load()) }

// Flown is how many transactions were written whole with another one in front: they
// begin with RSET. Those that were written behind one on its way are not seen.
func (d *Dialogue) Flown() int { return int(d.flown.Load()) }

// pass cannot take two writes for one where the client waits for a reply between
// them, as without overlap it does after the end of the data.
func (d *Dialogue) pass(backend io.Writer, client io.Reader) {
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		d.flown.Add(int64(bytes.Count(buf[min(n, 1):n], []byte("RSET\r\nMAIL FROM:"))))
		d.overlapped.Add(int64(bytes.Count(buf[:n], []byte("\r\n.\r\nMAIL FROM:"))))
		if _, failed := backend.Write(buf[:n]); err != nil || failed != nil {
			return
		}
	}
}
