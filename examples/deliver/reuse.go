package main

import (
	"context"
	"time"

	"github.com/postrider/postrider/smtpclient"
)

// newPool gives the client a pool that keeps as many sessions to a destination as
// messages may be on their way at the same time.
func (c *config) newPool() {
	if c.pool {
		c.client.Pool = &smtpclient.Pool{PerDestination: max(c.concurrency, 1), KeepAll: true}
	}
}

// waiting is how many deliveries wait for a session beside the one that has it:
// one whose commands are on their way, and others that are making theirs ready.
const waiting = 3

// workers is how many deliveries there are at the same time. Where transactions
// overlap, the commands of one go out with the final dot of the one before, so that
// there have to be more of them than sessions.
func (c *config) workers() int {
	n := max(c.concurrency, 1)
	if c.pool && !c.quirks.NoOverlap {
		n *= 1 + waiting
	}
	return min(n, max(c.repeat, 1))
}

// partingTime is how long the sessions that are left may take to end.
const partingTime = 2 * time.Second

// closePool says QUIT on the sessions that the pool has kept.
func (c *config) closePool() {
	if c.client.Pool == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), partingTime)
	defer cancel()
	c.client.Pool.Close(ctx)
}
