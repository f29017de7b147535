package resolve

import (
	"context"
	"errors"
	"net"
	"testing"
)

// Who looks just before another one's probe has its answer, and asks just after, does
// not ask again.
func TestProbeIsNotRepeated(t *testing.T) {
	asked := 0
	d := &DNS{Servers: []string{"192.0.2.53"}, DialContext: func(context.Context, string, string) (net.Conn, error) {
		asked++
		return nil, errors.New("no way there")
	}}
	found, _, err := d.probe(t.Context(), "")
	if err != nil || found.err == nil || asked == 0 {
		t.Fatalf("the first probe: %v, %v, asked %d times", found.err, err, asked)
	}
	before := asked
	again, _, err := d.probe(t.Context(), "")
	if err != nil || again.err != found.err || asked != before {
		t.Errorf("the second one: %v, %v, asked %d times more", again.err, err, asked-before)
	}
}
