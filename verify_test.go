package postrider

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestInsecureSkipVerify finds every place in the repository, tests too, where
// crypto/tls is told not to verify, and wants a VerifyConnection beside it: in the
// same literal, or set on the same variable in the same function. Only tests of what a
// caller may set are left out, by name.
func TestInsecureSkipVerify(t *testing.T) {
	found := 0
	walkGo(t, func(name string, file *ast.File, files *token.FileSet) {
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && callersOwn[f.Name.Name] {
				continue
			}
			told, unverified := skips(decl)
			found += told
			for _, at := range unverified {
				t.Errorf("%s: InsecureSkipVerify without VerifyConnection beside it", files.Position(at))
			}
		}
	})
	if found == 0 {
		t.Error("not one was found: the test looks in the wrong place")
	}
}

// The test above finds what it is there to find.
func TestSkipsAreFound(t *testing.T) {
	for code, want := range map[string]int{
		"var c = tls.Config{InsecureSkipVerify: true}":                                                                1,
		"var c = tls.Config{InsecureSkipVerify: true, VerifyConnection: nil}":                                         1,
		"var c = tls.Config{InsecureSkipVerify: true, VerifyConnection: check}":                                       0,
		"func f() { a := tls.Config{InsecureSkipVerify: true}; b := tls.Config{VerifyConnection: check} }":            1,
		"func f() { c.InsecureSkipVerify = true }":                                                                    1,
		"func f() { c.InsecureSkipVerify = true; d.VerifyConnection = check }":                                        1,
		"func f() { c.InsecureSkipVerify = true; c.VerifyConnection = nil }":                                          1,
		"func f() { c.InsecureSkipVerify, c.VerifyConnection = true, check }":                                         0,
		"func f() { c.InsecureSkipVerify = true; c.VerifyConnection = func(tls.ConnectionState) error { return x } }": 0,
		"func f() { p := &c.InsecureSkipVerify; *p = true; c.VerifyConnection = check }":                              1,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+code, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, unverified := skips(file); len(unverified) != want {
			t.Errorf("%s: %d found, want %d", code, len(unverified), want)
		}
	}
}

// callersOwn are tests that set it to see it overruled.
var callersOwn = map[string]bool{"TestTLSConfigLowersNothing": true}

// skips counts where InsecureSkipVerify is set within n, and gives those that have no
// VerifyConnection beside it. What is done to it otherwise counts as such a one.
func skips(n ast.Node) (told int, unverified []token.Pos) {
	verified, assigned := verifies(n)
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			fields := literal(n)
			if at := fields["InsecureSkipVerify"]; at != nil {
				told++
				if fields["VerifyConnection"] == nil {
					unverified = append(unverified, at.Pos())
				}
			}
		case *ast.SelectorExpr:
			if n.Sel.Name == "InsecureSkipVerify" {
				told++
				if !assigned[n] || !verified[types.ExprString(n.X)] {
					unverified = append(unverified, n.Pos())
				}
			}
		}
		return true
	})
	return told, unverified
}

// verifies gives the variables whose VerifyConnection is set within n, and the
// selectors that are assigned to.
func verifies(n ast.Node) (variables map[string]bool, assigned map[ast.Node]bool) {
	variables, assigned = make(map[string]bool), make(map[ast.Node]bool)
	ast.Inspect(n, func(n ast.Node) bool {
		a, ok := n.(*ast.AssignStmt)
		if !ok {
			return true
		}
		for i, left := range a.Lhs {
			s, ok := left.(*ast.SelectorExpr)
			if !ok {
				continue
			}
			assigned[s] = true
			if s.Sel.Name == "VerifyConnection" && len(a.Rhs) == len(a.Lhs) && !isNil(a.Rhs[i]) {
				variables[types.ExprString(s.X)] = true
			}
		}
		return true
	})
	return variables, assigned
}

// literal are the fields that a literal sets, but for those set to nil.
func literal(l *ast.CompositeLit) map[string]ast.Expr {
	fields := make(map[string]ast.Expr)
	for _, element := range l.Elts {
		if pair, ok := element.(*ast.KeyValueExpr); ok && !isNil(pair.Value) {
			if key, ok := pair.Key.(*ast.Ident); ok {
				fields[key.Name] = pair.Value
			}
		}
	}
	return fields
}

func isNil(e ast.Expr) bool {
	name, ok := e.(*ast.Ident)
	return ok && name.Name == "nil"
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
