package postrider

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestInsecureSkipVerify finds every place in the repository, tests too, where
// crypto/tls is told not to verify, and wants a VerifyConnection beside it: in the
// same literal, or set in the same function. Only tests of what a caller may set
// are left out, by name.
func TestInsecureSkipVerify(t *testing.T) {
	found := 0
	walkGo(t, func(name string, file *ast.File, files *token.FileSet) {
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				if mentions(decl, "InsecureSkipVerify") {
					t.Errorf("%s: InsecureSkipVerify outside of a function", name)
				}
				continue
			}
			if !mentions(f, "InsecureSkipVerify") {
				continue
			}
			found++
			if callersOwn[f.Name.Name] || mentions(f, "VerifyConnection") {
				continue
			}
			t.Errorf("%s: InsecureSkipVerify without VerifyConnection in %s", files.Position(f.Pos()), f.Name.Name)
		}
	})
	if found == 0 {
		t.Error("not one was found: the test looks in the wrong place")
	}
}

// callersOwn are tests that set it to see it overruled.
var callersOwn = map[string]bool{"TestTLSConfigLowersNothing": true}

// mentions tells whether a field of that name is set within n.
func mentions(n ast.Node, field string) bool {
	found := false
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			key, ok := n.Key.(*ast.Ident)
			found = found || ok && key.Name == field
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				if s, ok := left.(*ast.SelectorExpr); ok && s.Sel.Name == field {
					found = true
				}
			}
		}
		return true
	})
	return found
}

// walkGo shows every Go file of the repository, nested modules too.
func walkGo(t *testing.T, see func(name string, file *ast.File, files *token.FileSet)) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".go") {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			return err
		}
		see(name, file, files)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
