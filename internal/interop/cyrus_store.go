package interop

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// CyrusStore is a private Cyrus IMAP server that takes mail by LMTP, on a socket
// and by TCP, for a few users of example.test, each with a quota of 20 KiB. It
// offers IGNOREQUOTA.
type CyrusStore struct {
	*maildirs // its files lie elsewhere: use Delivered
	Socket    string
	mbpath    string // program and configuration
	conf      string
}

// cyrusUsers is how many mailboxes there are.
const cyrusUsers = 300

// StartCyrusStore starts one. An error that wraps ErrMissing says what to
// install.
func StartCyrusStore() (*CyrusStore, error) {
	program, err := find("cyrmaster", "cyrus-imapd")
	if err != nil {
		return nil, err
	}
	port, err := FreePort("127.0.0.1")
	if err != nil {
		return nil, err
	}
	dir, err := newDir("cy")
	if err != nil {
		return nil, err
	}
	c := &CyrusStore{newMaildirs("", port), filepath.Join(dir, "run", "lmtp"), "/usr/lib/cyrus/bin/mbpath", filepath.Join(dir, "imapd.conf")}
	if err := c.configure(dir); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	c.process, err = start(dir, filepath.Join(dir, "log"), program,
		"-C", c.conf, "-M", filepath.Join(dir, "cyrus.conf"), "-p", filepath.Join(dir, "run", "pid"))
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	if err := c.waitUntil("Cyrus", c.answers); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

func (c *CyrusStore) configure(dir string) error {
	owner, err := user.Lookup("cyrus")
	if err != nil {
		return fmt.Errorf("%w: %v; install it, as with: apt-get install cyrus-imapd", ErrMissing, err)
	}
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	for _, sub := range []string{"conf", "spool", "run", "sieve"} {
		path := filepath.Join(dir, sub)
		if err := os.Mkdir(path, 0o755); err != nil {
			return err
		}
		if err := os.Chown(path, uid, gid); err != nil {
			return err
		}
	}
	var users strings.Builder
	for n := range cyrusUsers + 1 {
		local, _, _ := strings.Cut(mailbox(n, "example.test"), "@")
		users.WriteString(local + " ")
	}
	fill := strings.NewReplacer("DIR", dir, "PORT", fmt.Sprint(c.Port), "USERS", users.String())
	return writeFiles(dir, map[string]string{"imapd.conf": fill.Replace(cyrusImapdConf), "cyrus.conf": fill.Replace(cyrusConf)})
}

func (c *CyrusStore) answers() error {
	conn, err := net.Dial("unix", c.Socket)
	if err != nil {
		return err
	}
	conn.Close()
	return answers(c.Addr("127.0.0.1"))
}

// Delivered gives the messages in a mailbox.
func (c *CyrusStore) Delivered(address string) ([][]byte, error) {
	local, _, _ := strings.Cut(address, "@")
	out, err := exec.Command(c.mbpath, "-C", c.conf, "user/"+local).Output()
	if err != nil {
		return nil, fmt.Errorf("mbpath: %w\n%s", err, c.logs())
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "[0-9]*."))
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

const cyrusImapdConf = `configdirectory: DIR/conf
partition-default: DIR/spool
defaultpartition: default
sieveuserhomedir: no
sievedir: DIR/sieve
admins: cyrus
servername: store.example.test
lmtpsocket: DIR/run/lmtp
idlesocket: DIR/run/idle
notifysocket: DIR/run/notify
virtdomains: off
unixhierarchysep: yes
autocreate_quota: 20
autocreate_post: 1
autocreate_users: USERS
duplicatesuppression: no
lmtp_over_quota_perm_failure: no
`

const cyrusConf = `START {
  recover cmd="/usr/lib/cyrus/bin/ctl_cyrusdb -C DIR/imapd.conf -r"
}
SERVICES {
  lmtpunix cmd="/usr/lib/cyrus/bin/lmtpd -C DIR/imapd.conf" listen="DIR/run/lmtp" prefork=0 maxchild=10
  lmtp cmd="/usr/lib/cyrus/bin/lmtpd -a -C DIR/imapd.conf" listen="127.0.0.1:PORT" prefork=0 maxchild=10
}
EVENTS {
}
`
