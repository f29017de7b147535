package queue

import (
	"errors"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Embed runs a NATS server within this process, with what it keeps below dir. It
// listens to nobody else.
func Embed(dir string) (*server.Server, *nats.Conn, error) {
	s, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: dir, NoSigs: true})
	if err != nil {
		return nil, nil, err
	}
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		s.Shutdown()
		return nil, nil, errors.New("the NATS server in this process did not start within 30 s")
	}
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		s.Shutdown()
	}
	return s, nc, err
}

// Connect reaches a NATS cluster, "nats://a:4222,nats://b:4222", for as long as it
// takes when servers go away.
func Connect(urls, name string) (*nats.Conn, error) {
	return nats.Connect(urls, nats.Name(name), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(250*time.Millisecond), nats.Timeout(5*time.Second))
}
