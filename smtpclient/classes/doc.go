// Package classes tells why a server did not take a message, in a word, and when it
// makes sense to come back.
//
// What a delivery comes to is a status, a reply code and a text that every receiver
// writes as it likes. Of puts it in a class:
//
//	report, _ := client.Deliver(ctx, env, message)
//	for _, o := range report.Outcomes {
//		switch v := classes.Of(o); v.Class {
//		case classes.BadMailbox:
//			// take the address off the list
//		case classes.Greylist, classes.RateLimit:
//			queue(o, time.Now().Add(v.After))
//		}
//	}
//
// The classes come from a table of texts, enhanced codes and reply codes: table.txt,
// where each row has the page that it was taken from and a reply that it decides. A
// Table has rows of your own before these, and a function that has the last word.
//
// Who judges a reply by reading it, for the table or for the tests, goes by these
// rules, where two people could come to two classes:
//
//   - What the text says comes before what its codes say. Only the reply is judged:
//     what its provider explains elsewhere makes a row of the table.
//   - A reply that gives no reason has the class of its enhanced code by the registry,
//     then of its reply code by RFC 5321. "Rejected", "refused" and "denied" are no
//     reasons: policy. A sender, an address of ours, a country or a message that is
//     "blocked" or listed is spam. "Not available" about a mailbox is bad-mailbox.
//   - Too much or too fast is rate-limit, even where the excess is one of spam; so are
//     a server that is busy or loaded, and "deferred" without a reason.
//   - "Try again later" without a reason is greylist with 4.7.1, else server.
//   - SPF, DKIM, DMARC, reverse DNS, a HELO name that is not ours, and passwords are
//     auth, even as somebody's policy. The form of a HELO name is protocol.
//   - The address that sends, by its form, its domain or a rule about it, also about
//     who may log in and use it, is policy. So is relaying, unless the reply asks for a login: auth.
//   - Viruses, links and dangerous content are spam. A type of file that is not taken,
//     a size, a header and a form are message.
//   - A recipient who is refused without a reason, is closed, or has a domain that
//     does not exist is bad-mailbox; who does not want this sender is policy.
//   - What is about the space of a recipient is full, of the server: server.
//   - A DNS that does not answer, loops and lost connections are network.
//   - A command that is not known, out of order, or of a wrong form is protocol, also
//     if it is AUTH; a mechanism that is not there is auth, and TLS that is not: tls.
//
// A class is a guess by what a server says. It changes nothing about the status, and
// nothing in package smtpclient depends on it. To have the status follow, ask it in
// smtpclient.Client.Classify.
package classes
