package interop

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
)

// The account that every server with AUTH has, and a token for it.
const (
	Account  = "user"
	Password = "pencil-3Vb7-interop"
	Token    = "ya29.token-4kWz"
)

// Dovecot is an instance that only answers for the accounts of Postfix: its SASL
// service. Tokens it has looked up by HTTP, from a server in this process.
type Dovecot struct {
	*process
	Socket string // for smtpd_sasl_path

	tokens *httptest.Server
}

// StartDovecot starts an instance. An error that wraps ErrMissing says what to
// install.
func StartDovecot() (*Dovecot, error) {
	program, err := find("dovecot", "dovecot-core")
	if err != nil {
		return nil, err
	}
	if os.Getuid() != 0 {
		return nil, fmt.Errorf("%w: Dovecot has to be started by root", ErrMissing)
	}
	dir, err := newDir("dc")
	if err != nil {
		return nil, err
	}
	d := &Dovecot{Socket: filepath.Join(dir, "auth"), tokens: httptest.NewServer(http.HandlerFunc(introspect))}
	words := strings.NewReplacer("DIR", dir, "URL", d.tokens.URL)
	err = writeFiles(dir, map[string]string{
		"dovecot.conf": words.Replace(dovecotAuthConf),
		"oauth2.conf":  words.Replace(dovecotOAuth2),
		"users":        Account + ":{PLAIN}" + Password + "\n",
	})
	if err == nil {
		d.process, err = start(dir, filepath.Join(dir, "log"), program, "-F", "-c", filepath.Join(dir, "dovecot.conf"))
	}
	if err != nil {
		d.tokens.Close()
		os.RemoveAll(dir)
		return nil, err
	}
	if err := d.waitUntil("Dovecot", func() error { return connects("unix", d.Socket) }); err != nil {
		d.Stop()
		return nil, err
	}
	return d, nil
}

// Stop ends Dovecot and what answers for its tokens.
func (d *Dovecot) Stop() {
	d.process.Stop()
	d.tokens.Close()
}

func connects(network, addr string) error {
	conn, err := net.Dial(network, addr)
	if err == nil {
		conn.Close()
	}
	return err
}

// introspect is RFC 7662 for one token.
func introspect(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.FormValue("token") != Token && r.Header.Get("Authorization") != "Bearer "+Token {
		fmt.Fprint(w, `{"active":false}`)
		return
	}
	fmt.Fprintf(w, `{"active":true,"username":%q}`, Account)
}

const dovecotAuthConf = `protocols =
base_dir = DIR/run
state_dir = DIR/state
log_path = DIR/log
auth_verbose = yes
ssl = no
disable_plaintext_auth = no
auth_failure_delay = 0
auth_mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256 xoauth2 oauthbearer anonymous
passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = DIR/oauth2.conf
}
passdb {
  driver = passwd-file
  args = DIR/users
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}
service auth {
  unix_listener DIR/auth {
    mode = 0666
  }
}
# The listener for penalties is off: they would hold up who tells a wrong password.
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service stats {
  unix_listener stats-writer {
    mode = 0666
  }
}
`

const dovecotOAuth2 = `introspection_mode = post
introspection_url = URL/
username_attribute = username
active_attribute = active
active_value = true
`

// rootsOf gives the certificate of a server, which has signed itself.
func rootsOf(certFile string) (*x509.CertPool, error) {
	text, err := os.ReadFile(certFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate", certFile)
	}
	return roots, nil
}
