package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// inItsPlace gives the command that runs another one where examples/sendmail is
// /usr/sbin/sendmail and hands mail to Postfix, in a file system of its own.
func inItsPlace(t *testing.T, p *Postfix, prepare string) []string {
	t.Helper()
	if os.Getuid() != 0 {
		present(t, fmt.Errorf("%w: namespaces have to be made by root", ErrMissing))
	}
	unshare, err := find("unshare", "util-linux")
	present(t, err)
	place, err := find("sendmail", "postfix")
	present(t, err)
	program := built(t, "sendmail")
	conf := filepath.Join(t.TempDir(), "ssmtp.conf")
	lines := fmt.Sprintf("mailhub=127.0.0.1:%d\nHostname=box.example.test\n", p.Port)
	present(t, os.WriteFile(conf, []byte(lines), 0o644))
	t.Setenv("SENDMAIL_CONF", conf)
	return []string{unshare, "--mount", "/bin/sh", "-ec",
		`mount --bind "$1" "$2"; shift 2; ` + prepare + `; exec "$@"`, "sh", program, place}
}

// ran runs a program to its end.
func ran(t *testing.T, command []string, stdin string) {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+cmd.Dir, "EMAIL=ann@example.test")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", command[len(command)-1], err, out)
	}
}

// holds looks for words in the one message of a mailbox.
func holds(t *testing.T, p *Postfix, box string, words ...string) {
	t.Helper()
	front, message := stored(t, p, box)
	for _, word := range words {
		if !strings.Contains(front+string(message), word) {
			t.Errorf("%s: without %q: %s%s", box, word, front, message)
		}
	}
}

// cron mails what a job has printed.
func TestSendmailForCron(t *testing.T) {
	cron, err := find("cron", "cron")
	present(t, err)
	p := postfix(t)
	box := p.NewMailbox(domains()[0])
	// A system of its own: no other job runs, and the pid file is no other cron's.
	tables := t.TempDir()
	job := "MAILTO=" + box + "\nSENDMAIL_CONF=" + filepath.Join(tables, "conf") + "\n@reboot root echo the job has run\n"
	command := inItsPlace(t, p, `cp "$SENDMAIL_CONF" "`+tables+`/conf"
mount -t tmpfs none /run; mount --bind "`+tables+`" /etc/cron.d
mount -t tmpfs none /var/spool/cron/crontabs; mount --bind /dev/null /etc/crontab`)
	present(t, os.Chmod(tables, 0o755))
	present(t, os.WriteFile(filepath.Join(tables, "job"), []byte(job), 0o644))
	dir, err := newDir("cron")
	present(t, err)
	running, err := start(dir, filepath.Join(dir, "output"), append(command, cron, "-f", "-L", "15")...)
	present(t, err)
	t.Cleanup(running.Stop)
	holds(t, p, box, "\nSubject: Cron <root@", "the job has run", "\nTo: "+box, "\nFrom: root (Cron Daemon)", "\nDate: ")
}

// mutt gives it recipients, a sender and the wishes for notices.
func TestSendmailForMutt(t *testing.T) {
	mutt, err := find("mutt", "mutt")
	present(t, err)
	p := postfix(t)
	to, blind := p.NewMailbox(domains()[0]), p.NewMailbox(domains()[0])
	command := inItsPlace(t, p, ":")
	ran(t, append(command, mutt, "-n", "-F", "/dev/null", "-e", "set from=ann@example.test use_envelope_from=yes dsn_notify=failure,delay dsn_return=hdrs copy=no",
		"-s", "From mutt", "-b", blind, "--", to), "Hello.\n.\nStill there.\n")
	for _, box := range []string{to, blind} {
		holds(t, p, box, "Return-Path: <ann@example.test>", "\nSubject: From mutt\n", "\nHello.\n.\nStill there.\n")
		if _, message := stored(t, p, box); strings.Contains(string(message), blind) {
			t.Errorf("the blind copy is seen: %s", message)
		}
	}
}

// git send-email finds it by itself.
func TestSendmailForGit(t *testing.T) {
	git, err := find("git", "git")
	present(t, err)
	commands, err := exec.Command(git, "--exec-path").Output()
	present(t, err)
	if _, err := os.Stat(filepath.Join(strings.TrimSpace(string(commands)), "git-send-email")); err != nil {
		present(t, fmt.Errorf("%w: no git send-email; install it, as with: apt-get install git-email", ErrMissing))
	}
	p := postfix(t)
	to, copied := p.NewMailbox(domains()[0]), p.NewMailbox(domains()[0])
	patch := filepath.Join(t.TempDir(), "0001.patch")
	present(t, os.WriteFile(patch, []byte("From 0123456789 Mon Sep 17 00:00:00 2001\nFrom: Ann <ann@example.test>\nDate: Mon, 2 Nov 2026 10:00:00 +0000\nSubject: [PATCH] one line\nMIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n\nGr\u00fc\u00dfe\n---\n file | 1 +\n"), 0o600))
	command := inItsPlace(t, p, ":")
	ran(t, append(command, git, "-c", "sendemail.envelopeSender=auto", "send-email", "--quiet", "--confirm=never", "--no-validate",
		"--from=Ann <ann@example.test>", "--to="+to, "--cc="+copied, "--suppress-cc=all", patch), "")
	holds(t, p, to, "Return-Path: <ann@example.test>", "\nSubject: [PATCH] one line\n", "Gr\u00fc\u00dfe\n")
}
