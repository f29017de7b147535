package boltcache_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/cache"
	"github.com/postrider/postrider/cache/boltcache"
	"github.com/postrider/postrider/cache/cachetest"
	"go.etcd.io/bbolt"
)

// TestMain is also the process that is killed; see TestSurvivesKill.
func TestMain(m *testing.M) {
	if path := os.Getenv("BOLTCACHE_WRITER"); path != "" {
		write(path)
		return
	}
	os.Exit(m.Run())
}

func open(t testing.TB, path string) *bbolt.DB {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestRules(t *testing.T) {
	cachetest.Test(t, func(t *testing.T) cache.Cache {
		db := open(t, filepath.Join(t.TempDir(), "cache.db"))
		db.NoSync = true // no machine dies in this test
		return &boltcache.Cache{DB: db}
	})
}

// What was kept is there after a restart; what has expired meanwhile is not.
func TestReopened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cache.db")
	db := open(t, path)
	c := &boltcache.Cache{DB: db}
	c.Set(t.Context(), "policy", []byte("enforce"), time.Hour)
	c.Set(t.Context(), "short", []byte("gone"), time.Nanosecond)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	c = &boltcache.Cache{DB: open(t, path)}
	if v, ok, err := c.Get(t.Context(), "policy"); string(v) != "enforce" || !ok || err != nil {
		t.Errorf("after a restart: %q, %v, %v", v, ok, err)
	}
	if v, ok, _ := c.Get(t.Context(), "short"); ok {
		t.Errorf("what had expired is back: %q", v)
	}
}

// The file keeps no more than it was told, and drops first what would expire
// first.
func TestMaxEntries(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "cache.db"))
	db.NoSync = true
	c := &boltcache.Cache{DB: db, MaxEntries: 10}
	for i := range 50 {
		if err := c.Set(t.Context(), fmt.Sprint(i), []byte("v"), time.Duration(i+1)*time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 50 {
		if _, ok, _ := c.Get(t.Context(), fmt.Sprint(i)); ok != (i >= 40) {
			t.Errorf("key %d is there: %v", i, ok)
		}
	}
}

// Expired values do not fill the file: each Set removes some.
func TestExpiredAreRemoved(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "cache.db"))
	db.NoSync = true
	c := &boltcache.Cache{DB: db}
	for i := range 100 {
		c.Set(t.Context(), fmt.Sprint("old", i), []byte("v"), time.Nanosecond)
	}
	for i := range 10 {
		c.Set(t.Context(), fmt.Sprint("new", i), []byte("v"), time.Hour)
	}
	left := 0
	db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("postrider")).Bucket([]byte("values")).ForEach(func(_, _ []byte) error { left++; return nil })
	})
	if left != 10 {
		t.Errorf("%d values in the file, want the 10 that live", left)
	}
}

// A closed database is an error, not a panic and not a value.
func TestClosed(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "cache.db"))
	db.Close()
	c := &boltcache.Cache{DB: db}
	if _, ok, err := c.Get(t.Context(), "k"); ok || err == nil {
		t.Errorf("Get: %v, %v", ok, err)
	}
	if err := c.Set(t.Context(), "k", nil, time.Hour); err == nil {
		t.Error("Set: no error")
	}
}

// write sets numbers until it is killed, and says which ones were accepted.
func write(path string) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: 10 * time.Second})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	c := &boltcache.Cache{DB: db}
	for i := 0; ; i++ {
		if err := c.Set(context.Background(), fmt.Sprint(i), []byte(fmt.Sprint("value ", i)), time.Hour); err != nil {
			fmt.Println("error", err)
			return
		}
		fmt.Println(i)
	}
}

// A process that is killed while it writes loses nothing that Set accepted, and
// leaves a file that works.
func TestSurvivesKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cache.db")
	for round := range 5 {
		accepted := killWriter(t, path, 20+round*17)
		db := open(t, path)
		c := &boltcache.Cache{DB: db}
		for i := range accepted + 1 {
			if v, ok, err := c.Get(t.Context(), fmt.Sprint(i)); string(v) != fmt.Sprint("value ", i) || !ok || err != nil {
				t.Errorf("round %d: key %d: %q, %v, %v", round, i, v, ok, err)
			}
		}
		if err := c.Set(t.Context(), "after", []byte("v"), time.Minute); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		for err := range check(db) {
			t.Errorf("round %d: %v", round, err)
		}
		db.Close()
	}
}

// check is bbolt's own check of a file.
func check(db *bbolt.DB) <-chan error {
	errs := make(chan error, 1000)
	defer close(errs)
	db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			errs <- err
		}
		return nil
	})
	return errs
}

// killWriter lets another process write and kills it after it said so many
// times that a value was accepted. It gives the last one.
func killWriter(t *testing.T, path string, lines int) (last int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "BOLTCACHE_WRITER="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := bufio.NewScanner(out)
	for range lines {
		if !read.Scan() {
			break
		}
		if last, err = strconv.Atoi(strings.TrimSpace(read.Text())); err != nil {
			t.Fatal(read.Text())
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for read.Scan() { // what it said before it died
		if n, err := strconv.Atoi(strings.TrimSpace(read.Text())); err == nil {
			last = n
		}
	}
	cmd.Wait()
	return last
}
