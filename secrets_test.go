package postrider

import (
	"go/ast"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestLibraryPrintsNothing finds every place outside of tests and programs
// where something could be said that no caller gets: standard output and error, the
// log of the process. What callers get, reports, errors, traces and logs of theirs, is
// searched for secrets by internal/eavesdrop in the tests of each package.
func TestLibraryPrintsNothing(t *testing.T) {
	seen := 0
	walkGo(t, func(name string, file *ast.File, files *token.FileSet) {
		name = filepath.ToSlash(name)
		if strings.HasSuffix(name, "_test.go") || file.Name.Name == "main" || strings.HasPrefix(name, "internal/interop/") || strings.HasPrefix(name, "internal/bench/") {
			return
		}
		seen++
		for _, spec := range file.Imports {
			if spec.Path.Value == `"log"` {
				t.Errorf("%s imports log", name)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if pkg, ok := n.X.(*ast.Ident); ok && says(pkg.Name, n.Sel.Name) && !slices.Contains(mayLog, name) {
					t.Errorf("%s says something with %s.%s", files.Position(n.Pos()), pkg.Name, n.Sel.Name)
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "print" || f.Name == "println") {
					t.Errorf("%s calls %s", files.Position(n.Pos()), f.Name)
				}
			}
			return true
		})
	})
	if seen < 50 {
		t.Errorf("only %d files were seen", seen)
	}
}

// mayLog has the slog adapters, which log where a caller asks for it.
var mayLog = []string{"smtpclient/trace.go", "smtpclient/logrecord.go"}

// says tells that a name of a package leads out of the process.
func says(pkg, name string) bool {
	switch pkg {
	case "fmt":
		return strings.HasPrefix(name, "Print")
	case "os":
		return name == "Stdout" || name == "Stderr"
	case "slog":
		return slices.Contains([]string{"Debug", "Info", "Warn", "Error", "Log", "LogAttrs", "Default", "DebugContext", "InfoContext", "WarnContext", "ErrorContext"}, name)
	}
	return false
}
