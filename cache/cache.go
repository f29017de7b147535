// Package cache is stubbed.
package cache
