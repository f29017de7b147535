package postrider

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/api.txt anew")

// TestAPI holds all that is exported against docs/api.txt, so that no change of it
// goes unseen. What a change means for users stands in docs/versions.md.
func TestAPI(t *testing.T) {
	const file = "docs/api.txt"
	var now []string
	for folder, files := range published(t) {
		for _, e := range exports(files) {
			now = append(now, folder+": "+e.text)
		}
	}
	slices.Sort(now)
	now = slices.Compact(now) // what differs between systems only
	if *update {
		if err := os.WriteFile(file, []byte(strings.Join(now, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before := strings.Split(strings.TrimSuffix(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n"), "\n")
	for _, line := range before {
		if _, still := slices.BinarySearch(now, line); !still {
			t.Errorf("gone, which breaks programs that use it: %s", line)
		}
	}
	for _, line := range now {
		if _, known := slices.BinarySearch(before, line); !known {
			t.Errorf("new: %s", line)
		}
	}
	if t.Failed() {
		t.Log("if that is meant, a line in CHANGELOG.md and: go test -run TestAPI . -update")
	}
}

// TestDocumented wants a comment at all that is exported. What a field is may stand
// at its type: "TLSA is a record (RFC 6698)" says it of all four.
func TestDocumented(t *testing.T) {
	seen := 0
	for folder, files := range published(t) {
		for _, e := range exports(files) {
			seen++
			if !e.documented {
				t.Errorf("%s has no comment: %s", folder, e.text)
			}
		}
		if !slices.ContainsFunc(files, func(f *ast.File) bool { return f.Doc != nil }) {
			t.Errorf("package %s has no comment", folder)
		}
	}
	if seen < 1000 {
		t.Errorf("only %d are exported", seen)
	}
}

// published parses what others can import, by folder. Programs are not among it.
func published(t *testing.T) map[string][]*ast.File {
	t.Helper()
	folders := make(map[string][]*ast.File)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (name == "testdata" || name == "internal" || name == "examples" || strings.HasPrefix(name, ".")):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		folder := filepath.ToSlash(filepath.Dir(path))
		folders[folder] = append(folders[folder], file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return folders
}

// export is an exported identifier.
type export struct {
	text       string // as "type Client struct, Pool *Pool"
	documented bool
}

func exports(files []*ast.File) (found []export) {
	types := make(map[string]bool) // exported ones
	for _, file := range files {
		for _, decl := range file.Decls {
			if decl, ok := decl.(*ast.GenDecl); ok {
				found = append(found, genExports(decl, types)...)
			}
		}
	}
	for _, file := range files {
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Name.IsExported() && (f.Recv == nil || types[receiver(f)]) {
				found = append(found, export{funcText(f), f.Doc != nil})
			}
		}
	}
	return found
}

// genExports are the types with their fields and methods, constants and variables.
func genExports(decl *ast.GenDecl, types map[string]bool) (found []export) {
	kind := decl.Tok.String()
	implied := "" // the type of a constant that takes it from the one before
	for _, spec := range decl.Specs {
		switch spec := spec.(type) {
		case *ast.ValueSpec:
			if spec.Type != nil || len(spec.Values) > 0 {
				implied = strings.TrimSuffix(" "+typeText(spec.Type), " ")
			}
			for _, name := range spec.Names {
				if name.IsExported() {
					found = append(found, export{kind + " " + name.Name + implied, decl.Doc != nil || spec.Doc != nil || spec.Comment != nil})
				}
			}
		case *ast.TypeSpec:
			if spec.Name.IsExported() {
				types[spec.Name.Name] = true
				found = append(found, typeExports(decl, spec)...)
			}
		}
	}
	return found
}

func typeExports(decl *ast.GenDecl, spec *ast.TypeSpec) []export {
	text := "type " + spec.Name.Name
	documented := decl.Doc != nil || spec.Doc != nil
	fields := members(spec.Type)
	switch spec.Type.(type) {
	case *ast.StructType:
		text += " struct"
	case *ast.InterfaceType:
		text += " interface"
	default:
		return []export{{text + " " + typeText(spec.Type), documented}}
	}
	found := []export{{text, documented}}
	for _, field := range fields {
		if len(field.Names) == 0 {
			found = append(found, export{text + ", embedded " + typeText(field.Type), documented})
		}
		for _, name := range field.Names {
			if name.IsExported() {
				found = append(found, export{fmt.Sprintf("%s, %s %s", text, name.Name, typeText(field.Type)), documented})
			}
		}
	}
	return found
}

func receiver(f *ast.FuncDecl) string {
	typ := f.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if index, ok := typ.(*ast.IndexExpr); ok {
		typ = index.X
	}
	ident, _ := typ.(*ast.Ident)
	return ident.Name
}

// funcText leaves out the names of parameters, which nobody depends on.
func funcText(f *ast.FuncDecl) string {
	text := "func "
	if f.Recv != nil {
		text = "method (" + typeText(f.Recv.List[0].Type) + ") "
	}
	return text + f.Name.Name + strings.TrimPrefix(typeText(f.Type), "func")
}

// typeText is a type in one line.
func typeText(typ ast.Expr) string {
	if typ == nil {
		return ""
	}
	if f, ok := typ.(*ast.FuncType); ok {
		typ = &ast.FuncType{Params: nameless(f.Params), Results: nameless(f.Results)}
	}
	var b strings.Builder
	if err := printer.Fprint(&b, token.NewFileSet(), typ); err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func nameless(list *ast.FieldList) *ast.FieldList {
	if list == nil {
		return nil
	}
	bare := &ast.FieldList{}
	for _, field := range list.List {
		for range max(1, len(field.Names)) {
			bare.List = append(bare.List, &ast.Field{Type: field.Type})
		}
	}
	return bare
}

// TestModulesHaveTags wants each module that is released in the table of
// docs/versions.md, and no other.
func TestModulesHaveTags(t *testing.T) {
	text, err := os.ReadFile("docs/versions.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Count(string(text), "/v0.1.0` |")
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		folder := filepath.ToSlash(filepath.Dir(path))
		released := !strings.HasPrefix(folder, "internal") && !strings.HasPrefix(folder, "examples") && folder != "."
		if err == nil && d.Name() == "go.mod" && released {
			rows--
			if !strings.Contains(string(text), "| `"+folder+"/v0.1.0` |") {
				t.Errorf("module %s has no tag", folder)
			}
		}
		return err
	})
	if err != nil || rows != 0 {
		t.Errorf("%v; %d tags for modules that are not there", err, rows)
	}
}

// TestFirstScreen wants what go doc shows first of a package to have code in it: how it
// is used is a reader's first question.
func TestFirstScreen(t *testing.T) {
	const screen = 30
	for folder, files := range published(t) {
		text := ""
		for _, file := range files {
			text += file.Doc.Text()
		}
		lines := strings.Split(text, "\n")
		if !slices.ContainsFunc(lines[:min(screen, len(lines))], func(line string) bool { return strings.HasPrefix(line, "\t") }) {
			t.Errorf("package %s shows no code in its first %d lines", folder, screen)
		}
	}
}
