package interop

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Sender is a private Postfix that sends: its smtp(8) and lmtp(8) are the peers
// that we compare ourselves with. It listens at one port of 127.0.0.1 and takes
// mail for the domains of its routes; what goes elsewhere, as a notice to the
// sender, is thrown away. Nothing is tried twice.
type Sender struct {
	*process
	dir     string
	door    string   // where it takes mail
	domains []string // of the routes
}

// Route is where a Sender sends the mail for a domain.
type Route struct {
	Domain   string
	Protocol string   // "smtp" or "lmtp"
	Hosts    []string // as "127.0.0.1:2525", in the order in which they are tried
	TLS      string   // security level; other than defaultLevel only if no other route has the host
	Login    string   // user:password for the hosts, under the same condition; "": none
}

// defaultLevel is the security level in senderMainCF.
const defaultLevel = "may"

// StartSender starts an instance. An error that wraps ErrMissing says what to
// install.
func StartSender(routes []Route) (*Sender, error) {
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
	port, err := FreePort("127.0.0.1")
	if err != nil {
		return nil, err
	}
	dir, err := newDir("ps")
	if err != nil {
		return nil, err
	}
	s := &Sender{dir: dir, door: hostPort("127.0.0.1", port)}
	for _, r := range routes {
		s.domains = append(s.domains, r.Domain)
	}
	if err := s.start(control, master, routes); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	if err := s.waitUntil("Postfix", func() error { return answers(s.door) }); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Sender) start(control, master string, routes []Route) error {
	if err := s.configure(filepath.Dir(master), routes); err != nil {
		return err
	}
	// This makes the directories of the queue.
	if out, err := exec.Command(control, "-c", s.dir, "check").CombinedOutput(); err != nil {
		return fmt.Errorf("postfix check: %w\n%s", err, out)
	}
	var err error
	s.process, err = start(s.dir, filepath.Join(s.dir, "maillog"), master, "-c", s.dir)
	return err
}

func (s *Sender) configure(daemons string, routes []Route) error {
	for _, d := range []string{"queue", "data"} {
		if err := os.Mkdir(filepath.Join(s.dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := chown(filepath.Join(s.dir, "data"), "postfix"); err != nil {
		return err
	}
	var transports, levels, logins strings.Builder
	for _, r := range routes {
		var hops []string
		for _, h := range r.Hosts {
			hop := nextHop(h)
			hops = append(hops, hop)
			if r.TLS != defaultLevel { // a table with a key twice is no table
				fmt.Fprintf(&levels, "%s %s\n", hop, r.TLS)
			}
			if r.Login != "" {
				fmt.Fprintf(&logins, "%s %s\n", hop, r.Login)
			}
		}
		fmt.Fprintf(&transports, "%s %s:%s\n", r.Domain, r.Protocol, strings.Join(hops, ", "))
	}
	return writeFiles(s.dir, map[string]string{
		"main.cf":    strings.NewReplacer("DIR", s.dir, "DAEMONS", daemons, "PATIENCE", patience.String()).Replace(senderMainCF),
		"master.cf":  strings.ReplaceAll(senderMasterCF, "DOOR", s.door),
		"transports": transports.String(),
		"levels":     levels.String(),
		"logins":     logins.String(),
	})
}

// nextHop is the form in which Postfix and we are told to use this address and
// look nothing up.
func nextHop(addr string) string {
	i := strings.LastIndexByte(addr, ':')
	return "[" + addr[:i] + "]" + addr[i:]
}

// Submit puts a message into the queue, from where it is sent at once.
func (s *Sender) Submit(from string, to []string, message []byte) error {
	return smtp.SendMail(s.door, nil, from, to, message)
}

// Log is what Postfix has written so far.
func (s *Sender) Log() (string, error) {
	text, err := os.ReadFile(filepath.Join(s.dir, "maillog"))
	return string(text), err
}

// Verdicts waits until there is one for each recipient, and the queue holds just
// those that are deferred.
func (s *Sender) Verdicts(recipients []string) (map[string]Verdict, error) {
	var found map[string]Verdict
	for _, r := range recipients { // each has its own time
		if _, ok := found[r]; ok {
			continue
		}
		err := s.waitUntil("a verdict for "+r, func() (err error) {
			if found, err = s.verdicts(); err != nil {
				return err
			}
			if _, ok := found[r]; !ok {
				return errors.New("the log has none")
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, s.waitUntil("the queue", func() error { return s.agrees(found) })
}

// verdicts reads the log. A second verdict for a recipient would mean that a
// message was tried again.
func (s *Sender) verdicts() (map[string]Verdict, error) {
	text, err := s.Log()
	if err != nil {
		return nil, err
	}
	found := map[string]Verdict{}
	for line := range strings.Lines(text) {
		to, v, ok := parseStatus(line)
		if !ok || !s.isOurs(to) {
			continue
		}
		if _, twice := found[to]; twice {
			return nil, fmt.Errorf("two verdicts for %s", to)
		}
		found[to] = v
	}
	return found, nil
}

func (s *Sender) isOurs(address string) bool {
	_, domain, _ := strings.Cut(address, "@")
	return slices.Contains(s.domains, domain)
}

// agrees compares what the log says with what the queue holds.
func (s *Sender) agrees(verdicts map[string]Verdict) error {
	queued, err := s.queued()
	if err != nil {
		return err
	}
	for to, v := range verdicts {
		if deferred := v.Status == "deferred"; deferred != slices.Contains(queued, to) {
			return fmt.Errorf("%s is %s, but queued: %v", to, v.Status, !deferred)
		}
	}
	return nil
}

// queued lists the recipients of the routes whose messages are in the queue.
func (s *Sender) queued() ([]string, error) {
	program, err := find("postqueue", "postfix")
	if err != nil {
		return nil, err
	}
	out, err := exec.Command(program, "-c", s.dir, "-j").Output()
	if err != nil {
		return nil, fmt.Errorf("postqueue: %w", err)
	}
	var all []string
	entries := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var entry struct {
			Recipients []struct{ Address string }
		}
		if err := entries.Decode(&entry); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("postqueue: %w", err)
		}
		for _, r := range entry.Recipients {
			if s.isOurs(r.Address) {
				all = append(all, r.Address)
			}
		}
	}
}

// patience is how long both sides wait for a server that says nothing. It has to
// be longer than a loaded machine may need for a reply.
const patience = 8 * time.Second

// What was deferred stays so: the queue is not looked at again.
const senderMainCF = `compatibility_level = 3.6
queue_directory = DIR/queue
data_directory = DIR/data
daemon_directory = DAEMONS
maillog_file = DIR/maillog
maillog_file_prefixes = DIR
mail_owner = postfix
setgid_group = postdrop
multi_instance_enable = no
syslog_name = postfix

inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = client.example.org
mydestination =
alias_maps =
notify_classes =
mynetworks = 127.0.0.1/32
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
message_size_limit = 0
mailbox_size_limit = 0
queue_minfree = 0
in_flow_delay = 0

default_transport = discard:
relay_transport = discard:
transport_maps = texthash:DIR/transports
default_process_limit = 50
queue_run_delay = 1h
minimal_backoff_time = 1h
maximal_backoff_time = 2h

smtp_tls_security_level = may
smtp_tls_policy_maps = texthash:DIR/levels
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = texthash:DIR/logins
smtp_sasl_security_options = noanonymous
smtp_send_xforward_command = yes
smtp_connection_cache_on_demand = no
smtp_connect_timeout = PATIENCE
smtp_helo_timeout = PATIENCE
smtp_starttls_timeout = PATIENCE
smtp_mail_timeout = PATIENCE
smtp_rcpt_timeout = PATIENCE
smtp_data_init_timeout = PATIENCE
smtp_data_xfer_timeout = PATIENCE
smtp_data_done_timeout = PATIENCE
smtp_rset_timeout = PATIENCE
smtp_quit_timeout = PATIENCE
lmtp_connection_cache_on_demand = no
lmtp_connect_timeout = PATIENCE
lmtp_lhlo_timeout = PATIENCE
lmtp_mail_timeout = PATIENCE
lmtp_rcpt_timeout = PATIENCE
lmtp_data_init_timeout = PATIENCE
lmtp_data_xfer_timeout = PATIENCE
lmtp_data_done_timeout = PATIENCE
lmtp_rset_timeout = PATIENCE
lmtp_quit_timeout = PATIENCE
`

const senderMasterCF = `
DOOR inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
showq unix n - n - - showq
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
postlog unix-dgram n - n - 1 postlogd
`
