package interop

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// DovecotStore is a private Dovecot that takes mail by LMTP, on a socket and by
// TCP with STARTTLS, for the mailboxes of example.test; full@example.test is over
// its quota.
type DovecotStore struct {
	*maildirs
	Socket string // path of the socket
}

// DovecotProxied is where it wants to be told by HAProxy's protocol who connects.
const DovecotProxied = "127.0.0.2"

// StartDovecotStore starts one. An error that wraps ErrMissing says what to
// install.
func StartDovecotStore() (*DovecotStore, error) {
	program, err := find("dovecot", "dovecot-lmtpd")
	if err != nil {
		return nil, err
	}
	port, err := FreePort("127.0.0.1", DovecotProxied)
	if err != nil {
		return nil, err
	}
	dir, err := newDir("dv")
	if err != nil {
		return nil, err
	}
	d := &DovecotStore{newMaildirs(filepath.Join(dir, "mail"), port), filepath.Join(dir, "run", "lmtp")}
	if err := d.configure(dir); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	d.process, err = start(dir, filepath.Join(dir, "log"), program, "-F", "-c", filepath.Join(dir, "dovecot.conf"))
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	if err := d.waitUntil("Dovecot", d.answers); err != nil {
		d.Stop()
		return nil, err
	}
	return d, nil
}

func (d *DovecotStore) configure(dir string) error {
	if err := makeDirs(dir, "mail"); err != nil {
		return err
	}
	if err := writeCertificate("store.example.test", filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")); err != nil {
		return err
	}
	var users bytes.Buffer
	for n := range mailboxes(domains()[0]) + 1 {
		fmt.Fprintf(&users, "%s:::::::\n", mailbox(n, domains()[0]))
	}
	users.WriteString("full@example.test:::::::userdb_quota_rule=*:bytes=1\n")
	conf := strings.NewReplacer("DIR", dir, "PORT", fmt.Sprint(d.Port)).Replace(dovecotConf)
	return writeFiles(dir, map[string]string{"dovecot.conf": conf, "users": users.String()})
}

// answers asks on the socket and by TCP.
func (d *DovecotStore) answers() error {
	conn, err := net.Dial("unix", d.Socket)
	if err != nil {
		return err
	}
	conn.Close()
	return answers(d.Addr("127.0.0.1"))
}

// The quota is looked at when the mail is stored, so that the verdict comes after
// the content.
const dovecotConf = `base_dir = DIR/run
state_dir = DIR/state
log_path = DIR/log
protocols = lmtp
hostname = store.example.test
postmaster_address = postmaster@example.test
ssl = yes
ssl_cert = <DIR/cert.pem
ssl_key = <DIR/key.pem
mail_location = maildir:DIR/mail/%d/%n
mail_plugins = quota
first_valid_uid = 1
first_valid_gid = 1
plugin {
  quota = maildir:User quota
}
userdb {
  driver = passwd-file
  args = username_format=%u DIR/users
  override_fields = uid=nobody gid=nogroup home=DIR/mail/%d/%n
}
passdb {
  driver = passwd-file
  args = username_format=%u DIR/users
}
lmtp_save_to_detail_mailbox = no
haproxy_trusted_networks = 127.0.0.0/8
service lmtp {
  process_limit = 10
  unix_listener lmtp {
    mode = 0666
  }
  inet_listener lmtp {
    address = 127.0.0.1
    port = PORT
  }
  inet_listener lmtp_proxied {
    address = 127.0.0.2
    port = PORT
    haproxy = yes
  }
}
service anvil {
  chroot =
}
`
