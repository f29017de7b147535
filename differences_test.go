package postrider

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var updateDifferences = flag.Bool("update-differences", false, "write docs/differences.md")

// provoked are the events by which Postfix's client classifies what a server does,
// with the scenarios in which both sides were seen to meet them. Where both cannot be
// brought to it side by side, there are the tests that show our verdict.
var provoked = []struct{ event, scenarios, tests string }{
	{"connection refused, timed out", "only host refuses connections; first host refuses connections", ""},
	{"greeting: timeout or end", "greeting never comes; greeting closed; greeting cut in its line; first host never greets", ""},
	{"greeting 4yz", "greeting 451; greeting 421; LMTP greeting 421", ""},
	{"greeting 5yz", "greeting 554; first host greets 554", ""},
	{"greeting 3yz or 1yz, or none at all", "greeting 354; greeting 250; greeting of a web server", ""},
	{"EHLO 421", "EHLO 421", ""},
	{"EHLO refused otherwise", "EHLO 500; EHLO 502; EHLO 450", ""},
	{"HELO or LHLO 4yz", "EHLO 500 and HELO 450; LMTP LHLO 451", ""},
	{"HELO or LHLO 5yz", "EHLO 550 and HELO 550; LMTP LHLO 500; first host 550 to HELO", ""},
	{"EHLO, HELO or LHLO: timeout or end", "EHLO closed; EHLO never answered; EHLO 500 and HELO closed; EHLO 500 and HELO never answered; LMTP LHLO closed; LMTP LHLO never answered", ""},
	{"the server has our own name (at port 25 only, which the servers of the comparison do not have)", "", "TestOwnName TestOwnNameAmongEquals"},
	{"SMTPUTF8 needed and not offered", "header in UTF-8 to a server without SMTPUTF8; first host without SMTPUTF8", "TestSMTPUTF8 TestUTF8RecipientAlone TestHeaderInUTF8"},
	{"message larger than SIZE", "SIZE too small; first host too small", ""},
	{"STARTTLS not offered, TLS required", "STARTTLS not offered, required", ""},
	{"STARTTLS refused 4yz, TLS required", "STARTTLS 454, required", ""},
	{"STARTTLS refused 5yz, TLS required", "STARTTLS 502, required; first host 502 to STARTTLS, required", ""},
	{"TLS handshake fails", "STARTTLS handshake refused; STARTTLS handshake refused, required; STARTTLS 220 then closed; STARTTLS 220 then closed, required", ""},
	{"certificate not trusted or of another name", "certificate that nobody trusts, verify; certificate that nobody trusts, secure", "TestLevelVerify TestDowngrades interop.TestTLSMatrix"},
	{"no usable mechanism of AUTH, a bad challenge", "AUTH by a mechanism that nobody knows; AUTH 334 without end", "TestChoiceOfMechanism TestAuthOutcomes mechanism.FuzzChallenges"},
	{"AUTH 4yz or 5yz", "AUTH 454; AUTH 535; first host 535 to AUTH", "TestAuthOutcomes TestWrongPassword TestAuthMemory"},
	{"XFORWARD refused", "XFORWARD refused; XFORWARD closed", "TestXForward interop.TestXClientAndXForward"},
	{"MAIL 4yz", "MAIL 451; MAIL 452; first host 451 to MAIL", ""},
	{"MAIL 5yz", "MAIL 550; MAIL 552; MAIL 555; first host 550 to MAIL", ""},
	{"unexpected data before MAIL", "greeting and a reply that nobody asked for; STARTTLS 220 and plaintext behind it", "TestUnaskedReplyInsideTLS"},
	{"RCPT 4yz", "RCPT 450 of three; first host 450 to one recipient", ""},
	{"RCPT 5yz", "RCPT 550 of three; RCPT 552 for the only one; first host 550 to one recipient", ""},
	{"too many recipients", "RCPT 452 behind an accepted one; RCPT 552 behind an accepted one; RCPT one at a time, 452", ""},
	{"replies to RCPT after MAIL was refused", "MAIL 550", ""},
	{"DATA 4yz or 5yz", "DATA 451; DATA 554; LMTP DATA 451; LMTP DATA 554", ""},
	{"DATA 2yz", "DATA 250; first host 250 to DATA", ""},
	{"end of data 2yz", "final 250; final 259", ""},
	{"end of data 4yz", "final 451; final 452; final 499; first host 451 to the dot", ""},
	{"end of data 5yz", "final 554; final 552; first host 554 to the dot", ""},
	{"LMTP: a recipient is refused after the content", "LMTP mixed replies; LMTP all replies 5yz; LMTP replies around a refused recipient", ""},
	{"421 to MAIL, RCPT, DATA or the end of data", "MAIL 421; RCPT 421 behind an accepted one; DATA 421; final 421; LMTP 421 as the second reply", ""},
	{"MAIL, RCPT or DATA: timeout or end", "MAIL closed; MAIL never answered, lockstep; RCPT closed; RCPT one of two never answered, lockstep; DATA closed; DATA never answered", ""},
	{"end while content is sent", "content closed; content 550 then closed; content 451 then closed; content 250 then closed; first host closes midway", ""},
	{"timeout while content is sent (the comparison waits until each server has read all that was sent, which this one never does)", "", "TestContentTimeouts"},
	{"end of data: timeout or end", "final reply never comes; final reply closed; final reply reset; final 250 cut in its line; first host closes after the dot; first host silent after the dot", ""},
	{"RSET of a kept connection is refused or lost (Postfix sends it as a probe before it uses a connection again, and we only behind a transaction that was left open: no server can bring both to it by the same story)", "", "TestPostfixRows TestSessionRSETRefused"},
	{"QUIT: refused, timeout or end", "final 250, QUIT closed; final 250, QUIT 500; final 250, QUIT never answered", ""},
	{"8-bit content and no 8BITMIME", "8-bit to a server without 8BITMIME; 8-bit to 8BITMIME", ""},
	{"probe: taken at RCPT, or at DATA (Postfix's answer goes to its verify(8), and not into its log for a recipient)", "", "TestVerify interop.TestVerify"},
}

// chapters of the comparison, in the order of a session.
var chapters = []string{"greeting", "hello", "starttls", "auth", "envelope", "data", "final-reply", "second-host", "lmtp"}

// comparison is one recipient of a scenario.
type comparison struct{ scenario, chapter, to, theirs, ours, because string }

var comparedRow = regexp.MustCompile(`^ {4}(\S+) +Postfix: (.*?) {2,}(\S+) +us: (.*?) {2,}(\S+) +(same|DIFFERENT)$`)

// readComparisons reads what internal/interop has written.
func readComparisons(t *testing.T) []comparison {
	t.Helper()
	var all []comparison
	for _, chapter := range chapters {
		text, err := os.ReadFile(filepath.Join("internal", "interop", "testdata", "differential", chapter+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		for paragraph := range strings.SplitSeq(strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n")), "\n\n") {
			lines := strings.Split(paragraph, "\n")
			because := strings.TrimPrefix(lines[len(lines)-1], "    because ")
			for _, line := range lines[1:] {
				m := comparedRow.FindStringSubmatch(line)
				if m == nil {
					continue
				}
				c := comparison{lines[0], chapter, m[1], copiesOf(m[2], m[3]), copiesOf(m[4], m[5]), ""}
				if m[6] == "DIFFERENT" {
					c.because = because
				}
				all = append(all, c)
			}
		}
	}
	return all
}

// copiesOf adds how many copies servers may hold.
func copiesOf(verdict, copies string) string {
	if copies == "0" {
		return verdict
	}
	return verdict + ", held " + copies
}

// TestDifferencesPage holds docs/differences.md against the comparison with Postfix
// in internal/interop, from which it is made: every difference stands there under its
// reason. Written by go test -run TestDifferencesPage -update-differences .
func TestDifferencesPage(t *testing.T) {
	all := readComparisons(t)
	known := make(map[string]bool)
	for _, c := range all {
		known[c.scenario] = true
	}
	if len(known) < 150 {
		t.Errorf("%d scenarios", len(known))
	}
	code := readCode(t)
	for _, p := range provoked {
		if p.scenarios == "" && p.tests == "" {
			t.Errorf("%s: nothing shows it", p.event)
		}
		for name := range strings.SplitSeq(p.scenarios, "; ") {
			if p.scenarios != "" && !known[name] {
				t.Errorf("%s: there is no scenario %q", p.event, name)
			}
		}
		checkTestNames(t, code, p.event, strings.Fields(p.tests))
	}
	want := differencesPage(all, len(known))
	if *updateDifferences {
		if err := os.WriteFile("docs/differences.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("docs/differences.md")
	if err != nil {
		t.Fatal(err)
	}
	if strings.ReplaceAll(string(got), "\r\n", "\n") != want {
		t.Error("docs/differences.md is not what the comparison says; see -update-differences")
	}
}

func differencesPage(all []comparison, scenarios int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Where our verdicts differ from Postfix's

%d scripted servers tell the same story to smtp(8) and lmtp(8) of Postfix 3.7.11 and to Postrider
(`+"`TestVerdictsBesidePostfix`"+` in internal/interop). The verdicts are equal, with enhanced code and deciding reply, but for those
below, each of which is wanted and has its reason. "held 1" is a complete copy that a server may have. This page is
made from the files in internal/interop/testdata/differential by `+"`TestDifferencesPage`"+`.
`, scenarios)
	var reasons []string
	for _, c := range all {
		if c.because != "" && !slices.Contains(reasons, c.because) {
			reasons = append(reasons, c.because)
		}
	}
	for i, reason := range reasons {
		fmt.Fprintf(&b, "\n## %d. %s\n\n| the server | recipient | Postfix | Postrider |\n|---|---|---|---|\n", i+1, strings.ToUpper(reason[:1])+reason[1:])
		for _, c := range all {
			if c.because == reason {
				fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", c.scenario, c.to, c.theirs, c.ours)
			}
		}
	}
	b.WriteString("\n## What Postfix tells apart\n\nThe events by which Postfix's client classifies what a server does, and the scenarios in which both sides meet them;\n" +
		"where they cannot be compared side by side, the tests that show our verdict.\n\n| event | scenarios | tests |\n|---|---|---|\n")
	for _, p := range provoked {
		tests := ""
		for _, name := range strings.Fields(p.tests) {
			tests += "`" + name + "` "
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", p.event, p.scenarios, strings.TrimSpace(tests))
	}
	return b.String()
}
