package interop

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// NewCyrus makes the files with which Postfix has Cyrus SASL answer for an account
// in a sasldb, and gives the settings for it.
func NewCyrus(dir string) (PostfixSettings, error) {
	program, err := find("saslpasswd2", "sasl2-bin")
	if err != nil {
		return PostfixSettings{}, err
	}
	db := filepath.Join(dir, "sasldb2")
	cmd := exec.Command(program, "-f", db, "-p", "-c", "-u", cyrusRealm, Account)
	cmd.Stdin = strings.NewReader(Password)
	if out, err := cmd.CombinedOutput(); err != nil {
		return PostfixSettings{}, fmt.Errorf("saslpasswd2: %w\n%s", err, out)
	}
	if err := os.Chmod(db, 0o644); err != nil {
		return PostfixSettings{}, err
	}
	return cyrusSettings("pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: " + db +
		"\nmech_list: PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 ANONYMOUS\n"), nil
}

const cyrusRealm = "mx.example.test"

func cyrusSettings(conf string) PostfixSettings {
	return PostfixSettings{
		Main: "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = cyrus\nsmtpd_sasl_path = smtpd\nsmtpd_sasl_security_options =\n" +
			"smtpd_sasl_local_domain = " + cyrusRealm + "\n",
		Cyrus: conf,
	}
}

// Saslauthd is an instance that asks an IMAP server about passwords, which is in
// this process and knows the account.
type Saslauthd struct {
	*process
	Settings PostfixSettings

	imap net.Listener
}

// StartSaslauthd starts an instance. An error that wraps ErrMissing says what to
// install.
func StartSaslauthd() (*Saslauthd, error) {
	program, err := find("saslauthd", "sasl2-bin")
	if err != nil {
		return nil, err
	}
	// When it ends, it ends its whole group of processes.
	alone, err := find("setsid", "util-linux")
	if err != nil {
		return nil, err
	}
	dir, err := newDir("sa")
	if err != nil {
		return nil, err
	}
	s := &Saslauthd{}
	if s.imap, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	go serveLogins(s.imap)
	_, port, _ := net.SplitHostPort(s.imap.Addr().String())
	s.Settings = cyrusSettings("pwcheck_method: saslauthd\nsaslauthd_path: " + dir + "/mux\nmech_list: PLAIN LOGIN\n")
	s.process, err = start(dir, filepath.Join(dir, "output"), alone, program, "-d", "-n", "1", "-a", "rimap", "-O", "127.0.0.1/"+port, "-m", dir)
	if err != nil {
		s.imap.Close()
		os.RemoveAll(dir)
		return nil, err
	}
	if err := s.waitUntil("saslauthd", func() error { return connects("unix", filepath.Join(dir, "mux")) }); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// Stop ends saslauthd and the IMAP server.
func (s *Saslauthd) Stop() {
	s.process.Stop()
	s.imap.Close()
}

// serveLogins is as much of IMAP as a login needs.
func serveLogins(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprint(conn, "* OK ready\r\n")
		lines := bufio.NewScanner(conn)
		for lines.Scan() {
			tag, command, _ := strings.Cut(lines.Text(), " ")
			switch command {
			case fmt.Sprintf(`LOGIN "%s" "%s"`, Account, Password):
				fmt.Fprint(conn, tag+" OK welcome\r\n")
			case "LOGOUT":
				fmt.Fprint(conn, "* BYE\r\n"+tag+" OK bye\r\n")
			default:
				fmt.Fprint(conn, tag+" NO not you\r\n")
			}
		}
		conn.Close()
	}
}
