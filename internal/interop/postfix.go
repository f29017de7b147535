package interop

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Postfix is a private instance that stores what it takes for its domains, one
// file for each message and recipient, and sends nothing anywhere.
type Postfix struct {
	*maildirs

	dir string
}

// PostfixSettings are lines for the instance's files. DIR, PORT and DAEMONS in
// them stand for its directory, its port and the folder of its programs.
type PostfixSettings struct {
	Main   string // main.cf; they override those of the same name
	Master string // master.cf, as further doors
	Cyrus  string // sasl/smtpd.conf, which is where Debian's Postfix has Cyrus SASL look; "": none
}

// StartPostfix starts an instance. An error that wraps ErrMissing says what to
// install.
func StartPostfix() (*Postfix, error) { return StartPostfixWith(PostfixSettings{}) }

// StartPostfixWith starts an instance with settings of its own.
func StartPostfixWith(settings PostfixSettings) (*Postfix, error) {
	master, err := find("master", "postfix")
	if err != nil {
		return nil, err
	}
	control, err := find("postfix", "postfix")
	if err != nil {
		return nil, err
	}
	if os.Getuid() != 0 {
		return nil, fmt.Errorf("%w: Postfix has to be started by root", ErrMissing)
	}
	port, err := FreePort(append(doors(), Closed, Lost, Counted, Watched)...)
	if err != nil {
		return nil, err
	}
	dir, err := newDir("pf")
	if err != nil {
		return nil, err
	}
	p := &Postfix{maildirs: newMaildirs(filepath.Join(dir, "mail"), port), dir: dir}
	if err := p.configure(filepath.Dir(master), settings); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	// This makes the directories of the queue.
	if out, err := exec.Command(control, "-c", dir, "check").CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("postfix check: %w\n%s", err, out)
	}
	p.process, err = start(dir, filepath.Join(dir, "maillog"), "/bin/sh", "-c", againScript, "again", master, "-c", dir)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	if err := p.waitUntil("Postfix", p.greets); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// againScript starts a server anew whenever it ends by itself.
const againScript = `trap 'stop=yes; kill "$server"' TERM
until [ "$stop" ]; do
"$@" &
server=$!
wait "$server"
done
wait "$server"`

// Restart kills all processes at once, in the midst of what they do, and returns
// when there are new ones.
func (p *Postfix) Restart() error {
	before, err := p.master()
	if err != nil {
		return err
	}
	if err := syscall.Kill(before, syscall.SIGTERM); err != nil {
		return err
	}
	return p.waitUntil("a new Postfix", func() error {
		if now, err := p.master(); err != nil || now == before {
			return errors.New("the old one is not replaced yet")
		}
		return p.greets()
	})
}

// master gives the process that is the parent of all others.
func (p *Postfix) master() (pid int, err error) {
	text, err := os.ReadFile(filepath.Join(p.dir, "queue/pid/master.pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// Commands waits for the end of the session in which a message came, and gives
// Postfix's count of its commands, as "ehlo=1 mail=1 rcpt=1 data=1 quit=1
// commands=5".
func (p *Postfix) Commands(queueID string) (string, error) {
	var count string
	err := p.waitUntil("the end of the session of "+queueID, func() error {
		text, err := os.ReadFile(p.log)
		if err != nil {
			return err
		}
		// The same process serves one session after the other, and names
		// itself as "postfix/smtpd[4711]: ".
		begin := regexp.MustCompile(`(postfix/smtpd\[\d+\]: )` + queueID + `: client=`).FindSubmatchIndex(text)
		if begin == nil {
			return errors.New("it is not in the log")
		}
		_, rest, _ := strings.Cut(string(text[begin[1]:]), string(text[begin[2]:begin[3]])+"disconnect from ")
		line, _, ended := strings.Cut(rest, "\n")
		_, count, _ = strings.Cut(line, " ")
		if !ended {
			return errors.New("it has not ended")
		}
		return nil
	})
	return count, err
}

// greets waits for each door's greeting.
func (p *Postfix) greets() error {
	for _, door := range doors() {
		if err := answers(p.Addr(door)); err != nil {
			return err
		}
	}
	return nil
}

func answers(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return fmt.Errorf("greeting of %s: %q, %w", addr, line, err)
	}
	_, err = conn.Write([]byte("QUIT\r\n"))
	return err
}

func (p *Postfix) configure(daemons string, settings PostfixSettings) error {
	for _, d := range []string{"queue", "data"} {
		if err := os.Mkdir(filepath.Join(p.dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := chown(filepath.Join(p.dir, "data"), "postfix"); err != nil {
		return err
	}
	if err := makeDirs(p.dir, "mail"); err != nil {
		return err
	}
	if err := writeCertificate("mx.example.test", filepath.Join(p.dir, "cert.pem"), filepath.Join(p.dir, "key.pem")); err != nil {
		return err
	}
	if settings.Cyrus != "" {
		if err := os.Mkdir(filepath.Join(p.dir, "sasl"), 0o755); err != nil {
			return err
		}
		if err := writeFiles(filepath.Join(p.dir, "sasl"), map[string]string{"smtpd.conf": settings.Cyrus}); err != nil {
			return err
		}
	}
	words := strings.NewReplacer("DIR", p.dir, "PORT", fmt.Sprint(p.Port), "DAEMONS", daemons, "DOMAINS", strings.Join(domains(), ", "))
	return writeFiles(p.dir, map[string]string{
		"main.cf":   words.Replace(mainCF + settings.Main),
		"master.cf": words.Replace(masterCF + settings.Master),
		"mailboxes": mailboxTable(),
	})
}

const nobody = 65534

func chown(path, owner string) error {
	u, err := user.Lookup(owner)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	return os.Chown(path, uid, -1)
}

// Nothing may be changed on its way to the file, nothing may leave the machine,
// and a loopback client is nobody special.
const mainCF = `compatibility_level = 3.6
queue_directory = DIR/queue
data_directory = DIR/data
daemon_directory = DAEMONS
maillog_file = DIR/maillog
maillog_file_prefixes = DIR
mail_owner = postfix
setgid_group = postdrop
multi_instance_enable = no

inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.example.test
mynetworks =
mydestination =
alias_maps =
default_transport = error:no outside delivery
relay_transport = error:no outside delivery
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0

virtual_mailbox_domains = DOMAINS
virtual_mailbox_base = DIR/mail
virtual_mailbox_maps = texthash:DIR/mailboxes
virtual_minimum_uid = 1
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_mailbox_limit = 0

smtpd_tls_cert_file = DIR/cert.pem
smtpd_tls_key_file = DIR/key.pem
smtpd_tls_security_level = may
smtpd_tls_received_header = yes
smtputf8_enable = yes

message_size_limit = 0
queue_minfree = 0
in_flow_delay = 0
smtpd_recipient_limit = 1000
local_header_rewrite_clients =
message_drop_headers =
smtpd_recipient_restrictions =
  check_recipient_access inline:{{reject@example.test=550 5.1.1 no such user}, {tempfail@example.test=450 4.2.1 try later}},
  reject_unauth_destination
`

// The queue manager looks for what has come every five seconds: it leaves a message that
// somebody else has locked alone for a minute, and who was told to end may keep his lock
// until the disk has answered.
const masterCF = `
127.0.0.1:PORT inet n - n - - smtpd
127.0.0.2:PORT inet n - n - - smtpd
  -o smtpd_discard_ehlo_keywords=pipelining
127.0.0.3:PORT inet n - n - - smtpd
  -o smtpd_tls_security_level=none
127.0.0.4:PORT inet n - n - - smtpd
  -o smtpd_discard_ehlo_keywords=8bitmime,smtputf8
127.0.0.5:PORT inet n - n - - smtpd
  -o message_size_limit=10000
127.0.0.6:PORT inet n - n - - smtpd
  -o { smtpd_recipient_restrictions=check_client_access static:{450 4.7.1 come back later} }
127.0.0.7:PORT inet n - n - - smtpd
  -o smtpd_delay_reject=no
  -o { smtpd_client_restrictions=check_client_access static:{554 5.7.1 no mail from you} }
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 5 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
postlog unix-dgram n - n - 1 postlogd
`
