package smtpclient_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// postfixRow is an event by which Postfix's client classifies errors. Those
// inside of a session have dialogues, which show our verdict; the others have the
// tests that do, or the reason why there is nothing to show.
type postfixRow struct {
	event     string
	dialogues string // names without "c2-" and ".txt"
	tests     string
	why       string
}

const (
	beforeSession = "it comes before a session"
	ofAuth        = "AUTH has tables of its own"
	noLookups     = "there are no lookup tables: hooks are Go functions"
)

var postfixRows = []postfixRow{
	{event: "no next hop, or no address family", tests: "TestBadInput", why: beforeSession},
	{event: "malformed destination, port or service", tests: "TestBadInput", why: beforeSession},
	{event: "path of a unix socket too long", tests: "TestSocketAsNextHop", why: beforeSession},
	{event: "MX: no such domain, no record, an error, null MX, nonsense, filtered", tests: "TestDNSVerdicts TestResolverErrorNeverFails TestResolverAsFilter TestDNSReplyFilter", why: beforeSession},
	{event: "alias chain too long", tests: "TestLookupOutcomes", why: beforeSession},
	{event: "an exchanger, or none of them, has an address", tests: "TestDNSVerdicts TestHostWithoutAddress", why: beforeSession},
	{event: "native host lookup", tests: "TestHostsFileAsFallback", why: beforeSession},
	{event: "SRV", tests: "TestLookupRecords", why: beforeSession + ", as are the tables of package resolve"},
	{event: "own address among the exchangers", tests: "TestLookupRecords", why: beforeSession + ", as are the tables of package resolve"},
	{event: "address conversion", why: "addresses are not text here"},
	{event: "bind", tests: "TestBindRefused TestBindRefusedIPv6", why: beforeSession},
	{event: "connection refused, timed out, unreachable", tests: "TestNextHost TestConnectTimeout", why: beforeSession},
	{event: "TLS policy cannot be had", tests: "TestCancel/policy", why: beforeSession},
	{event: "TLS at once with a level below encrypt", tests: "TestImplicitTLS", why: "port 465 raises the level"},
	{event: "exchanger not in the MTA-STS policy", tests: "TestMTASTSVerdicts", why: beforeSession},

	{event: "greeting: timeout or end", dialogues: "banner-timeout banner-eof"},
	{event: "greeting 4yz", dialogues: "banner-4xx banner-421"},
	{event: "greeting 5yz", dialogues: "banner-5xx"},
	{event: "greeting 3yz or 1yz", dialogues: "banner-3xx"},
	{event: "EHLO 421", dialogues: "ehlo-421"},
	{event: "EHLO refused otherwise", dialogues: "ehlo-5xx ehlo-4xx"},
	{event: "HELO or LHLO 4yz", dialogues: "helo-4xx lhlo-4xx"},
	{event: "HELO or LHLO 5yz", dialogues: "helo-5xx lhlo-5xx"},
	{event: "EHLO or HELO: timeout or end", dialogues: "ehlo-timeout ehlo-eof helo-timeout helo-eof"},
	{event: "the server has our name", dialogues: "own-name own-name-of-backup"},
	{event: "SMTPUTF8 needed and not offered", dialogues: "smtputf8-missing smtputf8-next"},
	{event: "message larger than SIZE", dialogues: "size"},
	{event: "STARTTLS not offered", dialogues: "starttls-missing"},
	{event: "STARTTLS 4yz", dialogues: "starttls-4xx starttls-refused-may"},
	{event: "STARTTLS 5yz", dialogues: "starttls-5xx"},
	{event: "TLS engine missing", why: "it is part of the program"},
	{event: "TLS handshake fails", dialogues: "tls-handshake tls-handshake-required tls-handshake-stalled"},
	{event: "certificate not trusted or of another name", tests: "TestLevelVerify TestDowngrades", why: "levels have tables of their own"},
	{event: "TLSA cannot be looked up, or none is usable", tests: "TestLookupDANE", why: beforeSession},
	{event: "no credentials", tests: "TestAuthenticationRequired TestCredentialLookup", why: ofAuth},
	{event: "no mechanism in common, or a bad challenge", tests: "TestChoiceOfMechanism TestAuthOutcomes", why: ofAuth},
	{event: "more than 100 steps of AUTH", tests: "TestAuthOutcomes TestSCRAMAgainstLiars", why: ofAuth},
	{event: "AUTH 5yz", tests: "TestAuthOutcomes TestWrongPassword TestFinalAuth", why: ofAuth},
	{event: "AUTH 4yz", tests: "TestAuthOutcomes", why: ofAuth},
	{event: "XFORWARD refused", dialogues: "xforward-refused"},
	{event: "MAIL 4yz", dialogues: "mail-4xx"},
	{event: "MAIL 5yz", dialogues: "mail-5xx"},
	{event: "unexpected data before MAIL in TLS", dialogues: "unasked-in-tls"},
	{event: "RCPT 4yz", dialogues: "rcpt-4xx rcpt-4xx-last"},
	{event: "RCPT 5yz", dialogues: "rcpt-5xx rcpt-552"},
	{event: "too many recipients", dialogues: "rcpt-too-many-452 rcpt-too-many-552"},
	{event: "replies to RCPT after MAIL was refused", dialogues: "rcpt-after-mail"},
	{event: "DATA 4yz or 5yz", dialogues: "data-4xx data-5xx"},
	{event: "DATA 2yz", dialogues: "data-2xx"},
	{event: "end of data 2yz", dialogues: "dot-2xx"},
	{event: "end of data 4yz", dialogues: "dot-4xx"},
	{event: "end of data 5yz", dialogues: "dot-5xx"},
	{event: "LMTP: a recipient is refused after the content", dialogues: "lmtp-replies"},
	{event: "421 to MAIL, RCPT, DATA or the end of data", dialogues: "421-mail 421-rcpt 421-data 421-dot"},
	{event: "XFORWARD to DATA: timeout or end", dialogues: "xforward-timeout xforward-eof mail-timeout mail-eof rcpt-timeout rcpt-eof data-timeout data-eof"},
	{event: "end while content is sent", dialogues: "content-eof content-eof-5xx content-eof-4xx content-eof-2xx content-early-5xx content-early-2xx"},
	{event: "timeout while content is sent", dialogues: "content-timeout"},
	{event: "end of data: timeout or end", dialogues: "dot-timeout dot-eof dot-eof-within"},
	{event: "RSET or QUIT: end", dialogues: "quit-eof quit-refused rset-eof"},
	{event: "local lookup fails", why: noLookups},
	{event: "MIME nested too deep for a conversion", tests: "TestTakenApart", why: "it is found before the session is used"},
	{event: "queue file cannot be read", tests: "TestContentThatFails TestContentThatCannotBeOpenedAgain", why: "there is no queue; a Content can fail"},
	{event: "recipient is in Delivered-To already", tests: "TestDeliveredToLoop", why: beforeSession},
	{event: "headers for one recipient, and several recipients", tests: "TestStamps", why: "each has a transaction of its own"},
	{event: "RSET before reuse: refused or lost", dialogues: "rset-refused rset-timeout"},
	{event: "probe: taken at RCPT", dialogues: "verify-rcpt"},
	{event: "probe: taken at DATA", dialogues: "verify-data"},
}

// TestPostfixRows holds the table against the files: each dialogue is there and
// says what it is about, none is in no row, and no row is empty.
func TestPostfixRows(t *testing.T) {
	tests := testNames(t)
	named := make(map[string]bool)
	for _, row := range postfixRows {
		if row.dialogues == "" && row.why == "" {
			t.Errorf("%s: neither a dialogue nor a reason", row.event)
		}
		for name := range strings.FieldsSeq(row.dialogues) {
			file := "testdata/dialogue/c2-" + name + ".txt"
			if named[file] {
				t.Errorf("%s is in two rows", file)
			}
			named[file] = true
			checkDialogueFile(t, file)
		}
		for name := range testList(row.tests) {
			tests.check(t, name)
		}
	}
	files, _ := filepath.Glob("testdata/dialogue/c2-*.txt")
	for _, file := range files {
		if !named[filepath.ToSlash(file)] {
			t.Errorf("%s is in no row", file)
		}
	}
}

// checkDialogueFile wants a comment at the head of a dialogue.
func checkDialogueFile(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
		return
	}
	if comment, ok := strings.CutPrefix(string(text), "# "); !ok || strings.HasPrefix(comment, "\n") {
		t.Errorf("%s does not say what it is about", file)
	}
}

// tests are the names of the tests in this folder, each with the strings in the
// file that has it, among which are the names of its cases.
type tests map[string]map[string]bool

func testNames(t *testing.T) tests {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	all := make(tests)
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		words := make(map[string]bool)
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				word, _ := strconv.Unquote(lit.Value)
				words[word] = true
			}
			return true
		})
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				all[fn.Name.Name] = words
			}
		}
	}
	return all
}

// check finds a test by its name, "TestName" or "TestName/case".
func (all tests) check(t *testing.T, name string) {
	t.Helper()
	test, part, hasPart := strings.Cut(name, "/")
	words, ok := all[test]
	if !ok || hasPart && !words[part] {
		t.Errorf("there is no test %s", name)
	}
}
