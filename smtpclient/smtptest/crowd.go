package smtptest

import "net"

// peer is whom the client is taken for.
func (s *session) peer() net.Addr {
	if s.server.FakePeerAddr != nil {
		return s.server.FakePeerAddr
	}
	return s.raw.RemoteAddr()
}

// host is the client's address without its port.
func (s *session) host() string {
	addr := s.peer()
	if addr == nil {
		return "unknown"
	}
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil || host == "" {
		return addr.Network()
	}
	return host
}

// crowded reports whether there were too many connections when this one came;
// with silent, whether there were so many that nothing is said.
func (s *session) crowded() (turnedAway, silently bool) {
	l := s.profile.Limits
	return l.Connections > 0 && s.all > l.Connections || l.PerAddress > 0 && s.near > l.PerAddress,
		l.Silent > 0 && s.near > l.Silent || l.SilentAll > 0 && s.all > l.SilentAll
}

// leave closes the connection, which counts until it has lingered.
func (s *session) leave() {
	s.raw.Close()
	s.pause(s.profile.Limits.Linger)
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.open[s.host()]--
	s.server.open[""]--
}
