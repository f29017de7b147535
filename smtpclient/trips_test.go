package smtpclient_test

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

const roundTrip = 100 * time.Millisecond

// tripRow is a row of the table in docs/performance.md.
type tripRow struct {
	what  string
	least float64 // what the protocol needs
	most  float64
	take  func(t *testing.T) float64
}

func tripRows() []tripRow {
	plain := []string{"PIPELINING", "CHUNKING"}
	lockstep := smtpclient.Quirks{Discard: []string{"PIPELINING"}}
	early := smtpclient.Quirks{PipeConnect: true}
	grouped := smtpclient.Quirks{Chunking: smtpclient.ChunkingGrouped}
	earlyGrouped := smtpclient.Quirks{PipeConnect: true, Chunking: smtpclient.ChunkingGrouped}
	withTLS := append([]string{"STARTTLS"}, earlyOffers...)
	return []tripRow{
		{"one message, new connection, plaintext", 4, 4.5, coldTrips(plain, smtpclient.Quirks{})},
		{"one message, new connection, STARTTLS", 7, 7.5, coldTrips(append([]string{"STARTTLS"}, plain...), smtpclient.Quirks{})},
		{"the same with `PipeConnect`, plaintext", 3, 3, coldTrips(earlyOffers, early)},
		{"the same with `PipeConnect`, STARTTLS", 5, 5, coldTrips(withTLS, early)},
		{"with `PipeConnect` and `ChunkingGrouped`, plaintext", 2, 2, coldTrips(earlyOffers, earlyGrouped)},
		{"with `PipeConnect` and `ChunkingGrouped`, STARTTLS", 4, 4, coldTrips(withTLS, earlyGrouped)},
		{"one message, session of the pool, without PIPELINING", 4, 4, warmTrips(lockstep)},
		{"one message, session of the pool", 2, 2, warmTrips(smtpclient.Quirks{})},
		{"one message, session of the pool, `ChunkingGrouped`", 1, 1, warmTrips(grouped)},
		{"each of 100 messages through one session, without PIPELINING", 4, 4.05, streamTrips(lockstep)},
		{"each of 100 messages through one session, `NoOverlap`", 2, 2.05, streamTrips(smtpclient.Quirks{NoOverlap: true})},
		{"each of 100 messages through one session", 1, 1.05, streamTrips(smtpclient.Quirks{})},
		{"each of 100 messages through one session, `ChunkingGrouped`", 0.1, 0.2, streamTrips(grouped)},
	}
}

// Round trips by a wire in memory with 100 ms for there and back, the way of the
// connection included. The page has exactly what is measured here.
func TestRoundTripTable(t *testing.T) {
	page, err := os.ReadFile("../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| what | round trips |\n|---|---|\n")
	for _, row := range tripRows() {
		got := row.take(t)
		if got < row.least || got > row.most {
			t.Errorf("%s: %.2f round trips, want %.2f to %.2f", row.what, got, row.least, row.most)
		}
		text := strconv.FormatFloat(got, 'f', -1, 64)
		if strings.HasPrefix(row.what, "each") { // who is ready first is up to the scheduler
			text = fmt.Sprintf("at most %.2f", math.Ceil(got*20-1e-9)/20)
		}
		fmt.Fprintf(&table, "| %s | %s |\n", row.what, text)
	}
	if !strings.Contains(string(page), "\n\n"+table.String()+"\n") {
		t.Errorf("docs/performance.md does not have this table:\n%s", &table)
	}
}

// coldTrips is what a message takes whose server was met before, and where no session
// is open.
func coldTrips(offers []string, q smtpclient.Quirks) func(t *testing.T) float64 {
	return func(t *testing.T) (trips float64) {
		inWorld(t, func(t *testing.T, w *world) {
			w.early(q)
			w.mx(10, &smtptest.Server{Extensions: offers, Wire: smtptest.Wire{Delay: roundTrip / 2, Window: room}})
			w.deliver(t.Context(), fromAnn("first@example.net"), hello)
			w.settle()
			trips = w.trips()
		})
		return trips
	}
}

// trips is what a message takes now.
func (w *world) trips() float64 {
	start := time.Now()
	expect(w.t, w.deliver(w.t.Context(), fromAnn("bob@example.net"), hello), "bob@example.net delivered data-done 2.0.0")
	return float64(time.Since(start)) / float64(roundTrip)
}

// warmTrips is what a message takes on a session that is open.
func warmTrips(q smtpclient.Quirks) func(t *testing.T) float64 {
	return func(t *testing.T) (trips float64) {
		inWorld(t, func(t *testing.T, w *world) {
			w.client.Pool = &smtpclient.Pool{KeepAll: true}
			w.client.Dialer.Quirks = withQuirks(q)
			mx := w.mx(10, &smtptest.Server{Extensions: []string{"PIPELINING", "CHUNKING"}, Wire: smtptest.Wire{Delay: roundTrip / 2, Window: room}})
			w.deliver(t.Context(), fromAnn("first@example.net"), hello)
			trips = w.trips()
			if n := mx.Sessions(); n != 1 {
				t.Errorf("%d sessions, want 1", n)
			}
			w.client.Pool.Close(t.Context())
			w.settle()
		})
		return trips
	}
}

// streamTrips is what each of 100 messages takes that come all at once.
func streamTrips(q smtpclient.Quirks) func(t *testing.T) float64 {
	return func(t *testing.T) (trips float64) {
		const cold = 2.5 // connection, greeting, EHLO
		server := &smtptest.Server{Extensions: []string{"PIPELINING", "CHUNKING"}, Wire: smtptest.Wire{Delay: roundTrip / 2, Window: 1 << 16}}
		inConvoy(t, server, func(t *testing.T, c *convoy) {
			c.w.client.Dialer.Quirks = withQuirks(q)
			start := time.Now()
			for n := range 100 {
				c.send(t.Context(), n, nil)
			}
			c.wg.Wait()
			trips = (float64(time.Since(start))/float64(roundTrip) - cold) / 100
			c.expect(strings.Repeat("d", 100))
			if n := c.server.Sessions(); n != 1 {
				t.Errorf("%d sessions, want 1", n)
			}
		})
		return trips
	}
}
