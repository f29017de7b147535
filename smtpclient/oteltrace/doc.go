// Package oteltrace tells OpenTelemetry what postrider's smtpclient does: a span for
// each delivery, a child for each stage of it, and metrics.
//
//	t, err := oteltrace.New(oteltrace.Options{Pool: client.Pool})
//	ctx = smtpclient.WithTrace(ctx, t.Trace())
//
// It needs the API of OpenTelemetry only. Without an SDK it costs next to nothing.
//
// # Names
//
// There are no semantic conventions for SMTP: semantic-conventions issues 927 and
// 1945 ask for them. What has a name in general is called by it:
//
//	server.address, server.port                       name and port of the server
//	network.peer.address, network.peer.port           of the connection; a socket's path
//	network.transport                                 tcp or unix
//	tls.established, tls.protocol.name,
//	tls.protocol.version, tls.cipher, tls.resumed     of the delivery's connection, and of starttls
//	error.type                                        why it was not delivered
//
// All else is below "postrider.", as "General naming considerations" asks of names
// that are an application's own:
//
//	postrider.outcome             unknown, delivered, deferred or failed; of a delivery the worst
//	postrider.stage               where that was decided: smtpclient.Stage
//	postrider.stage.result        ok or failed
//	postrider.destination.group   see Options.Groups
//	postrider.reply.code          of the server, an int
//	postrider.reply.enhanced      RFC 3463: the server's, or ours
//	postrider.recipient.count     in a delivery
//	postrider.message.size        in bytes
//	postrider.queue.id            see smtpclient.WithQueueID
//
// error.type is the server's reply code, as "550", where a reply decided, and "4xx"
// or "5xx" for a code that SMTP does not have; "timeout"
// or "canceled"; else the stage at which it went wrong, as "connect" or "starttls".
// It is left out where all was well ("Recording errors"). No address of a sender or recipient and
// no text of a server is told, but the status description of a span, which is the
// error of the delivery; see Options.Errors.
//
// # Metrics
//
//	postrider.client.delivery.duration      histogram, s            postrider.outcome, error.type
//	postrider.client.delivery.active        up-down, {delivery}
//	postrider.client.stages                 counter, {stage}        postrider.stage, postrider.stage.result: ok, failed
//	postrider.client.stage.time             counter, s              likewise: the time that they took together
//	postrider.client.recipients             counter, {recipient}    postrider.outcome, postrider.stage, postrider.destination.group, error.type
//	postrider.client.connection.count       up-down, {connection}   postrider.client.connection.state: idle, used
//	postrider.client.connection.pending_requests   up-down, {request}
//
// Stages are measured if Options.Stages says so. The last two are those of
// Options.Pool, and named after db.client.connection.count
// and its like. All attributes have bounded sets of
// values.
package oteltrace
