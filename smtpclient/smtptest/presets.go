package smtptest

import "time"

// ZMailer301 is a ZMailer smtpserver 3.0.1 with the settings that it comes with.
// Its replies to what it does not understand have several lines, unknown commands
// get 550, and a client that sends commands together before the reply to EHLO, or
// after HELO, loses the connection.
func ZMailer301() Profile {
	return Profile{
		Extensions: []string{"SIZE 0", "8BITMIME", "PIPELINING", "CHUNKING", "ENHANCEDSTATUSCODES", "DSN",
			"X-RCPTLIMIT 10000", "AUTH=LOGIN", "AUTH LOGIN", "STARTTLS", "ETRN", "HELP"},
		At: map[string]Action{
			Connect: {Reply: "220 NAME (ZMailer 3.0.1) ESMTP ready"},
			"VRFY":  {Reply: "252 2.5.2 send to it and see"},
			"EXPN":  {Reply: "502 5.5.2 no lists are shown"},
			"HELP":  {Reply: "214-2.0.0 the commands are\n214-2.0.0 EHLO HELO MAIL RCPT DATA BDAT\n214 2.0.0 RSET NOOP QUIT"},
		},
		Replies: map[Situation]string{
			BadHello: "", UnknownCommand: "550 5.5.2 unknown command",
			MailParameter: "501 5.5.4 unknown parameter", DataWithoutRcpt: "503 5.5.2 no recipients", NoRecipients: "503 5.5.2 no recipients",
			DataAfterChunk: "503 5.5.2 not after BDAT", TooManyRecipients: "452 4.5.2 too many recipients",
			TooManyForNull: "552 5.7.1 too many recipients for a notice", DataForNull: "550 5.7.1 too many recipients for a notice",
			ChunkNotOffered: "550 5.5.2 unknown command", ChunkAfterFault: "452 4.3.0 discarded",
			SecondTLS: "554 5.4.0 TLS is on", InputBeforeTLS: "501 5.1.3 something behind STARTTLS",
			AuthNotOffered: "503 5.7.1 not here", AuthWithoutTLS: "503 5.7.1 not without TLS", BadMechanism: "504 5.7.1 no such mechanism",
			SourceRoute:        "250 2.1.5 ok, without its source route",
			TooManyConnections: "450-5.7.1 there are\n450-5.7.1 too many connections\n450 5.7.1 from your address",
		},
		Caret:         true,
		Pipelining:    CloseAtHello,
		StripRoutes:   true,
		TLSKeepsHello: true,
		DataEnds:      true,
		AuthNeedsTLS:  true,
		Limits: Limits{Attempts: 9999, NullSender: 3, Unknown: 10, PerAddress: 100, Silent: 400, Connections: 800, SilentAll: 900,
			Linger: 2 * time.Second, Command: 8192, CutCommand: true, Idle: 20 * time.Minute},
	}
}

// ZMailer2001 is a ZMailer of that year: it does not mind commands that come too
// early, and holds each refusal back for longer than the one before.
func ZMailer2001() Profile {
	p := ZMailer301()
	p.At[Connect] = Action{Reply: "220 NAME ZMailer Server 2.99.55 ESMTP"}
	p.Pipelining = Together
	p.Replies[TooManyConnections] = "450-too many connections\n450 from your address"
	p.Tarpit = Tarpit{Initial: 20 * time.Second, Mult: 2}
	p.Limits.Unknown = 0
	return p
}

// ZMailerStrict is one with strict syntax, which also checks names in EHLO.
func ZMailerStrict() Profile {
	p := ZMailer301()
	delete(p.Replies, BadHello)
	p.Replies[BlankAtEnd] = "555 5.5.4 blank at the end"
	p.Replies[BadReversePath] = "501 5.1.7 bad path"
	p.Replies[BadForwardPath] = "501 5.1.3 bad path"
	return p
}

// ZMailerMSA is one for submission: nothing goes before AUTH, and no AUTH before
// STARTTLS. The Server needs Passwords.
func ZMailerMSA() Profile {
	p := ZMailer301()
	p.Extensions = []string{"SIZE 0", "8BITMIME", "PIPELINING", "CHUNKING", "ENHANCEDSTATUSCODES", "DSN",
		"X-RCPTLIMIT 10000", "AUTH=LOGIN", "AUTH LOGIN", "STARTTLS", "HELP"}
	p.AuthRequired = true
	p.Replies[Unauthenticated] = "530 5.5.1 log in first"
	return p
}

// Unconfigured is a ZMailer without its files: one line of a greeting, which
// never ends.
func Unconfigured() Profile {
	return Profile{At: map[string]Action{
		Connect: {Raw: []byte("400- not configured\r\n")},
		Any:     {Raw: []byte{}},
	}}
}

// BrokenPolicyDB is a ZMailer whose database of policies cannot be read. It
// refuses everything, and is silent for 20 s after each refusal.
func BrokenPolicyDB() Profile {
	return Profile{At: map[string]Action{
		Connect: {Reply: "450 NAME no policy, come back later"},
		Any:     {Reply: "400 4.7.0 no policy, come back later", After: 20 * time.Second},
		"QUIT":  {},
		"HELP":  {},
	}}
}

// Postfix is a Postfix 3.7 with the settings that it comes with and TLS.
func Postfix() Profile {
	return Profile{
		Extensions: []string{"PIPELINING", "SIZE 10240000", "VRFY", "ETRN", "STARTTLS", "AUTH PLAIN LOGIN", "ENHANCEDSTATUSCODES",
			"8BITMIME", "DSN", "SMTPUTF8", "CHUNKING"},
		At: map[string]Action{
			Connect: {Reply: "220 NAME ESMTP Postfix"},
			"VRFY":  {Reply: "252 2.0.0 that may be"},
			"ETRN":  {Reply: "459 4.7.1 no service for this"},
			"GET":   {Reply: "221 2.7.0 this is no mail", Fault: DropAfter},
			"POST":  {Reply: "221 2.7.0 this is no mail", Fault: DropAfter},
			"*":     {Reply: "221 2.7.0 this is no mail", Fault: DropAfter},
		},
		Replies: map[Situation]string{
			NoHello: "", BlankAtEnd: "", BadHello: "", BadReversePath: "501 5.1.7 bad sender address syntax",
			BadForwardPath: "501 5.1.3 bad recipient address syntax", UnknownCommand: "500 5.5.2 command not recognized",
			QuitArguments: "", NoQueue: "500 syntax: ETRN domain", NoRset: "", BadChunk: "521 5.5.4 syntax: BDAT count [LAST]",
			TooManyConnections: "421 4.7.0 NAME too many connections", ChunkNotOffered: "500 5.5.2 command not recognized",
			TLSNotOffered: "502 5.5.1 command not implemented", SecondTLS: "554 5.5.1 TLS already active",
			AuthNotOffered: "503 5.5.1 authentication not enabled", BadPassword: "535 5.7.8 authentication failed",
			IdleTooLong: "421 4.4.2 NAME timeout exceeded", TwiceParameter: "",
		},
		Disabled: []string{"EXPN", "HELP"},
		Limits: Limits{Size: 10240000, Recipients: 1000, PerAddress: 50, Connections: 100, Command: 2048, CutCommand: true,
			Idle: 5 * time.Minute},
	}
}

// Exim is an Exim 4.96 with the settings that it comes with and TLS.
func Exim() Profile {
	return Profile{
		Extensions: []string{"SIZE 52428800", "8BITMIME", "PIPELINING", "PIPECONNECT", "CHUNKING", "AUTH PLAIN LOGIN", "STARTTLS", "PRDR", "HELP"},
		Hello:      []string{"NAME Hello, pleased to meet you"},
		At: map[string]Action{
			Connect: {Reply: "220 NAME ESMTP Exim 4.96"},
			"VRFY":  {Reply: "252 administrative prohibition"},
			"EXPN":  {Reply: "550 administrative prohibition"},
			"ETRN":  {Reply: "458 not for you"},
			"HELP":  {Reply: "214-commands supported:\n214 AUTH STARTTLS HELO EHLO MAIL RCPT DATA BDAT NOOP QUIT RSET HELP"},
		},
		Replies: map[Situation]string{
			BadHello: "501 syntactically invalid EHLO argument(s)", UnknownCommand: "500 unrecognized command",
			NoFromTo: "500 unrecognized command", MailParameter: "501 malformed address", RcptParameter: "501 malformed address",
			BadSize: "", NoRset: "", NoQueue: "458 not for you", NoMail: "503 sender not yet given",
			DataWithoutRcpt: "503-all RCPT commands were rejected\n503 valid RCPT command must precede DATA",
			NoRecipients:    "503 valid RCPT command must precede DATA", TooManyRecipients: "452 too many recipients",
			TooManyConnections: "421 too many concurrent SMTP connections; please try again later.",
			IdleTooLong:        "421 NAME: SMTP command timeout - closing connection",
			BadPassword:        "535 Incorrect authentication data", TLSNotOffered: "503 STARTTLS command used when not advertised",
			AuthNotOffered: "503 AUTH command used when not advertised",
		},
		Enhanced: EnhancedNever,
		Limits:   Limits{Size: 52428800, Connections: 20, Unknown: 4, Faults: 4, Messages: 1000, Idle: 5 * time.Minute},
	}
}

// Exchange is a front end of Microsoft's Exchange. It holds back its refusals for
// five seconds, and takes BINARYMIME. It is from general knowledge: it was not
// held against a real one, as Postfix and Exim were.
func Exchange() Profile {
	return Profile{
		Extensions: []string{"SIZE 37748736", "PIPELINING", "DSN", "ENHANCEDSTATUSCODES", "STARTTLS", "X-ANONYMOUSTLS", "AUTH NTLM LOGIN",
			"X-EXPS GSSAPI NTLM", "8BITMIME", "BINARYMIME", "CHUNKING", "XRDST"},
		Hello: []string{"NAME Hello [192.0.2.1]"},
		At: map[string]Action{
			Connect:   {Reply: "220 NAME Microsoft ESMTP MAIL Service ready"},
			EndOfData: {Reply: "250 2.6.0 <1@NAME> Queued mail for delivery"},
			"VRFY":    {Reply: "252 2.1.5 Cannot VRFY user"},
			"HELP":    {Reply: "214-This server supports the following commands:\n214 HELO EHLO STARTTLS RCPT DATA RSET MAIL QUIT HELP AUTH BDAT"},
		},
		Replies: map[Situation]string{
			NoHello: "503 5.5.2 Send hello first", NestedMail: "503 5.5.2 Sender already specified", NoMail: "503 5.5.2 Need mail command",
			DataWithoutMail: "503 5.5.2 Need mail command", DataWithoutRcpt: "503 5.5.2 Need rcpt command", NoRecipients: "503 5.5.2 Need rcpt command",
			UnknownCommand: "500 5.3.3 Unrecognized command", BadHello: "501 5.5.4 Invalid domain name",
			TooManyRecipients: "452 4.5.3 Too many recipients", TooManyConnections: "421 4.3.2 The maximum number of concurrent connections has exceeded a limit, closing transmission channel",
			BadPassword: "535 5.7.3 Authentication unsuccessful", Unauthenticated: "530 5.7.57 Client not authenticated",
			IdleTooLong: "421 4.4.1 Connection timed out",
		},
		Disabled: []string{"EXPN"},
		Tarpit:   Tarpit{Initial: 5 * time.Second, Cap: 5 * time.Second},
		Limits:   Limits{Size: 37748736, Recipients: 200, PerAddress: 20, Idle: 5 * time.Minute},
	}
}

// Gmail is a large receiver that paces its senders: few connections from one
// address, few messages on each, and time before each of its verdicts. It is from
// general knowledge: it was not held against the real one, which does not publish
// how many, and how long, so that the numbers are only likely ones.
func Gmail() Profile {
	return Profile{
		Extensions: []string{"SIZE 157286400", "8BITMIME", "STARTTLS", "ENHANCEDSTATUSCODES", "PIPELINING", "CHUNKING", "SMTPUTF8"},
		Hello:      []string{"NAME at your service, [192.0.2.1]"},
		At: map[string]Action{
			Connect:   {Reply: "220 NAME ESMTP 1-2 - gsmtp"},
			EndOfData: {Delay: 2 * time.Second},
			"VRFY":    {Reply: "252 2.1.5 Send some mail, I'll try my best 1-2 - gsmtp"},
			"HELP":    {Reply: "214 2.0.0 https://www.example.net/help 1-2 - gsmtp"},
		},
		Replies: map[Situation]string{
			NoHello: "503 5.5.1 EHLO/HELO first. 1-2 - gsmtp", UnknownCommand: "502 5.5.1 Unrecognized command. 1-2 - gsmtp",
			DataWithoutRcpt: "503 5.5.1 RCPT first. 1-2 - gsmtp", BadReversePath: "555 5.5.2 Syntax error. 1-2 - gsmtp",
			BadForwardPath: "555 5.5.2 Syntax error. 1-2 - gsmtp", TooManyRecipients: "452 4.5.3 Your message has too many recipients. 1-2 - gsmtp",
			TooManyConnections: "421 4.7.0 Try again later, closing connection. 1-2 - gsmtp",
			TooManyMessages:    "421-4.7.28 There is an unusual rate of mail from your\n421 4.7.28 address. Try again later. 1-2 - gsmtp",
			IdleTooLong:        "451 4.4.2 Timeout - closing connection. 1-2 - gsmtp",
		},
		Disabled: []string{"EXPN"},
		Limits:   Limits{Size: 157286400, Recipients: 100, PerAddress: 10, Messages: 50, Idle: 5 * time.Minute},
	}
}
