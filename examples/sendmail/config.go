package main

import (
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/postrider/postrider/resolve"
	"github.com/postrider/postrider/smtpclient"
	"github.com/postrider/postrider/tlspolicy"
)

// config is the file, by the names of ssmtp.conf.
type config struct {
	hub            string // mailhub
	user, password string // AuthUser, AuthPass
	tls, starttls  bool   // UseTLS, UseSTARTTLS
	ca             string // TLS_CA_File
	host           string // Hostname: ours in EHLO
	domain         string // RewriteDomain: of names without one
	root           string // Root: who reads the mail of system users
	roots          *x509.CertPool
}

// readConfig reads the file; the flags have the last word.
func readConfig(f *flags) (*config, error) {
	file, err := os.Open(f.conf)
	if err != nil {
		return nil, &fault{exConf, fmt.Sprintf("no configuration: %v; write a file with mailhub=HOST:PORT and name it in SENDMAIL_CONF", err)}
	}
	defer file.Close()
	c := new(config)
	if err := c.read(file); err != nil {
		return nil, &fault{exConf, f.conf + ": " + err.Error()}
	}
	if f.user != "" {
		c.user = f.user
	}
	if f.password != "" {
		c.password = f.password
	}
	return c, nil
}

func (c *config) read(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	c.host, _ = os.Hostname()
	fields := map[string]*string{"mailhub": &c.hub, "authuser": &c.user, "authpass": &c.password,
		"tls_ca_file": &c.ca, "hostname": &c.host, "rewritedomain": &c.domain, "root": &c.root}
	switches := map[string]*bool{"usetls": &c.tls, "usestarttls": &c.starttls,
		"debug": new(bool), "fromlineoverride": new(bool)} // of ssmtp, without a meaning here
	for number, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		name, value, _ := strings.Cut(line, "=")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		switch {
		case fields[name] != nil:
			*fields[name] = value
		case switches[name] != nil:
			*switches[name] = strings.EqualFold(value, "yes") || strings.EqualFold(value, "on")
		default:
			return fmt.Errorf("line %d: %q is not known here", number+1, name)
		}
	}
	return c.check()
}

func (c *config) check() error {
	if c.hub == "" {
		return fmt.Errorf("mailhub is missing")
	}
	if c.domain == "" {
		c.domain = c.host
	}
	if host, port, err := net.SplitHostPort(c.hub); err == nil {
		c.hub = "[" + host + "]:" + port
	} else {
		c.hub = "[" + c.hub + "]:" + strconv.Itoa(c.port())
	}
	if _, err := resolve.ParseNextHop(c.hub); err != nil {
		return fmt.Errorf("mailhub: %w", err)
	}
	if c.ca == "" {
		return nil
	}
	text, err := os.ReadFile(c.ca)
	if c.roots = x509.NewCertPool(); err == nil && !c.roots.AppendCertsFromPEM(text) {
		err = fmt.Errorf("no certificates in %s", c.ca)
	}
	return err
}

// port is that of a mailhub that names none.
func (c *config) port() int {
	switch {
	case c.tls && !c.starttls:
		return 465
	case c.user != "":
		return 587
	}
	return 25
}

// client is one for the mailhub. Where TLS is asked for, or a password is shown, the
// server has to prove its name.
func (c *config) client() *smtpclient.Client {
	client := &smtpclient.Client{NextHops: []string{c.hub}, LocalName: c.host}
	if c.user != "" {
		client.Auth = &smtpclient.Credential{User: c.user, Password: c.password}
	}
	if c.user != "" || c.tls || c.starttls {
		client.TLS = tlspolicy.Policy{Level: tlspolicy.Secure, Implicit: c.tls && !c.starttls, Roots: c.roots}
	}
	return client
}

// complete gives a sender a domain.
func (c *config) complete(name string) string {
	if name == "" || name == "<>" || strings.Contains(name, "@") {
		return name
	}
	return name + "@" + c.domain
}

// mailbox is where a recipient reads mail: for a system user without a domain that
// is Root, if there is one.
func (c *config) mailbox(name string) string {
	if c.root != "" && !strings.Contains(name, "@") {
		if u, err := user.Lookup(name); err == nil {
			if id, err := strconv.Atoi(u.Uid); err == nil && id < 1000 {
				return c.complete(c.root)
			}
		}
	}
	return c.complete(name)
}
