package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// OpenSMTPD is a private instance that stores what it takes for example.test, one
// file for each message and recipient, and sends nothing anywhere. It offers neither
// PIPELINING nor STARTTLS: TLS does not work in the one of Debian 12.
type OpenSMTPD struct {
	*maildirs

	dir string
}

// StartOpenSMTPD starts an instance. An error that wraps ErrMissing says what to
// unpack.
func StartOpenSMTPD() (*OpenSMTPD, error) {
	chroot, err := find("chroot", "coreutils")
	if err != nil {
		return nil, err
	}
	dir, err := newRoot("os", "opensmtpd")
	if err != nil {
		return nil, err
	}
	o, err := newOpenSMTPD(dir)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	o.process, err = start(dir, filepath.Join(dir, "output"), "/bin/sh", "-c", againScript, "again", chroot, dir, "/usr/sbin/smtpd", "-d", "-f", "/smtpd.conf")
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	if err := o.waitUntil("OpenSMTPD", func() error { return answers(o.Addr(OpenSMTPDFull)) }); err != nil {
		o.Stop()
		return nil, err
	}
	return o, nil
}

// Restart kills all processes at once, in the midst of what they do, and returns
// when there is a new daemon, which goes on with the queue.
func (o *OpenSMTPD) Restart() error {
	if err := killWithin(o.dir); err != nil {
		return err
	}
	return o.waitUntil("a new OpenSMTPD", func() error { return answers(o.Addr(OpenSMTPDFull)) })
}

// newOpenSMTPD chooses the port and makes all files.
func newOpenSMTPD(dir string) (*OpenSMTPD, error) {
	port, err := FreePort(OpenSMTPDFull, Watched)
	if err != nil {
		return nil, err
	}
	if err := makeDirs(dir, "mail"); err != nil {
		return nil, err
	}
	// Those that the package's scripts would make. The spool must be the
	// superuser's and closed to others.
	for _, d := range []string{"var/spool/smtpd", "var/run"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.Chmod(filepath.Join(dir, "var/spool/smtpd"), 0o711); err != nil {
		return nil, err
	}
	conf := strings.NewReplacer("PORT", fmt.Sprint(port), "ADDRESS", OpenSMTPDFull).Replace(smtpdConf)
	return &OpenSMTPD{maildirs: newMaildirs(filepath.Join(dir, "mail"), port), dir: dir}, writeFiles(dir, map[string]string{"smtpd.conf": conf})
}

const smtpdConf = `table users { "@" = "nobody" }
listen on ADDRESS port PORT hostname mx.example.test
action "store" maildir "/mail/%{rcpt.domain}/%{rcpt.user}" virtual <users>
match from any for domain "example.test" action "store"
`
