package oteltrace

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// Names of the registry of semantic conventions, then our own.
const (
	serverAddressKey = attribute.Key("server.address")
	serverPortKey    = attribute.Key("server.port")
	peerAddressKey   = attribute.Key("network.peer.address")
	peerPortKey      = attribute.Key("network.peer.port")
	transportKey     = attribute.Key("network.transport")
	tlsKey           = attribute.Key("tls.established")
	tlsNameKey       = attribute.Key("tls.protocol.name")
	tlsVersionKey    = attribute.Key("tls.protocol.version")
	tlsCipherKey     = attribute.Key("tls.cipher")
	tlsResumedKey    = attribute.Key("tls.resumed")
	errorKey         = attribute.Key("error.type")

	outcomeKey        = attribute.Key("postrider.outcome")
	stageKey          = attribute.Key("postrider.stage")
	resultKey         = attribute.Key("postrider.stage.result")
	groupKey          = attribute.Key("postrider.destination.group")
	codeKey           = attribute.Key("postrider.reply.code")
	enhancedKey       = attribute.Key("postrider.reply.enhanced")
	recipientCountKey = attribute.Key("postrider.recipient.count")
	sizeKey           = attribute.Key("postrider.message.size")
	queueIDKey        = attribute.Key("postrider.queue.id")
	stateKey          = attribute.Key("postrider.client.connection.state")
)

// appendPeer adds what is known of the server and the connection.
func appendPeer(attrs []attribute.KeyValue, a *smtpclient.Attempt) []attribute.KeyValue {
	if a.Host != "" {
		attrs = append(attrs, serverAddressKey.String(a.Host))
	}
	if a.Addr == "" {
		return attrs
	}
	if path, ok := strings.CutPrefix(a.Addr, "unix:"); ok {
		attrs = append(attrs, transportKey.String("unix"), peerAddressKey.String(path))
	} else if host, port, err := net.SplitHostPort(a.Addr); err == nil {
		n, _ := strconv.Atoi(port)
		attrs = append(attrs, transportKey.String("tcp"), peerAddressKey.String(host), peerPortKey.Int(n), serverPortKey.Int(n))
	}
	return attrs
}

// appendTLS adds how TLS came out; nothing before that was settled.
func appendTLS(attrs []attribute.KeyValue, s tlspolicy.State) []attribute.KeyValue {
	if s.Reached == 0 {
		return attrs
	}
	attrs = append(attrs, tlsKey.Bool(s.Version != 0))
	if s.Version == 0 {
		return attrs
	}
	version := strings.TrimPrefix(tls.VersionName(s.Version), "TLS ")
	return append(attrs, tlsNameKey.String("tls"), tlsVersionKey.String(strings.TrimSuffix(version, ".0")),
		tlsCipherKey.String(tls.CipherSuiteName(s.Cipher)), tlsResumedKey.Bool(s.Resumed))
}

// appendReplied adds the reply, as far as there was one.
func appendReplied(attrs []attribute.KeyValue, a *smtpclient.Attempt) []attribute.KeyValue {
	if a.Reply.Code != 0 {
		attrs = append(attrs, codeKey.Int(a.Reply.Code))
	}
	if enhanced := enhancedOf(a); enhanced != "" {
		attrs = append(attrs, enhancedKey.String(enhanced))
	}
	return attrs
}

func enhancedOf(a *smtpclient.Attempt) string {
	if a.Enhanced != "" {
		return a.Enhanced
	}
	return a.Reply.Enhanced
}

// errorType is why an attempt or a stage has failed, in few words: the reply's
// code, or what happened here.
func errorType(a *smtpclient.Attempt) string {
	var late net.Error
	switch {
	case a.Cause == nil && a.Reply.Code != 0:
		return codeName(a.Reply.Code)
	case errors.Is(a.Cause, context.Canceled):
		return "canceled"
	case errors.As(a.Cause, &late) && late.Timeout():
		return "timeout"
	}
	return a.Stage.String()
}

// knownCodes are the refusals that SMTP has (RFC 5321, Section 4.2.3), with those of
// AUTH and of servers that take no mail.
var knownCodes = []int{421, 432, 450, 451, 452, 454, 455, 500, 501, 502, 503, 504, 521, 530, 534, 535, 538, 550, 551, 552, 553, 554, 555, 556}

// codeName is a reply's code. A server may make up others, and with each of them a
// series of its own: they have the name of their class.
func codeName(code int) string {
	if slices.Contains(knownCodes, code) {
		return strconv.Itoa(code)
	}
	return strconv.Itoa(code/100) + "xx"
}

// appendResult adds the verdict, and why it is not Delivered.
func appendResult(attrs []attribute.KeyValue, o *smtpclient.Outcome) []attribute.KeyValue {
	if o == nil {
		return append(attrs, outcomeKey.String("failed"), errorKey.String("_OTHER"))
	}
	attrs = append(attrs, outcomeKey.String(o.Status.String()))
	if o.Status != smtpclient.Delivered {
		attrs = append(attrs, errorKey.String(errorType(o.Attempt)))
	}
	return attrs
}
