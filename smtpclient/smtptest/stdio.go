package smtptest

import (
	"io"
	"net"
	"time"
)

// stdio makes a net.Conn of standard input and output. It has no deadlines.
type stdio struct{ io.ReadWriteCloser }

func (stdio) LocalAddr() net.Addr              { return &net.UnixAddr{Net: "unix", Name: "stdio"} }
func (stdio) RemoteAddr() net.Addr             { return &net.UnixAddr{Net: "unix", Name: "stdio"} }
func (stdio) SetDeadline(time.Time) error      { return nil }
func (stdio) SetReadDeadline(time.Time) error  { return nil }
func (stdio) SetWriteDeadline(time.Time) error { return nil }
