package interop

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// maildirs is a server that stores what it takes for its domains, one file for
// each message and recipient.
type maildirs struct {
	*process
	Port uint16

	mail string // a maildir at DOMAIN/LOCAL for each address

	mu   sync.Mutex // guards used
	used map[string]int
}

func newMaildirs(mail string, port uint16) *maildirs {
	return &maildirs{Port: port, mail: mail, used: map[string]int{}}
}

// Addr is one of the server's addresses with its port, as "127.0.0.1:25".
func (m *maildirs) Addr(door string) string { return hostPort(door, m.Port) }

// mailboxes is how many there are in a domain: enough for each test to have its
// own, also when the tests run several times.
func mailboxes(domain string) int {
	if domain == domains()[0] {
		return 10_000
	}
	return 100
}

// NewMailbox gives an address in domain that nobody else uses.
func (m *maildirs) NewMailbox(domain string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used[domain]++
	if m.used[domain] > mailboxes(domain) {
		panic("interop: the mailboxes of " + domain + " are used up; raise their number")
	}
	return mailbox(m.used[domain], domain)
}

func mailbox(n int, domain string) string {
	if domain == utf8Domain {
		return fmt.Sprintf("b\u00f3x%d@%s", n, domain)
	}
	return fmt.Sprintf("box%d@%s", n, domain)
}

// Stored waits until n messages have come to an address and gives them all, as
// they lie in its files.
func (m *maildirs) Stored(address string, n int) ([][]byte, error) {
	var found [][]byte
	err := m.waitUntil(fmt.Sprintf("%d messages for %s", n, address), func() error {
		var err error
		if found, err = m.stored(address); err != nil {
			return err
		}
		if len(found) < n {
			return fmt.Errorf("%d are there", len(found))
		}
		return nil
	})
	return found, err
}

// stored gives what has come to an address so far.
func (m *maildirs) stored(address string) ([][]byte, error) {
	files, err := filepath.Glob(filepath.Join(m.mail, mailboxDir(address), "new", "*"))
	if err != nil {
		return nil, err
	}
	var found [][]byte
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		found = append(found, text)
	}
	return found, nil
}

// Drain waits, for as long as it gets less, until no message lies in the server's
// queue: a file with the bits of whole, in a folder below the server's directory.
func (m *maildirs) Drain(whole fs.FileMode, queue ...string) error {
	for left := m.queued(whole, queue); len(left) > 0; {
		err := m.waitUntil("the queue", func() error {
			before := left
			if left = m.queued(whole, queue); len(left) >= len(before) && len(left) > 0 {
				return fmt.Errorf("%d files are left: %q", len(left), left)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// queued names the files of messages that wait to be stored.
func (m *maildirs) queued(whole fs.FileMode, queue []string) (names []string) {
	for _, dir := range queue {
		filepath.WalkDir(filepath.Join(filepath.Dir(m.mail), dir), func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return nil // gone meanwhile
			}
			if strings.HasSuffix(e.Name(), "-D") || strings.HasSuffix(e.Name(), "-J") || strings.HasPrefix(e.Name(), "hdr.") {
				return nil // of Exim: what makes a message is its -H
			}
			if message, is := strings.CutSuffix(path, "-H"); is && !exists(message+"-D") {
				return nil // stored, when Exim was killed: it removes -D, then -H, then -J
			}
			if info, err := e.Info(); err == nil && info.Mode()&whole == whole {
				names = append(names, path)
			}
			return nil
		})
	}
	return names
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func mailboxDir(address string) string {
	local, domain, _ := strings.Cut(address, "@")
	return filepath.Join(domain, local)
}

// mailboxTable maps every address to a maildir of its own, in a form that Postfix
// and Exim can read. Addresses that no test should reach, because the server
// answers for them at RCPT, are there too.
func mailboxTable() string {
	var b bytes.Buffer
	for _, domain := range domains() {
		for n := range mailboxes(domain) + 1 {
			address := mailbox(n, domain)
			fmt.Fprintf(&b, "%s %s/\n", address, mailboxDir(address))
		}
		for _, local := range []string{"reject", "tempfail"} {
			fmt.Fprintf(&b, "%s@%s %s/%s/\n", local, domain, domain, local)
		}
	}
	return b.String()
}
