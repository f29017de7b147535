// Package smtptest is a mail server for tests, as net/http/httptest is a web
// server for tests. It speaks SMTP (RFC 5321) and LMTP (RFC 2033), in memory or
// on sockets, does what a test tells it to, and remembers what it got.
//
// A sender that is tested with it is in examples/testing-your-sender.
//
// # Server
//
// A Server accepts everything. A Script makes it refuse, wait, lie, stumble or
// fall silent, at any command:
//
//	server := &smtptest.Server{Script: func(c smtptest.Command) smtptest.Action {
//		if c.Verb == "RCPT" {
//			return smtptest.Action{Reply: "451 4.7.1 come back later"}
//		}
//		return smtptest.Action{}
//	}}
//	defer server.Close()
//	conn, err := server.DialContext(ctx, "tcp", "mx.example.net:25")
//
// A Cut breaks a session at a certain byte, also in the midst of the content or
// of a reply. A Wire says how the connection behaves that the client gets.
//
// Messages tells which messages arrived and how they were answered, Refused who
// was turned away, Transcript every byte. The server is strict: Violations
// lists what the client did that the standards do not allow, among them what
// most servers overlook, as a command sent before the reply that had to be
// waited for. A test of a client should end with that list empty.
//
// A Network puts several servers behind one DialContext.
//
// # Profile
//
// A Profile is how a kind of server behaves: its replies, limits, delays, and what
// it does with commands that come together. There are some of well-known servers,
// which say in and out of order what the real ones say:
//
//	server := &smtptest.Server{Profile: smtptest.Postfix()}
//
// They are plain data. A test takes one and changes what it is about:
//
//	profile := smtptest.ZMailer301()
//	profile.Tarpit = smtptest.Tarpit{Initial: 20 * time.Second, Mult: 2}
//	profile.Limits.Recipients = 99
//	profile.Replies[smtptest.NoSpace] = "452 4.3.1 no space for you"
//
// A Script comes before it. Greylist, RelayDenied and others make Scripts for what
// receivers do against mail that they do not want.
//
// # Dialogue
//
// A Dialogue plays one conversation byte for byte from a text file, for the
// cases where the very bytes and their order are the point.
//
// # Time
//
// Connections in memory work in the bubbles of testing/synctest: timeouts of
// hours take no time and are exact. Server, Pipe and Dialogue do not spend
// time of their own, other than what Wire.Delay, Action.Delay and the directive
// !wait ask for. Create and Close them in the same bubble. Certificates are
// good from 1990 on, as the clock of a bubble starts in 2000.
//
// The package uses only the standard library, and no parser or writer of the
// client that it tests.
package smtptest
