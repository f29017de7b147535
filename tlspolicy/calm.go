package tlspolicy

import (
	"context"
	"fmt"
	"net"
	"time"
)

// calm keeps panics of a connection of the caller's out of the goroutines of net/http,
// where they would end the program: they are errors.
type calm struct{ net.Conn }

func (c calm) Read(p []byte) (n int, err error) {
	defer calmed(&err)
	return c.Conn.Read(p)
}

func (c calm) Write(p []byte) (n int, err error) {
	defer calmed(&err)
	return c.Conn.Write(p)
}

func (c calm) Close() (err error) {
	defer calmed(&err)
	return c.Conn.Close()
}

func (c calm) SetDeadline(t time.Time) (err error) {
	defer calmed(&err)
	return c.Conn.SetDeadline(t)
}

func (c calm) SetReadDeadline(t time.Time) (err error) {
	defer calmed(&err)
	return c.Conn.SetReadDeadline(t)
}

func (c calm) SetWriteDeadline(t time.Time) (err error) {
	defer calmed(&err)
	return c.Conn.SetWriteDeadline(t)
}

// calmed must be deferred itself.
func calmed(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic in MTASTS.DialContext or its connection: %v", p)
	}
}

// calmly dials by a function of the caller's.
func calmly(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
		defer calmed(&err)
		if conn, err = dial(ctx, network, addr); err != nil {
			return nil, err
		}
		return calm{conn}, nil
	}
}

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)
