// Package smtpclient delivers mail: a function call that does what a mail host's
// delivery agent does, as Postfix's smtp(8).
//
//	client := &smtpclient.Client{LocalName: "mail.example.org"}
//	report, err := client.Deliver(ctx, smtpclient.Envelope{
//		From: "ann@example.org",
//		To:   smtpclient.To("bob@example.net"),
//	}, smtpclient.Bytes(message))
//
// Deliver finds the servers, decides how secure the channel must be, speaks SMTP,
// and says what became of every recipient. It takes these steps:
//
//  1. Envelope and content are checked; the content is scanned once.
//  2. The recipients are split by next hop: the configured ones, or their
//     domains. resolve.Routing finds the hosts of each (RFC 5321, Section 5.1).
//     Several domains are delivered to at the same time.
//  3. The hosts are tried in order. A tlspolicy.Source decides for each how
//     secure it must be; a Dialer connects, greets, and secures the connection.
//  4. One transaction carries the message to all recipients of the group that
//     are still open (RFC 5321, Section 3.3), or several where they are many.
//  5. Those whom the server did not take for now go on to the next host, within
//     Limits; those whom no host has answered, at the end to Client.Fallback.
//     What is decided is never touched again.
//
// # Outcomes
//
// Each recipient ends as [Delivered], [Deferred], [Failed] or [Unknown]. Deferred
// and Failed mean that no server has taken the message: to try again cannot
// deliver it twice. Unknown is the honest word for the rest: the end of the
// content may have reached the server, and no reply came that could be trusted.
// Nothing is ever sent again for such a recipient in the same call; whether to
// try later is the caller's to decide.
//
// A 5yz reply to the greeting, to EHLO or to STARTTLS says nothing about the
// message, and so does a violation of the protocol: the next host is tried, and
// at the end the recipient is Deferred.
//
// # Seeing what happens
//
// A [Trace] travels in the context, so that it works alike for Client, Dialer and
// Session:
//
//	ctx = smtpclient.WithTrace(ctx, smtpclient.LogTrace(logger))
//
// # AUTH
//
// A [Credential] in Client.Auth logs in to the configured next hops, with the
// strongest mechanism that both sides have; it is shown only to a server that has
// proved its name inside TLS, unless it says otherwise. A refused password, like
// any 5yz to AUTH, defers: it is about us. An [AuthError] tells which way it went
// wrong. What is secret is "***" in traces, and in no report, log or error.
//
// # One connection by hand
//
// [Dialer.Dial] gives a [Session]: the same engine, one transaction at a time, for
// programs that decide for themselves where to connect. Both speak LMTP, too; see
// package lmtp.
//
// # Programs
//
// Each of examples/send, smarthost, submit, dsn-bounce, list-server, socks-and-sources
// and testing-your-sender is one task in one file, started without arguments;
// examples/complete has a Pool, DKIM, DANE and metrics in under 60 lines. Who comes from
// net/smtp begins with [SendMail].
//
// # Promises
//
// Each stands with the tests that hold it; those without a package are of this one.
// What takes long is in docs/reliability.md, with figures.
//
//  1. One verdict for each recipient: all who are passed in come back once, in their
//     order, with the reply, the host and the stage, also when the call is cancelled.
//     TestCutAtEveryByte, TestCancel, TestDuplicateRecipients, trial.TestSimulation.
//  2. Delivered means acknowledged: the complete positive reply was read in its
//     place, for exactly the bytes of the content with its line ends repaired.
//     TestOutcomes, TestCodesOfOtherCommands, TestVerdictsThatRunTogether, TestContentArrives, interop.TestEveryByteArrives.
//  3. Deferred and Failed mean that this call has delivered nothing: to try again
//     cannot duplicate. TestCutAtEveryByte, TestCutInsideTLS, TestLateFailures, trial.TestSimulation.
//  4. Unknown is honest and rare: from the write that ends the content to the whole
//     of the reply to it. Such a message is never sent again by this package; the
//     usual thing to do is to try later, with the same Message-ID.
//     TestOutcomes, TestReplyBeforeTheEndOfTheData, TestOverlapVerdicts, interop.TestVerdictsBesidePostfix.
//  5. No truncated mail: where a Content fails, changes, ends early or goes on too
//     long, or the call is cancelled before its end, no server sees an end of it.
//     TestContentThatFails, TestFileChangesWhileSent, TestReaderBreaksTheContract, FuzzContentThatChanges,
//     TestCancelWithinContent, TestNoDotForWhoWasAccepted.
//  6. No injected commands, no smuggled mail: nothing that a caller, the DNS or a
//     server supplies begins another command, and no CR or LF goes alone in text.
//     FuzzCommands, TestBadInput, TestSmuggling, content.FuzzEncoder, interop.TestSmuggling.
//  7. No silent downgrade: what a policy requires, ours or that of DANE, MTA-STS or
//     REQUIRETLS, is had, or nothing of message and credential is written. A policy
//     that cannot be found out defers. TestDowngrades, TestDANEVerdicts, TestMTASTSVerdicts,
//     TestRequireTLS, TestSTARTTLSLadder, TestBrokenTLSLowersNothing.
//  8. No mix-ups: a session is used again only where a new one would have ended up
//     equal, and never after an error, an unknown outcome or unread input.
//     TestSameTarget, TestPoolNeverMixesUp, TestPoolModel, TestBrokenSession, TestIdleSession421.
//  9. Bounded: each call ends within a time that follows from Timeouts and Limits,
//     with a bounded memory for each session, and leaves no goroutine or descriptor
//     beyond what a Pool keeps. All bounds stand in docs/bounds.md. TestStageTimeouts, TestDrippingReply, TestTransactionBudget, TestCallTime,
//     TestScanIsConstantInMemory, TestNoConnectionIsLeft, trial.TestSimulation.
//  10. Neither peers nor hooks can crash it: panics of hooks are contained, and no
//     reply, DNS answer, certificate or policy makes it panic, hang or grow.
//     TestPanicsAreContained, FuzzSession, TestReplyFloods, TestHostileCertificateIsSafe, resolve.FuzzDNSReply.
//  11. Secrets stay out of logs, errors, reports and panics, and are shown only to a
//     peer that is as the Credential demands. TestCredentialDoesNotPrint, TestHooksGetNoSecret,
//     TestTranscriptHoldsNoSecret, TestWires, TestNoWayAroundTheChannel.
//  12. It can be tried: Resolver, Dialer, Cache, Limiter and the policies are given by
//     the caller, time is that of a testing/synctest bubble, and package smtptest has
//     servers with every fault of these tests. trial.TestSimulationRepeats, smtptest.TestServerFaults.
//
// Not promised: that a message arrives once only, since the protocol cannot; that it
// survives this process, for which a queue has to note an attempt before the call;
// that a server keeps its word; an order between calls; protection where the
// resolver lies and neither DNSSEC nor MTA-STS applies.
//
// # Words
//
// The words are those of the RFCs: next hop, host, reverse path, recipient,
// reply, enhanced code, transaction, session. A content is header, empty line and
// body of a message. An attempt is what happened with one server.
//
// # Implemented
//
//	RFC 5321  Simple Mail Transfer Protocol
//	RFC 1870  SIZE
//	RFC 1985  ETRN
//	RFC 2033  LMTP
//	RFC 2034  enhanced status codes in replies
//	RFC 2195  CRAM-MD5
//	RFC 2852  DELIVERBY
//	RFC 2920  PIPELINING
//	RFC 3030  CHUNKING, BINARYMIME
//	RFC 3207  STARTTLS
//	RFC 3461  DSN
//	RFC 3463  enhanced status codes
//	RFC 3464  actions of Outcome
//	RFC 4422  EXTERNAL
//	RFC 4505  ANONYMOUS
//	RFC 4616  PLAIN
//	RFC 4865  FUTURERELEASE
//	RFC 4954  AUTH
//	RFC 5802  SCRAM-SHA-1
//	RFC 6152  8BITMIME
//	RFC 6531  SMTPUTF8
//	RFC 6533  ORCPT of type utf-8
//	RFC 6710  MT-PRIORITY
//	RFC 7293  RRVS
//	RFC 7435  opportunistic security
//	RFC 7505  null MX
//	RFC 7628  OAUTHBEARER
//	RFC 7677  SCRAM-SHA-256
//	RFC 8314  implicit TLS
//	RFC 8689  REQUIRETLS
//	RFC 9266  channel binding of SCRAM
//	RFC 9422  LIMITS
package smtpclient
