package postrider

import (
	"fmt"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocumentCode compiles every block of Go in README.md and in the pages below
// docs, with vet. A block that begins with "package" is a program. Any other is what
// stands in a function, as
//
//	func example(ctx context.Context, client *smtpclient.Client, env smtpclient.Envelope, ...) error
//
// or, if it begins with "func", "type" or "var", on the level of a file. Packages
// are imported as they are named.
func TestDocumentCode(t *testing.T) {
	dir := t.TempDir()
	blocks := 0
	for _, page := range documents(t) {
		for _, b := range goBlocks(t, page) {
			blocks++
			file := filepath.Join(dir, fmt.Sprintf("block%d", blocks), "block.go")
			if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(b.program(t)), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "go", "vet", file)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s, line %d: %v\n%s", b.page, b.line, err, out)
			}
		}
	}
	if blocks < 9 {
		t.Errorf("%d blocks of Go", blocks)
	}
}

// documents are the pages that people read.
func documents(t *testing.T) []string {
	t.Helper()
	pages := []string{"README.md"}
	err := filepath.WalkDir("docs", func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".md" {
			pages = append(pages, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// goBlock is a block of Go in a page.
type goBlock struct {
	page string
	line int
	code string
}

func goBlocks(t *testing.T, page string) (blocks []goBlock) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var open *goBlock
	for i, line := range strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n") {
		fence := strings.HasPrefix(line, "```")
		switch {
		case open == nil && line == "```go":
			open = &goBlock{page: page, line: i + 1}
		case open != nil && fence:
			blocks, open = append(blocks, *open), nil
		case open != nil:
			open.code += line + "\n"
		}
	}
	if open != nil {
		t.Errorf("%s, line %d: the block has no end", page, open.line)
	}
	return blocks
}

// known are the packages of which blocks may speak.
var known = map[string]string{
	"smtpclient": module + "smtpclient", "smtptest": module + "smtpclient/smtptest", "classes": module + "smtpclient/classes",
	"resolve": module + "resolve", "tlspolicy": module + "tlspolicy", "cache": module + "cache", "lmtp": module + "lmtp",
	"sasl": "github.com/emersion/go-sasl",

	"bytes": "bytes", "context": "context", "errors": "errors", "fmt": "fmt", "log": "log", "slog": "log/slog", "net": "net", "netip": "net/netip",
	"os": "os", "smtp": "net/smtp", "strings": "strings", "time": "time", "tls": "crypto/tls", "x509": "crypto/x509",
}

var qualified = regexp.MustCompile(`\b([a-z0-9]+)\.[A-Z]`)

// program makes a file of the block.
func (b goBlock) program(t *testing.T) string {
	t.Helper()
	if strings.HasPrefix(b.code, "package ") {
		return b.code
	}
	head := "func example(ctx context.Context, client *smtpclient.Client, env smtpclient.Envelope, " +
		"password, from string, to []string, message []byte) error {\n{\n"
	body := b.code
	if !strings.HasPrefix(body, "func ") && !strings.HasPrefix(body, "type ") && !strings.HasPrefix(body, "var ") {
		body = head + body + "}\nreturn nil\n}\n"
	}
	imports := make(map[string]bool)
	for _, m := range qualified.FindAllStringSubmatch(body, -1) {
		if path, ok := known[m[1]]; ok {
			imports[path] = true
		}
	}
	text := "package block\n\nimport (\n"
	for _, path := range slices.Sorted(maps.Keys(imports)) {
		text += fmt.Sprintf("\t%q\n", path)
	}
	text += ")\n\n" + body
	if _, err := parser.ParseFile(token.NewFileSet(), "", text, 0); err != nil {
		t.Errorf("%s, line %d: %v", b.page, b.line, err)
	} else if formatted, err := format.Source([]byte(b.code)); err != nil || string(formatted) != b.code {
		t.Errorf("%s, line %d: the block is not as gofmt has it: %v\n%s", b.page, b.line, err, formatted)
	}
	return text
}

// TestComingFrom holds the names of the pages in docs/coming-from against the code:
// each in the column Postrider exists.
func TestComingFrom(t *testing.T) {
	code := readCode(t)
	pages, err := filepath.Glob("docs/coming-from/*.md")
	if err != nil || len(pages) < 5 {
		t.Fatalf("%q, %v", pages, err)
	}
	for _, page := range pages {
		t.Run(filepath.Base(page), func(t *testing.T) { checkNames(t, sideBySide(t, page), code) })
	}
}

// sideBySide are the rows of a page, of which the second column is Postrider's.
func sideBySide(t *testing.T, page string) (rows []row) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n") {
		if cells := strings.Split(line, "|"); strings.HasPrefix(line, "| ") {
			if len(cells) != 5 {
				t.Errorf("line %d: %d columns", i+1, len(cells)-2)
				continue
			}
			rows = append(rows, row{line: i + 1, cells: map[string]string{"Postrider": cells[2]}})
		}
	}
	return rows
}
