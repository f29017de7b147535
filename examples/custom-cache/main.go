// Custom-cache keeps what was learned of domains and servers in files, so that a
// program which runs for a moment, again and again, need not find it out each time.
// Its second run here asks no DNS server.
//
//	go run ./examples/custom-cache
package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/resolve/dnstest"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/smtpclient/smtptest"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "custom-cache:", err)
		os.Exit(1)
	}
}

// folder is a cache.Cache: a file for each key, with the time when it ends in its first
// eight bytes. The rules of cache.Cache are checked by cachetest. Who can write to the
// folder is believed as the DNS is: see cache.Seal.
type folder string

const year = 365 * 24 * time.Hour // a value may go early, and a ttl may be longer than there is time

// Get implements cache.Cache.
func (f folder) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	entry, err := os.ReadFile(f.file(key))
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entry) < 8 {
		return nil, false, nil // a missing key is no error
	}
	if err != nil {
		return nil, false, err
	}
	if end := int64(binary.BigEndian.Uint64(entry)); time.Now().UnixNano() >= end {
		return nil, false, nil
	}
	return entry[8:], true, nil
}

// Set implements cache.Cache. Others may read meanwhile: the file is there as a whole
// or not at all.
func (f folder) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if ttl <= 0 {
		return f.Delete(ctx, key)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	temp, err := os.CreateTemp(string(f), "new")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // in vain where all is well
	end := time.Now().Add(min(ttl, year)).UnixNano()
	_, err = temp.Write(append(binary.BigEndian.AppendUint64(nil, uint64(end)), value...))
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), f.file(key))
}

// Delete implements cache.Cache.
func (f folder) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.Remove(f.file(key)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// file is where a key is. Keys have up to 250 bytes, in which the case of a letter
// counts and a slash is good, so that they are no names of files.
func (f folder) file(key string) string {
	return filepath.Join(string(f), fmt.Sprintf("%x", sha256.Sum256([]byte(key))))
}

func run(ctx context.Context, out io.Writer) error {
	server := &smtptest.Server{}
	defer server.Close()
	addr, err := server.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	names := &dnstest.Server{Zones: []dnstest.Zone{{Text: "$ORIGIN example.net.\n@ MX 10 mx\nmx A 127.0.0.1\n"}}}
	defer names.Close()
	dir, err := os.MkdirTemp("", "cache")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	dns := &resolve.DNS{Servers: []string{"127.0.0.1:53"}, DialContext: names.DialContext}
	for range 2 { // as if the program were started twice
		client := &smtpclient.Client{
			Cache:    folder(dir),
			Resolver: dns,
			Routing:  resolve.Routing{Local: true, Port: addr.(*net.TCPAddr).AddrPort().Port()},
		}
		report, err := client.Deliver(ctx, smtpclient.Envelope{
			From: "ann@example.org",
			To:   smtpclient.To("bob@example.net"),
		}, smtpclient.Bytes([]byte("Subject: Hello\r\n\r\nHello.\r\n")))
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%v; the DNS was asked %d times so far\n", report.Outcomes[0].Status, len(names.Questions()))
	}
	return nil
}
