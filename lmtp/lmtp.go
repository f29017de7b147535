// Package lmtp is stubbed.
package lmtp
