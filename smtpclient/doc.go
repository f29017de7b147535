// Package smtpclient is stubbed.
package smtpclient
