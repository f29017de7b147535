package tlspolicy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// goodCiphers are what crypto/tls offers up to TLS 1.2. Those of TLS 1.3 are all
// good and cannot be chosen.
func goodCiphers() []uint16 {
	return suites(tls.CipherSuites(), func(*tls.CipherSuite) bool { return true })
}

// olderCiphers are sound but without forward secrecy, or with the older MAC of
// AES in CBC mode: better than plaintext, and what old servers have. RC4 and
// 3DES stay out.
func olderCiphers() []uint16 {
	return suites(tls.InsecureCipherSuites(), func(s *tls.CipherSuite) bool { return strings.Contains(s.Name, "_AES_") })
}

func suites(from []*tls.CipherSuite, want func(*tls.CipherSuite) bool) []uint16 {
	var ids []uint16
	for _, s := range from {
		if want(s) && s.SupportedVersions[0] <= tls.VersionTLS12 {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

var errNoCiphers = errors.New("no cipher suite is left")

// cipherGrade reads one of Postfix's cipher grades. low and export mean medium
// there since 3.8.
func cipherGrade(grade string) ([]uint16, error) {
	switch strings.ToLower(grade) {
	case "high":
		return goodCiphers(), nil
	case "medium", "low", "export":
		return append(goodCiphers(), olderCiphers()...), nil
	case "null":
		return nil, errors.New("crypto/tls has no cipher suites without encryption; use high or medium")
	}
	return nil, fmt.Errorf("unknown cipher grade %q; use high or medium", grade)
}

// excludeCiphers takes out what the words name, in OpenSSL's or IANA's spelling.
func excludeCiphers(from []uint16, words []string) ([]uint16, error) {
	left := slices.Clone(from)
	for _, word := range words {
		excluded, err := cipherWord(strings.ToUpper(word))
		if err != nil {
			return nil, err
		}
		left = slices.DeleteFunc(left, func(id uint16) bool { return excluded(tls.CipherSuiteName(id)) })
	}
	if len(left) == 0 {
		return nil, errNoCiphers
	}
	return left, nil
}

// absentCiphers are groups of which crypto/tls has nothing, or nothing that is
// ever offered here.
var absentCiphers = strings.Fields("ANULL ENULL NULL EXPORT EXP LOW DES MD5 RC2 RC4 3DES IDEA SEED CAMELLIA ARIA PSK SRP DSS ADSS ADH AECDH DH DHE EDH KDHE KEDH ADES")

// cipherParts are the groups that a name of a suite shows.
var cipherParts = map[string]string{
	"AES": "_AES_", "AES128": "_AES_128_", "AES256": "_AES_256_", "AESGCM": "_GCM_", "CHACHA20": "_CHACHA20_", "CBC": "_CBC_",
	"KRSA": "TLS_RSA_", "RSA": "_RSA_", "ARSA": "_RSA_", "ECDSA": "_ECDSA_", "AECDSA": "_ECDSA_",
	"ECDHE": "_ECDHE_", "EECDH": "_ECDHE_", "KECDHE": "_ECDHE_", "KEECDH": "_ECDHE_",
	"SHA256": "_SHA256", "SHA384": "_SHA384",
}

// cipherWord is what a word of an exclusion takes out, by the names of suites.
func cipherWord(word string) (func(name string) bool, error) {
	part, known := cipherParts[word]
	switch {
	case slices.Contains(absentCiphers, word):
		return func(string) bool { return false }, nil
	case word == "SHA" || word == "SHA1":
		return func(name string) bool { return strings.HasSuffix(name, "_SHA") }, nil
	case known:
		return func(name string) bool { return strings.Contains(name, part) }, nil
	}
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if s.Name == word {
			return func(name string) bool { return name == word }, nil
		}
	}
	return nil, fmt.Errorf("unknown cipher or group of ciphers %q", word)
}

var versionNames = map[string]uint16{"SSLV2": 0, "SSLV3": 1, "TLSV1": tls.VersionTLS10, "TLSV1.0": tls.VersionTLS10,
	"TLSV1.1": tls.VersionTLS11, "TLSV1.2": tls.VersionTLS12, "TLSV1.3": tls.VersionTLS13}

// protocolRange reads Postfix's list of protocols: ">=TLSv1.2", "<=TLSv1.3",
// "!TLSv1", or the names of those that are allowed.
func protocolRange(words []string) (lowest, highest uint16, err error) {
	allowed := []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13}
	var named []uint16
	for _, word := range words {
		kind, name := "", strings.ToUpper(word)
		for _, prefix := range []string{">=", "<=", "!"} {
			if rest, ok := strings.CutPrefix(name, prefix); ok {
				kind, name = prefix, rest
			}
		}
		v, known := versionNames[name]
		if !known {
			return 0, 0, fmt.Errorf("unknown protocol %q; use TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3", word)
		}
		if kind == "" {
			named = append(named, v)
			continue
		}
		allowed = slices.DeleteFunc(allowed, func(a uint16) bool {
			return kind == ">=" && a < v || kind == "<=" && a > v || kind == "!" && a == v
		})
	}
	if named != nil {
		allowed = slices.DeleteFunc(allowed, func(a uint16) bool { return !slices.Contains(named, a) })
	}
	switch n := len(allowed); {
	case n == 0:
		return 0, 0, errors.New("no protocol is left that crypto/tls has")
	case int(allowed[n-1]-allowed[0]) != n-1:
		return 0, 0, errors.New("the protocols have a gap, which crypto/tls cannot have; give a range, as >=TLSv1.2")
	}
	return allowed[0], allowed[len(allowed)-1], nil
}
