//go:build linux

package river

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
	"github.com/postrider/postrider/tlspolicy"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// postgres runs Debian's server for one test, as the user of that name.
func postgres(t *testing.T) *pgxpool.Pool {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	u, err := user.Lookup("postgres")
	if len(found) == 0 || err != nil {
		t.Fatal("PostgreSQL is needed (Debian: apt-get install postgresql)", err)
	}
	bin := filepath.Dir(found[len(found)-1])
	dir, err := os.MkdirTemp("/tmp", "river")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	as := func(name string, args ...string) *exec.Cmd {
		c := exec.Command(filepath.Join(bin, name), args...)
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		c.Dir = dir
		return c
	}
	data := filepath.Join(dir, "data")
	if out, err := as("initdb", "-A", "trust", "-N", "-D", data).CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	server := as("postgres", "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Signal(syscall.SIGINT)
		server.Wait()
	})
	db, err := pgxpool.New(t.Context(), "host="+dir+" user=postgres dbname=postgres")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	until(t, "PostgreSQL answers", func() bool { return db.Ping(t.Context()) == nil })
	return db
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	end := time.NewTimer(2 * time.Minute)
	defer end.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatal("it did not come to pass: ", what)
		}
	}
}

// office is a worker with its database, and the only mail server there is.
type office struct {
	t      *testing.T
	worker *Worker
	server *smtptest.Server
}

func open(t *testing.T, script func(c smtptest.Command) smtptest.Action) *office {
	t.Helper()
	db := postgres(t)
	o := &office{t: t, server: &smtptest.Server{Script: script}}
	t.Cleanup(func() { o.server.Close() })
	resolver := resolve.Func(func(_ context.Context, q resolve.Question) (resolve.Answer, error) {
		if q.Type == resolve.TypeA {
			return resolve.Answer{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}, nil
		}
		return resolve.Answer{}, nil
	})
	o.worker = &Worker{DB: db, ReportingMTA: "mail.example.org", Expire: time.Hour, Shards: 2,
		Backoff: func(int) time.Duration { return 0 }, Site: func(string) string { return "mx.example" },
		Client: &smtpclient.Client{LocalName: "mail.example.org", Resolver: resolver, TLS: tlspolicy.None, Cache: cache.None,
			Dialer: &smtpclient.Dialer{DialContext: o.server.DialContext}}}
	driver := riverpgxv5.New(db)
	migrator, err := rivermigrate.New(driver, nil)
	if err == nil {
		_, err = migrator.Migrate(t.Context(), rivermigrate.DirectionUp, nil)
	}
	var schema []byte
	if err == nil {
		schema, err = os.ReadFile("schema.sql")
	}
	if err == nil {
		_, err = db.Exec(t.Context(), string(schema))
	}
	if err != nil {
		t.Fatal(err)
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, o.worker)
	o.worker.River, err = river.NewClient(driver, &river.Config{Workers: workers, TestOnly: true,
		FetchPollInterval: 50 * time.Millisecond, FetchCooldown: 20 * time.Millisecond,
		Queues: map[string]river.QueueConfig{"mail0": {MaxWorkers: 4}, "mail1": {MaxWorkers: 4}}})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// submit queues a message.
func (o *office) submit(from string, to ...string) (id int64) {
	o.t.Helper()
	env := smtpclient.Envelope{From: from}
	for _, a := range to {
		env.To = append(env.To, smtpclient.Recipient{Address: a})
	}
	err := pgx.BeginFunc(o.t.Context(), o.worker.DB, func(tx pgx.Tx) (err error) {
		id, err = o.worker.Submit(o.t.Context(), tx, env, []byte("Subject: Hello\r\n\r\nHello.\r\n"))
		return err
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return id
}

// work runs the worker until no job is left.
func (o *office) work() {
	o.t.Helper()
	if err := o.worker.River.Start(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
	until(o.t, "no job is left", func() bool {
		var left int
		err := o.worker.DB.QueryRow(o.t.Context(), `SELECT count(*) FROM river_job WHERE state NOT IN ('completed', 'discarded', 'cancelled')`).Scan(&left)
		return err == nil && left == 0
	})
	if err := o.worker.River.Stop(o.t.Context()); err != nil {
		o.t.Error(err)
	}
}

// row is a recipient as the database has him: "status tries unknown".
func (o *office) row(id int64, address string) (text string) {
	var status string
	var tries, unknown int
	err := o.worker.DB.QueryRow(o.t.Context(), `SELECT status, tries, unknown FROM mail_recipient WHERE mail = $1 AND address = $2`, id, address).Scan(&status, &tries, &unknown)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(status, " ", tries, " ", unknown)
}

func (o *office) got(from, to string) (n int) {
	for _, m := range o.server.Messages() {
		if m.From == from && len(m.To) > 0 && strings.Contains(strings.Join(m.To, " "), to) && strings.HasPrefix(m.Replies[0], "2") {
			n++
		}
	}
	return n
}

// Each recipient has his own end, and the sender hears of who failed; what a notice
// meets with goes back to nobody.
func TestMail(t *testing.T) {
	var mu sync.Mutex
	grey := 0
	o := open(t, func(c smtptest.Command) smtptest.Action {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case c.Verb == "RCPT" && strings.Contains(c.Args, "grey"):
			if grey++; grey < 3 {
				return smtptest.Action{Reply: "451 4.7.1 come back later"}
			}
		case c.Verb == "RCPT" && strings.Contains(c.Args, "nobody"):
			return smtptest.Action{Reply: "550 5.1.1 no such user"}
		}
		return smtptest.Action{}
	})
	id := o.submit("ann@example.org", "bob@a.example", "grey@a.example", "nobody@a.example")
	dead := o.submit("<>", "nobody@a.example")
	o.work()
	for address, want := range map[string]string{"bob@a.example": "delivered 1 0", "grey@a.example": "delivered 3 0", "nobody@a.example": "failed 1 0"} {
		if got := o.row(id, address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
	if o.got("ann@example.org", "bob@a.example") != 1 || o.got("ann@example.org", "grey@a.example") != 1 || o.got("", "ann@example.org") != 1 {
		t.Errorf("the server has got %+v", o.server.Messages())
	}
	if got := o.row(dead, "nobody@a.example"); got != "failed 1 0" || len(o.server.Messages()) != 3 {
		t.Errorf("the dead letter: %s; %d messages", got, len(o.server.Messages()))
	}
}

// Of whom nobody knows is tried again, and counted; so is he whose worker was gone in
// the midst of the content.
func TestUnknown(t *testing.T) {
	o := open(t, func(c smtptest.Command) smtptest.Action {
		if c.Verb == smtptest.EndOfData && c.Session == 0 {
			return smtptest.Action{Fault: smtptest.Drop}
		}
		return smtptest.Action{}
	})
	id := o.submit("ann@example.org", "bob@a.example")
	if _, err := o.worker.DB.Exec(t.Context(), `UPDATE mail SET begun = 'gone' WHERE id = $1`, id); err != nil {
		t.Fatal(err)
	}
	o.work()
	if got := o.row(id, "bob@a.example"); got != "delivered 2 2" || len(o.server.Messages()) != 2 {
		t.Errorf("bob: %s; %d messages", got, len(o.server.Messages()))
	}
}

// A refusal of the limiter is no attempt.
func TestRefusal(t *testing.T) {
	o := open(t, func(smtptest.Command) smtptest.Action { return smtptest.Action{} })
	o.worker.Client.Limiter = &limiter{until: time.Now().Add(2 * time.Second)}
	id := o.submit("ann@example.org", "bob@a.example")
	o.work()
	if got := o.row(id, "bob@a.example"); got != "delivered 1 0" {
		t.Errorf("bob: %s", got)
	}
}

// limiter refuses all until a time.
type limiter struct{ until time.Time }

func (l *limiter) Acquire(context.Context, smtpclient.Use) (smtpclient.Lease, error) {
	if time.Now().Before(l.until) {
		return nil, &smtpclient.RefusedError{Key: "all", NotBefore: l.until}
	}
	return lease{}, nil
}

type lease struct{}

func (lease) Report(smtpclient.Feedback) {}
func (lease) Release()                   {}

// What nobody takes in time goes back.
func TestExpiry(t *testing.T) {
	o := open(t, func(c smtptest.Command) smtptest.Action {
		if c.Verb == "RCPT" && strings.Contains(c.Args, "bob") {
			return smtptest.Action{Reply: "451 4.7.1 come back later"}
		}
		return smtptest.Action{}
	})
	o.worker.Expire = time.Nanosecond
	id := o.submit("ann@example.org", "bob@a.example")
	o.work()
	if got := o.row(id, "bob@a.example"); got != "expired 1 0" || o.got("", "ann@example.org") != 1 {
		t.Errorf("bob: %s; %d notices", got, o.got("", "ann@example.org"))
	}
}
