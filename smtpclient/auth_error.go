package smtpclient

import "fmt"

// AuthFailure is a kind of failure of AUTH, to be found with errors.Is. None of
// them fails a recipient: the mail is Deferred, and another host may take it.
type AuthFailure uint8

// The kinds of failure. The numbers are the replies of RFC 4954, Section 6.
const (
	AuthRefused            AuthFailure = iota + 1 // another negative reply
	AuthBadCredentials                            // 535: wrong user name, password or token
	AuthTemporary                                 // 454, or another 4yz: to be tried later
	AuthTransition                                // 432: the account has to log in once with PLAIN
	AuthWeak                                      // 534: the mechanism is too weak for this account
	AuthEncryptionRequired                        // 538, or the channel is below Credential.Channel
	AuthRequired                                  // 530 to MAIL, RCPT or DATA: there was no AUTH, or no TLS
	AuthNotOffered                                // there is a credential, but the server has no AUTH
	AuthNoMechanism                               // the server has none that the credential can use
	AuthBroken                                    // an exchange that cannot be right; it was cancelled
	AuthUnproven                                  // the server claims success that cannot be believed
)

var authFailures = [...]string{
	AuthRefused:            "authentication was refused",
	AuthBadCredentials:     "user name, password or token is wrong",
	AuthTemporary:          "authentication is not possible for now",
	AuthTransition:         "the account is not ready for this mechanism; log in once with PLAIN",
	AuthWeak:               "the mechanism is too weak for this account",
	AuthEncryptionRequired: "the channel is not secure enough to authenticate",
	AuthRequired:           "the server wants AUTH or TLS first; set a credential or a TLS level for it",
	AuthNotOffered:         "there is a credential for the server, but it does not offer AUTH",
	AuthNoMechanism:        "no mechanism that both the server and the credential have",
	AuthBroken:             "the exchange of AUTH went wrong",
	AuthUnproven:           "the server's success cannot be believed",
}

// Error says it in words.
func (f AuthFailure) Error() string {
	if int(f) < len(authFailures) && authFailures[f] != "" {
		return authFailures[f]
	}
	return fmt.Sprintf("AuthFailure(%d)", uint8(f))
}

// AuthError is the Cause of an Error at StageAuth, and of a reply 530 at later
// stages.
type AuthError struct {
	Failure   AuthFailure
	Mechanism string // "" if none was chosen
	// Detail is what the server told within the exchange, as the JSON of XOAUTH2
	// and OAUTHBEARER (RFC 7628, Section 3.2.2). It is safe to log. "": nothing.
	Detail string
	Err    error // what happened here; nil if a reply decided
}

// Error says what failed.
func (e *AuthError) Error() string {
	text := e.Failure.Error()
	if e.Mechanism != "" {
		text += " (" + e.Mechanism + ")"
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if e.Detail != "" {
		text += "; the server says " + e.Detail
	}
	return text
}

// Unwrap gives Failure and Err.
func (e *AuthError) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Failure}
	}
	return []error{e.Failure, e.Err}
}

// authFailureOf is the kind of a negative reply to AUTH.
func authFailureOf(reply Reply) AuthFailure {
	switch reply.Code {
	case 535:
		return AuthBadCredentials
	case 534:
		return AuthWeak
	case 538:
		return AuthEncryptionRequired
	case 530:
		return AuthRequired
	case 432:
		return AuthTransition
	}
	if reply.Code < 500 {
		return AuthTemporary
	}
	return AuthRefused
}

// authCodes are our enhanced codes, of RFC 4954, Section 6 and RFC 3463, Section
// 3.8.
var authCodes = map[AuthFailure]string{
	AuthBadCredentials:     "4.7.8",
	AuthTransition:         "4.7.12",
	AuthWeak:               "4.7.9",
	AuthEncryptionRequired: "4.7.11",
	AuthNotOffered:         "4.7.4",
}

func (f AuthFailure) enhanced() string {
	if code, ok := authCodes[f]; ok {
		return code
	}
	return "4.7.0"
}

// unauthenticated is the cause of a reply 530, which is about us and not about the
// message (RFC 4954, Section 6); else nil.
func unauthenticated(reply Reply) error {
	if reply.Code != 530 {
		return nil
	}
	return &AuthError{Failure: AuthRequired}
}
