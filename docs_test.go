package postrider

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestPostfixPage holds docs/postfix.md against the code. It reads the tables
// of the page; what their columns mean is said there.
//
// testdata/postfix.txt has the names of all parameters of smtp(8) and lmtp(8),
// by the headings of the page. An lmtp_X that is only smtp_X over again is not
// in it.
func TestPostfixPage(t *testing.T) {
	page := readTables(t, "docs/postfix.md")
	code := readCode(t)
	t.Run("parameters", func(t *testing.T) { checkParameters(t, page, "testdata/postfix.txt") })
	t.Run("states", func(t *testing.T) { checkStates(t, page) })
	t.Run("names", func(t *testing.T) { checkNames(t, page, code) })
	t.Run("tests", func(t *testing.T) { checkTests(t, page, code) })
}

// row is a line of a table, with its cells by the names of the columns.
type row struct {
	line    int
	section string
	cells   map[string]string
}

var (
	parameterColumns  = []string{"parameter", "Postfix's default", "Postrider", "state", "test", "remark"}
	differenceColumns = []string{"event", "Postfix", "Postrider", "why", "test"}
)

// areas are what a row can wait for.
var areas = []string{"routing", "content", "AUTH", "TLS policy", "pool", "LMTP", "TLSRPT"}

// readTables gives the rows of all tables of a page.
func readTables(t *testing.T, file string) []row {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	var columns []string
	section := ""
	for i, line := range strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n") {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			section = heading
		}
		if !strings.HasPrefix(line, "|") {
			columns = nil
			continue
		}
		cells := cellsOf(line)
		switch {
		case columns == nil:
			columns = cells
			if !slices.Equal(columns, parameterColumns) && !slices.Equal(columns, differenceColumns) {
				t.Fatalf("%s:%d: columns %q", file, i+1, columns)
			}
		case strings.HasPrefix(line, "|--"):
		case len(cells) != len(columns):
			t.Fatalf("%s:%d: %d cells in a table of %d columns", file, i+1, len(cells), len(columns))
		default:
			r := row{line: i + 1, section: section, cells: make(map[string]string)}
			for n, column := range columns {
				r.cells[column] = cells[n]
			}
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		t.Fatalf("%s has no tables", file)
	}
	return rows
}

func cellsOf(line string) []string {
	cells := strings.Split(strings.Trim(line, "|"), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

// quoted gives what stands in backticks.
func quoted(cell string) []string {
	var names []string
	for i, part := range strings.Split(cell, "`") {
		if i%2 == 1 {
			names = append(names, part)
		}
	}
	return names
}

// checkParameters wants every parameter of the list in its section, and no other.
func checkParameters(t *testing.T, page []row, list string) {
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	wanted := make(map[string]string) // section by parameter
	section := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if heading, ok := strings.CutPrefix(line, "# "); ok {
			section = heading
			continue
		}
		if line == "" {
			continue
		}
		if wanted[line] != "" {
			t.Errorf("%s: %s stands twice", list, line)
		}
		wanted[line] = section
	}
	missing := make(map[string]bool)
	for name := range wanted {
		missing[name] = true
	}
	for _, r := range page {
		for _, name := range quoted(r.cells["parameter"]) {
			if wanted[name] != r.section {
				t.Errorf("line %d: %s is not in the list under %q", r.line, name, r.section)
			}
			delete(missing, name)
		}
	}
	for name := range missing {
		t.Errorf("%s has no row", name)
	}
}

// checkStates holds the columns of each row against its state. A difference is
// done if it has tests, and next otherwise.
func checkStates(t *testing.T, page []row) {
	for _, r := range page {
		state, isParameter := r.cells["state"]
		test, place := r.cells["test"], r.cells["Postrider"]
		notHere := strings.HasPrefix(place, "not applicable, because ")
		switch area, next := strings.CutPrefix(state, "next: "); {
		case !isParameter:
			if area, next := strings.CutPrefix(test, "next: "); next && !slices.Contains(areas, area) {
				t.Errorf("line %d: no area is called %q", r.line, area)
			}
			for name, cell := range r.cells {
				if cell == "" {
					t.Errorf("line %d: no %s", r.line, name)
				}
			}
		case next && (test != "" || notHere || !slices.Contains(areas, area)):
			t.Errorf("line %d: next has a test, says that it does not apply, or has no area that we know", r.line)
		case state == "done" && (test == "" || place == "" || notHere):
			t.Errorf("line %d: done, but without a test or without a place in Postrider", r.line)
		case state == "n/a" && (test != "" || !notHere):
			t.Errorf("line %d: n/a has a test, or no reason", r.line)
		case !next && state != "done" && state != "n/a":
			t.Errorf("line %d: state %q", r.line, state)
		}
	}
}

var goName = regexp.MustCompile(`^(?:([a-z]+)\.)?([A-Z]\w*(?:\.[A-Z]\w*)?)$`)

// checkNames wants everything in backticks in the column Postrider to be a Go
// name that exists.
func checkNames(t *testing.T, page []row, code map[string]*pkg) {
	names := 0
	for _, r := range page {
		for _, name := range quoted(r.cells["Postrider"]) {
			names++
			m := goName.FindStringSubmatch(name)
			if m == nil {
				t.Errorf("line %d: %s is no Go name", r.line, name)
			} else if p := code[orSMTPClient(m[1])]; p == nil || !p.names[m[2]] {
				t.Errorf("line %d: there is no %s", r.line, name)
			}
		}
	}
	if names == 0 {
		t.Error("the page has no Go names")
	}
}

var testName = regexp.MustCompile(`^(?:([a-z]+)\.)?(Test\w+)(?:/(.+))?$`)

// checkTests wants every test that the page names to exist.
func checkTests(t *testing.T, page []row, code map[string]*pkg) {
	tests := 0
	for _, r := range page {
		for _, name := range quoted(r.cells["test"]) {
			tests++
			m := testName.FindStringSubmatch(name)
			if m == nil {
				t.Errorf("line %d: %s is no name of a test", r.line, name)
				continue
			}
			p := code[orSMTPClient(m[1])]
			if p == nil || p.tests[m[2]] == nil {
				t.Errorf("line %d: there is no %s", r.line, name)
			} else if sub := m[3]; sub != "" && !p.tests[m[2]][sub] && !p.plays(sub) {
				t.Errorf("line %d: the test has nothing called %q", r.line, sub)
			}
		}
	}
	if tests == 0 {
		t.Error("the page has no tests")
	}
}

func orSMTPClient(name string) string {
	if name == "" {
		return "smtpclient"
	}
	return name
}

// pkg is what a folder has of Go.
type pkg struct {
	folder string
	names  map[string]bool            // "Client", "Client.Deliver", "Client.NextHops"
	tests  map[string]map[string]bool // the texts within each test function, among which are the names of its parts
}

// plays tells whether the package has a test file of that name, as a dialogue.
func (p *pkg) plays(name string) bool {
	found, _ := filepath.Glob(filepath.Join(p.folder, "testdata", "*", name+".txt"))
	return len(found) > 0
}

// readCode parses the folders of this repository, by their last element.
func readCode(t *testing.T) map[string]*pkg {
	t.Helper()
	code := make(map[string]*pkg)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".")):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		folder := filepath.Dir(path)
		name := filepath.Base(folder)
		if name == "lmtp" && folder != name { // examples/lmtp: pages mean the package
			return nil
		}
		if code[name] == nil {
			code[name] = &pkg{folder: folder, names: make(map[string]bool), tests: make(map[string]map[string]bool)}
		}
		if other := code[name].folder; other != folder {
			return fmt.Errorf("the folders %s and %s have one name; the page cannot tell them apart", other, folder)
		}
		return code[name].read(path)
	})
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// read adds what a file declares.
func (p *pkg) read(path string) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, decl := range file.Decls {
		f, isFunc := decl.(*ast.FuncDecl)
		switch {
		case !isFunc:
			p.readGenDecl(decl.(*ast.GenDecl))
		case !strings.HasSuffix(path, "_test.go"):
			p.readFunc(f)
		case f.Recv == nil && (strings.HasPrefix(f.Name.Name, "Test") || strings.HasPrefix(f.Name.Name, "Fuzz")):
			p.tests[f.Name.Name] = texts(f.Body)
		}
	}
	return nil
}

func (p *pkg) readFunc(f *ast.FuncDecl) {
	name := f.Name.Name
	if f.Recv != nil {
		recv := f.Recv.List[0].Type
		if star, ok := recv.(*ast.StarExpr); ok {
			recv = star.X
		}
		if ident, ok := recv.(*ast.Ident); ok {
			name = ident.Name + "." + name
		}
	}
	p.names[name] = true
}

// readGenDecl adds types with their fields and methods, constants and variables.
// Those of tests do no harm.
func (p *pkg) readGenDecl(decl *ast.GenDecl) {
	for _, spec := range decl.Specs {
		switch spec := spec.(type) {
		case *ast.ValueSpec:
			for _, ident := range spec.Names {
				p.names[ident.Name] = true
			}
		case *ast.TypeSpec:
			p.names[spec.Name.Name] = true
			for _, field := range members(spec.Type) {
				for _, ident := range field.Names {
					p.names[spec.Name.Name+"."+ident.Name] = true
				}
			}
		}
	}
}

func members(typ ast.Expr) []*ast.Field {
	switch typ := typ.(type) {
	case *ast.StructType:
		return typ.Fields.List
	case *ast.InterfaceType:
		return typ.Methods.List
	}
	return nil
}

// texts gives the string literals of a function.
func texts(body *ast.BlockStmt) map[string]bool {
	found := make(map[string]bool)
	ast.Inspect(body, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil {
				found[text] = true
			}
		}
		return true
	})
	return found
}
