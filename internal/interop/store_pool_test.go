package interop

import (
	"bytes"
	"fmt"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/lmtp"
	"github.com/postrider/postrider/smtpclient"
)

// A thousand messages through four sessions at most: each is stored exactly once
// for each recipient who was accepted, and nobody else's verdict is his.
func TestDovecotThousand(t *testing.T) {
	const messages, senders, sessions = 1000, 16, 4
	d := dovecotStore(t)
	boxes := make([]string, 10)
	for i := range boxes {
		boxes[i] = d.NewMailbox("example.test")
	}
	pool := &smtpclient.Pool{PerDestination: sessions, KeepAll: true, IdleTime: time.Minute, MaxUses: -1}
	client := &lmtp.Client{Servers: []string{"unix:" + d.Socket}, Final: true, LocalName: "relay.example.test", Pool: pool}

	var running sync.WaitGroup
	numbers := make(chan int)
	for range senders {
		running.Go(func() {
			for n := range numbers {
				sendNumbered(t, client, n, boxes)
			}
		})
	}
	for n := range messages {
		numbers <- n
	}
	close(numbers)
	running.Wait()
	if err := pool.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if s := pool.Stats(); s.Dialed < 1 || s.Dialed > sessions {
		t.Errorf("%d sessions were opened, want %d at most: %+v", s.Dialed, sessions, s)
	}
	for i, box := range boxes {
		checkNumbers(t, d, box, wantedNumbers(i, messages, len(boxes)))
	}
}

// sendNumbered sends message n to the box of its last digit and to the next one,
// between one who is over quota and one who does not exist.
func sendNumbered(t *testing.T, client *lmtp.Client, n int, boxes []string) {
	first, second := boxes[n%len(boxes)], boxes[(n+1)%len(boxes)]
	report, _ := client.Deliver(t.Context(), envelope(first, "full@example.test", "nobody@example.test", second),
		smtpclient.Bytes(fmt.Appendf(nil, "Subject: x\r\nX-Number: %d.\r\n\r\nHello\r\n", n)))
	want := []smtpclient.Status{smtpclient.Delivered, smtpclient.Failed, smtpclient.Failed, smtpclient.Delivered}
	for i, o := range report.Outcomes {
		if o.Status != want[i] {
			t.Errorf("message %d, %s: %v, want %v: %v", n, o.Address, o.Status, want[i], o.Err())
		}
	}
}

// wantedNumbers are the messages for the box i.
func wantedNumbers(i, messages, boxes int) map[string]int {
	want := map[string]int{}
	for n := range messages {
		if n%boxes == i || (n+1)%boxes == i {
			want[fmt.Sprint(n)]++
		}
	}
	return want
}

var number = regexp.MustCompile(`(?m)^X-Number: (\d+)\.`)

func checkNumbers(t *testing.T, d *DovecotStore, box string, want map[string]int) {
	t.Helper()
	files, err := d.Stored(box, len(want))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, file := range files {
		found := number.FindSubmatch(bytes.ReplaceAll(file, []byte("\r\n"), []byte("\n")))
		if found == nil {
			t.Fatalf("%s holds %.300q", box, file)
		}
		got[string(found[1])]++
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s has %v, want %v", box, got, want)
	}
}
