package interop

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Exim is a private instance, run by nobody, that stores what it takes for its
// domains, one file for each message and recipient, and sends nothing anywhere.
type Exim struct {
	*maildirs
	TLSPort uint16 // where TLS comes before the greeting

	dir string
}

// EximSettings are lines for the instance's file.
type EximSettings struct {
	Runs string // how often the queue is looked at, as "1s"; "": once an hour
	Main string // the main section
	ACL  string // further access control lists, each with its name
	// Early are the hosts that it offers PIPECONNECT. "": all.
	Early string
}

// StartExim starts an instance. An error that wraps ErrMissing says what to
// unpack.
func StartExim() (*Exim, error) { return StartEximWith(EximSettings{}) }

// StartEximWith starts an instance with settings of its own.
func StartEximWith(settings EximSettings) (*Exim, error) {
	chroot, err := find("chroot", "coreutils")
	if err != nil {
		return nil, err
	}
	dir, err := newRoot("ex", "exim4-daemon-heavy")
	if err != nil {
		return nil, err
	}
	e, err := newExim(dir, settings)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	e.process, err = start(dir, filepath.Join(dir, "log/mainlog"),
		"/bin/sh", "-c", againScript, "again", chroot, fmt.Sprintf("--userspec=%d:%d", nobody, nobody), "--groups=", dir, "/usr/sbin/exim4", "-C", "/exim.conf", "-bdf", "-q"+cmp.Or(settings.Runs, "1h"))
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	if err := e.waitUntil("Exim", func() error { return answers(e.Addr(EximFull)) }); err != nil {
		e.Stop()
		return nil, err
	}
	return e, nil
}

// Restart kills all processes at once, in the midst of what they do, and returns
// when there is a new daemon, which looks at the queue first.
func (e *Exim) Restart() error {
	if err := killWithin(e.dir); err != nil {
		return err
	}
	return e.waitUntil("a new Exim", func() error { return answers(e.Addr(EximFull)) })
}

// newExim chooses the ports and writes all files.
func newExim(dir string, settings EximSettings) (*Exim, error) {
	port, tlsPort, err := twoFreePorts(EximFull, Watched)
	if err != nil {
		return nil, err
	}
	e := &Exim{maildirs: newMaildirs(filepath.Join(dir, "mail"), port), TLSPort: tlsPort, dir: dir}
	if err := makeDirs(dir, "mail", "spool", "log"); err != nil {
		return nil, err
	}
	key := filepath.Join(dir, "key.pem")
	if err := writeCertificate("mx.example.test", filepath.Join(dir, "cert.pem"), key); err != nil {
		return nil, err
	}
	for _, file := range []string{"cert.pem", "key.pem"} {
		if err := os.Chown(filepath.Join(dir, file), nobody, nobody); err != nil {
			return nil, err
		}
	}
	conf := strings.NewReplacer("TLSPORT", fmt.Sprint(tlsPort), "PORT", fmt.Sprint(port), "ADDRESS", EximFull,
		"DOMAINS", strings.Join(domains(), " : "), "MAINLINES", settings.Main, "EARLYHOSTS", cmp.Or(settings.Early, "*"), "ACLLINES", settings.ACL).Replace(eximConf)
	return e, writeFiles(dir, map[string]string{"exim.conf": conf, "mailboxes": mailboxTable()})
}

func twoFreePorts(addrs ...string) (first, second uint16, err error) {
	if first, err = FreePort(addrs...); err != nil {
		return 0, 0, err
	}
	second, err = FreePort(addrs...)
	return first, second, err
}

// Shown lays down the certificates that are shown to those who ask for a name.
func (e *Exim) Shown(certificates map[string]*Certificate) error {
	if err := os.Mkdir(filepath.Join(e.dir, "tls"), 0o755); err != nil {
		return err
	}
	var files, keys strings.Builder
	for name, c := range certificates {
		for kind, text := range map[string][]byte{"cert": c.Chain, "key": c.Key} {
			file := filepath.Join(e.dir, "tls", name+"."+kind)
			if err := os.WriteFile(file, text, 0o600); err != nil {
				return err
			}
			if err := os.Chown(file, nobody, nobody); err != nil {
				return err
			}
		}
		fmt.Fprintf(&files, "%s: /tls/%s.cert\n", name, name)
		fmt.Fprintf(&keys, "%s: /tls/%s.key\n", name, name)
	}
	return writeFiles(filepath.Join(e.dir, "tls"), map[string]string{"certificates": files.String(), "keys": keys.String()})
}

// Exim takes part of an address for a file's name only from what it has looked up.
// It prints a sender and recipients of a message in its log, which is how tests see
// what it was told.
const eximConf = `exim_user = nobody
exim_group = nogroup
primary_hostname = mx.example.test
deliver_drop_privilege = true
keep_environment =
spool_directory = /spool
log_file_path = /log/%slog
log_selector = +all
pid_file_path = /spool/exim.pid
local_interfaces = ADDRESS
daemon_smtp_ports = PORT : TLSPORT
tls_on_connect_ports = TLSPORT
tls_advertise_hosts = *
tls_certificate = ${if exists{/tls/certificates}{${lookup{$tls_in_sni}lsearch{/tls/certificates}{$value}{/cert.pem}}}{/cert.pem}}
tls_privatekey = ${if exists{/tls/keys}{${lookup{$tls_in_sni}lsearch{/tls/keys}{$value}{/key.pem}}}{/key.pem}}
smtputf8_advertise_hosts = *
dsn_advertise_hosts = *
chunking_advertise_hosts = *
pipelining_connect_advertise_hosts = EARLYHOSTS
prdr_enable = true
host_lookup =
smtp_accept_max = 0
domainlist mine = DOMAINS
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = acl_data
MAINLINES

begin acl
acl_rcpt:
  defer  local_parts = tempfail
         message = 4.2.1 try later
  deny   local_parts = reject
         message = 5.1.1 no such user
  require domains = +mine
         message = 5.7.1 no relaying
  accept
acl_data:
  accept
ACLLINES

begin routers
mailbox:
  driver = accept
  domains = +mine
  address_data = ${lookup{$local_part@$domain}lsearch{/mailboxes}{$value}fail}
  transport = files

begin transports
files:
  driver = appendfile
  directory = /mail/$address_data
  maildir_format

begin authenticators
PLAIN:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if and{{eq{$auth2}{user}}{eq{$auth3}{` + Password + `}}}}
  server_set_id = $auth2
LOGIN:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${if and{{eq{$auth1}{user}}{eq{$auth2}{` + Password + `}}}}
  server_set_id = $auth1
CRAM:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${if eq{$auth1}{user}{` + Password + `}fail}
  server_set_id = $auth1
`
