package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// SignedZone is a zone for StartSignedUnbound. Zones may lie within each other:
// "_tcp.mx.example.test" as one of its own, in another state than
// "example.test", gives a host whose TLSA records alone are in that state.
type SignedZone struct {
	Name  string // "example.test"
	Text  string // master file, with names below Name; the first records, as SOA and NS, are put before it
	State ZoneState
}

// ZoneState is what DNSSEC says about a zone. Zero is Signed.
type ZoneState int

// The states.
const (
	Signed   ZoneState = iota // answers are validated, also those that there is nothing: AD
	Insecure                  // no signatures: answers without AD
	Bogus                     // signatures that do not fit: SERVFAIL, with an extended error of RFC 8914
	Lame                      // no server of the zone can be reached: SERVFAIL
)

// firstRecords are those that every zone has.
const firstRecords = `$ORIGIN %s.
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 127.0.0.1
`

// zoneFile is where a zone lies below dir.
func (z SignedZone) zoneFile(dir string) string { return filepath.Join(dir, z.Name+".zone") }

// write puts the zone into its file, signed where it has to be, and gives the
// DS record that a validator needs to trust the key; "" where there is none.
func (z SignedZone) write(dir string) (anchor string, err error) {
	text := fmt.Sprintf(firstRecords, z.Name) + z.Text
	if err := os.WriteFile(z.zoneFile(dir), []byte(text), 0o644); err != nil {
		return "", err
	}
	if z.State != Signed && z.State != Bogus {
		return "", nil
	}
	key, err := ldns(dir, "ldns-keygen", "-a", "ECDSAP256SHA256", "-k", z.Name)
	if err != nil {
		return "", err
	}
	if _, err := ldns(dir, "ldns-signzone", "-n", "-f", z.zoneFile(dir), z.zoneFile(dir), key); err != nil {
		return "", err
	}
	if z.State == Bogus {
		if err := spoilSignatures(z.zoneFile(dir)); err != nil {
			return "", err
		}
	}
	ds, err := os.ReadFile(filepath.Join(dir, key+".ds"))
	return strings.TrimSpace(string(ds)), err
}

// ldns runs one of the tools of ldnsutils in dir.
func ldns(dir, tool string, args ...string) (string, error) {
	program, err := find(tool, "ldnsutils")
	if err != nil {
		return "", err
	}
	var stderr strings.Builder
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stderr = dir, &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", tool, err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// spoilSignatures changes what is said to be signed by every signature but that
// of the keys: the time at which it ends.
func spoilSignatures(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var spoilt strings.Builder
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) > 8 && words[3] == "RRSIG" && words[4] != "DNSKEY" {
			line = strings.Replace(line, words[8], "20990101000000", 1)
		}
		spoilt.WriteString(line)
	}
	return os.WriteFile(file, []byte(spoilt.String()), 0o644)
}
