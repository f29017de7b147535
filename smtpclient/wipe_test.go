package smtpclient

import (
	"bytes"
	"reflect"
	"testing"
	"time"
)

// Of a session's work only room is used again: no command, no verdict, and nothing in
// the room itself. A new field is nothing, too, or this fails.
func TestWorkIsWiped(t *testing.T) {
	password := []byte("AUTH PLAIN AGFubgBzZWNyZXQ=\r\n")
	w := &work{at: Attempt{Login: "ann", Notes: []string{"note"}}, out: bytes.Clone(password), scratch: bytes.Clone(password),
		challenge: "334", clock: time.Now(), heard: time.Now(), budget: time.Now(), debts: []debt{{}}, mute: true}
	copy(w.room.out[:], password) // what out and scratch have outgrown
	copy(w.room.scratch[:], password)
	for v, i := reflect.ValueOf(w).Elem(), 0; i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Errorf("%s is not filled in here", v.Type().Field(i).Name)
		}
	}
	w.out = w.out[:3] // what was written stands behind it
	w.wipe()
	if want := (work{out: w.out, scratch: w.scratch}); !reflect.DeepEqual(*w, want) || len(w.out)+len(w.scratch) > 0 {
		t.Errorf("left: %+v", *w)
	}
	for _, room := range [][]byte{w.out[:cap(w.out)], w.scratch[:cap(w.scratch)]} {
		if len(room) < len(password) || len(bytes.Trim(room, "\x00")) > 0 {
			t.Errorf("left in the room: %q", room)
		}
	}
}
