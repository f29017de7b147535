// Package wire holds the bytes of SMTP and LMTP: a strict reader of replies, the
// writing of commands, and the transparency of content. It knows no timeouts
// and decides nothing.
package wire
