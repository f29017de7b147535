package tlspolicy

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/address"
)

// attributes are those of one line, while it is read.
type attributes struct {
	entry
	files  fs.FS
	seen   map[string]bool
	grade  string
	except []string
	anchor []byte // all of tafile, as PEM
}

// setters are the attributes of Postfix's policy table. Those in repeatable may
// stand more than once.
var setters = map[string]func(a *attributes, value string) error{
	"ciphers":          func(a *attributes, v string) error { a.grade = v; return nil },
	"protocols":        (*attributes).protocols,
	"servername":       (*attributes).serverName,
	"exclude":          func(a *attributes, v string) error { a.except = words(v); return nil },
	"match":            (*attributes).match,
	"tafile":           (*attributes).trustAnchors,
	"connection_reuse": (*attributes).reuse,
	"enable_rpk":       (*attributes).rawKeys,
	"policy_ttl":       (*attributes).ttl,
	"policy_type":      (*attributes).policyType,
	"policy_domain":    (*attributes).policyDomain,
	"policy_string":    (*attributes).policyString,
	"mx_host_pattern":  (*attributes).hostPattern,
	"policy_failure":   (*attributes).policyFailure,
}

var repeatable = []string{"match", "tafile", "policy_string", "mx_host_pattern"}

// parseEntry reads a level and its attributes.
func parseEntry(level piece, rest []piece, files fs.FS) (Source, error) {
	a := &attributes{files: files, seen: make(map[string]bool)}
	var err error
	if a.policy.Level, err = ParseLevel(level.text); err != nil {
		return nil, level.fault(err)
	}
	for _, word := range rest {
		if err := a.set(word.text); err != nil {
			return nil, word.fault(err)
		}
	}
	if err := a.finish(); err != nil {
		return nil, level.fault(err)
	}
	return a.entry, nil
}

// set carries out "name=value".
func (a *attributes) set(word string) error {
	name, value, ok := strings.Cut(word, "=")
	set := setters[name]
	switch {
	case !ok:
		return fmt.Errorf("%q is not name=value", word)
	case set == nil:
		return fmt.Errorf("unknown attribute %q", name)
	case value == "":
		return fmt.Errorf("%s is empty", name)
	case a.seen[name] && !slices.Contains(repeatable, name):
		return fmt.Errorf("%s stands here for the second time", name)
	}
	a.seen[name] = true
	if err := set(a, value); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// finish checks what several attributes make together.
func (a *attributes) finish() error {
	p := &a.policy
	switch {
	case p.Level == Fingerprint && len(p.Fingerprints) == 0:
		return errors.New("level fingerprint needs match=DIGEST")
	case (a.seen["policy_domain"] || a.seen["policy_string"] || a.seen["mx_host_pattern"] || a.seen["policy_failure"]) && !a.seen["policy_type"]:
		return errors.New("policy_domain, policy_string, mx_host_pattern and policy_failure need policy_type")
	}
	if a.anchor != nil {
		p.Roots = x509.NewCertPool()
		p.Roots.AppendCertsFromPEM(a.anchor)
		p.rootsName = fmt.Sprintf("%x", sha256.Sum256(a.anchor))
	}
	if a.grade == "" && a.except == nil {
		return nil
	}
	var err error
	if p.Ciphers = p.CipherSuites(); p.Ciphers == nil {
		p.Ciphers = goodCiphers()
	}
	if a.grade != "" {
		if p.Ciphers, err = cipherGrade(a.grade); err != nil {
			return fmt.Errorf("ciphers: %w", err)
		}
	}
	if p.Ciphers, err = excludeCiphers(p.Ciphers, a.except); err != nil {
		return fmt.Errorf("exclude: %w", err)
	}
	return nil
}

// words splits a list as Postfix does inside an attribute.
func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(":, \t", r) })
}

// protocols reads the versions. The floor of the level stays where the lowest one is
// not named: "!SSLv3" is no wish for TLS 1.0.
func (a *attributes) protocols(value string) error {
	p, list := &a.policy, words(value)
	var err error
	if p.MinVersion, p.MaxVersion, err = protocolRange(list); err != nil {
		return err
	}
	names := func(word string) bool { return !strings.HasPrefix(word, "!") && !strings.HasPrefix(word, "<=") }
	if p.Level.Mandatory() && !slices.ContainsFunc(list, names) {
		p.MinVersion = max(p.MinVersion, tls.VersionTLS12)
	}
	if p.MinVersion > p.MaxVersion {
		return fmt.Errorf("level %v has TLS 1.2 at least; name the lowest version if that is wanted, as >=TLSv1", p.Level)
	}
	return nil
}

func (a *attributes) serverName(value string) error {
	name, err := namePattern(value)
	if err == nil && (strings.HasPrefix(name, ".") || name == "dot-nexthop") {
		err = fmt.Errorf("%q is no host name", value)
	}
	a.policy.ServerName = name
	return err
}

// namePattern brings a pattern of Policy.Names to A-labels.
func namePattern(s string) (string, error) {
	switch s {
	case "hostname", "nexthop", "dot-nexthop":
		return s, nil
	}
	parent, below := strings.CutPrefix(s, ".")
	name, err := address.Domain(parent)
	if below {
		name = "." + name
	}
	return name, err
}

func (a *attributes) match(value string) error {
	switch a.policy.Level {
	case Fingerprint:
		for digest := range strings.SplitSeq(value, "|") {
			if err := checkDigest(digest); err != nil {
				return err
			}
			a.policy.Fingerprints = append(a.policy.Fingerprints, plainDigest(digest))
		}
		return nil
	case Verify, Secure:
		for pattern := range strings.SplitSeq(value, ":") {
			name, err := namePattern(strings.TrimSpace(pattern))
			if err != nil {
				return err
			}
			a.policy.Names = append(a.policy.Names, name)
		}
		return nil
	}
	return fmt.Errorf("it is for levels fingerprint, verify and secure, not %v", a.policy.Level)
}

// checkDigest refuses what cannot be a SHA-256 in hex.
func checkDigest(s string) error {
	b, err := hex.DecodeString(plainDigest(s))
	if err != nil || len(b) != sha256.Size {
		return fmt.Errorf("%q is not a SHA-256 in hex, which has 64 digits; MD5 and SHA-1 are not taken", s)
	}
	return nil
}

func (a *attributes) trustAnchors(value string) error {
	if a.policy.Level != Verify && a.policy.Level != Secure {
		return fmt.Errorf("it is for levels verify and secure, not %v", a.policy.Level)
	}
	if a.files == nil {
		return errors.New("there are no files to read it from")
	}
	text, err := fs.ReadFile(a.files, value)
	if err != nil {
		return err
	}
	found := 0
	for rest := text; ; found++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("%s has a %q; only certificates can be trust anchors here", value, block.Type)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("%s: %w", value, err)
		}
	}
	if found == 0 {
		return fmt.Errorf("%s has no certificate in PEM", value)
	}
	a.anchor = append(append(a.anchor, text...), '\n')
	return nil
}

func (a *attributes) reuse(value string) (err error) {
	yes, err := yesNo(value)
	a.policy.NoReuse = !yes
	return err
}

func (a *attributes) rawKeys(value string) error {
	yes, err := yesNo(value)
	if err == nil && yes {
		err = errors.New("crypto/tls has no raw public keys (RFC 7250); say no")
	}
	return err
}

func yesNo(value string) (bool, error) {
	if value != "yes" && value != "no" {
		return false, fmt.Errorf("it takes yes or no, not %q", value)
	}
	return value == "yes", nil
}

// ttl is deprecated, and does nothing in Postfix either.
func (a *attributes) ttl(value string) error {
	if _, err := strconv.ParseUint(value, 10, 32); err != nil {
		return fmt.Errorf("%q is no number of seconds", value)
	}
	return nil
}

func (a *attributes) policyType(value string) error {
	switch value {
	case "sts":
		a.policy.Published.Type = "sts"
	case "no-policy-found":
	default:
		return fmt.Errorf("it takes sts or no-policy-found, not %q", value)
	}
	return nil
}

func (a *attributes) policyDomain(value string) (err error) {
	a.policy.Published.Domain, err = address.Domain(value)
	return err
}

func (a *attributes) policyString(value string) error {
	a.policy.Published.Lines = append(a.policy.Published.Lines, value)
	return nil
}

func (a *attributes) hostPattern(value string) error {
	parent, wildcard := strings.CutPrefix(value, "*.")
	name, err := address.Domain(parent)
	if wildcard {
		name = "*." + name
	}
	a.policy.Published.Hosts = append(a.policy.Published.Hosts, name)
	return err
}

func (a *attributes) policyFailure(value string) error {
	switch value {
	case "sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid", "validation-failure":
		a.failure = value
		return nil
	}
	return fmt.Errorf("unknown failure %q", value)
}
