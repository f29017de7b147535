package smtptest

import "strings"

// mailbox is a path without its source route, and whether it had one:
// RFC 5321, Section 4.1.2.
func mailbox(path string) (string, bool) {
	_, rest, found := strings.Cut(path, ":")
	if !found || rest == "" || path[0] != '@' {
		return path, false
	}
	return rest, true
}

// stripped is a path as the server takes it.
func (s *session) stripped(path string) string {
	if s.profile.StripRoutes {
		path, _ = mailbox(path)
	}
	return path
}

// checkRoute answers a recipient with a source route.
func (s *session) checkRoute(path string) string {
	if _, routed := mailbox(path); !routed {
		return ""
	}
	return s.answer(SourceRoute, "no source routes")
}
