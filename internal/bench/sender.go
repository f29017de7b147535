package main

import (
	"crypto/tls"
	"errors"
	"sync"
)

// session is one connection that is ready.
type session interface {
	stream(n int, l *letter) error // sends a letter n times
	close()
}

// sender is one way to send.
type sender struct {
	name     string
	all      bool // one session stands for all that a trial has
	slow     bool // with large messages
	children bool // another program sends
	open     func(s *sink, encrypted bool) (session, error)
}

func (s *sink) tls() *tls.Config { return &tls.Config{RootCAs: s.roots, ServerName: "sink.example"} }

// each is a session that sends one letter after another.
type each struct {
	send func(l *letter) error
	end  func()
}

func (e each) stream(n int, l *letter) error {
	for range n {
		if err := e.send(l); err != nil {
			return err
		}
	}
	return nil
}

func (e each) close() { e.end() }

// together calls do n times at once, and waits.
func together(n int, do func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = do(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// openMany opens n sessions, some at a time. What is open is returned with the error.
func openMany(n int, open func(i int) (session, error)) ([]session, error) {
	const workers = 16
	list := make([]session, n)
	err := together(workers, func(w int) error {
		for i := w; i < n; i += workers {
			s, err := open(i)
			list[i] = s
			if err != nil {
				return err
			}
		}
		return nil
	})
	return list, err
}

func closeAll(list []session) {
	together(len(list), func(i int) error {
		if list[i] != nil {
			list[i].close()
		}
		return nil
	})
}
