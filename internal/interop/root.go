package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// newRoot makes a directory for a server that starts there with chroot(2). It
// holds the package as .ci/mtas has unpacked it, and its own list of users: so the
// server finds everything where it was built to look for it, and this machine
// gets neither its files nor its users. There is no /etc/resolv.conf in it.
func newRoot(server, debianPackage string) (string, error) {
	if os.Getuid() != 0 {
		return "", fmt.Errorf("%w: %s has to be started by root", ErrMissing, debianPackage)
	}
	unpacked := filepath.Join(os.Getenv("POSTRIDER_MTAS"), debianPackage)
	if st, err := os.Stat(unpacked); os.Getenv("POSTRIDER_MTAS") == "" || err != nil || !st.IsDir() {
		return "", fmt.Errorf("%w: no %s; unpack it with .ci/mtas DIR and set POSTRIDER_MTAS=DIR", ErrMissing, debianPackage)
	}
	dir, err := newDir(server)
	if err != nil {
		return "", err
	}
	if err := fillRoot(dir, unpacked); err != nil {
		os.RemoveAll(dir)
		return "", err
	}
	return dir, nil
}

// fillRoot copies the package and, with its kind, /dev/null.
func fillRoot(dir, unpacked string) error {
	for _, name := range []string{"tmp", "dev"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Join(dir, "tmp"), 0o777|os.ModeSticky); err != nil {
		return err
	}
	for from, to := range map[string]string{unpacked + "/.": dir, "/dev/null": filepath.Join(dir, "dev")} {
		if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
			return fmt.Errorf("copying %s: %w\n%s", from, err, out)
		}
	}
	return writeFiles(filepath.Join(dir, "etc"), map[string]string{"passwd": rootPasswd, "group": rootGroup})
}

// makeDirs makes directories below dir and gives them to nobody.
func makeDirs(dir string, names ...string) error {
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			return err
		}
		if err := os.Chown(path, nobody, nobody); err != nil {
			return err
		}
	}
	return nil
}

// The numbers are likely to be nobody's on the machine: processes of one user may
// end each other.
const (
	rootPasswd = `root:x:0:0::/:/bin/sh
nobody:x:65534:65534::/:/bin/sh
Debian-exim:x:64801:64801::/:/bin/sh
opensmtpd:x:64802:64802::/:/bin/sh
opensmtpq:x:64803:64803::/:/bin/sh
`
	rootGroup = `root:x:0:
nogroup:x:65534:
Debian-exim:x:64801:
opensmtpd:x:64802:
opensmtpq:x:64803:
`
)
