package postrider

import (
	"encoding/json"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// deliveries are the methods that send mail.
var deliveries = map[string]bool{
	"(*github.com/postrider/postrider/smtpclient.Client).Deliver": true,
	"(*github.com/postrider/postrider/smtpclient.Session).Send":   true,
	"(*github.com/postrider/postrider/lmtp.Client).Deliver":       true,
}

// holders are the functions of tests that may call one of them: each holds the report
// against what the server has recorded, in the way that is said here.
var holders = map[string]string{
	"smtpclient.rest":                     "memory is measured, and books would take some; all are delivered, and the messages counted",
	"smtpclient.sendStalled":              "memory is measured; a server in memory takes all",
	"smtpclient.deaf.byDeliver":           "memory is measured; the server takes no message",
	"smtpclient.deaf.bySend":              "memory is measured; the server takes no message",
	"smtpclient.sender":                   "allocations are counted; a server in memory takes all",
	"smtpclient.benchmarkIdle":            "a benchmark",
	"smtpclient.TestPoolAllocations":      "allocations are counted, and books would make some; the server is in the test and says yes to everything",
	"smtpclient.TestSessionAllocations":   "allocations are counted; a server in memory takes all",
	"smtpclient.modelRun.deliver":         "the model of the pool, which has the servers' records",
	"smtpclient.plan.run":                 "the referee of FuzzSession, who hears both directions",
	"smtpclient.FuzzCommands":             "checkCommands reads back all that the server was told, which says yes to everything",
	"smtpclient.TestProgram":              "the server is another process, whose count of messages is compared",
	"smtpclient.TestFileChangesWhileSent": "the server is in the test, with the contents that came whole",
	"smtpclient.heldClient.Deliver":       "the books of internal/oracle",
	"smtpclient.heldSession.Send":         "the books of internal/oracle",
	"lmtp.heldClient.Deliver":             "the books of internal/oracle",
	"internal/newcomer.sender.Deliver":    "the books of internal/oracle",
	"internal/newcomer.sender.send":       "the books of internal/oracle",
	"smtpclient.scene.play":               "dialogues: checkDialogueEnds hears both ends of the file",
	"smtpclient.scene.playByHand":         "dialogues: checkDialogueEnds hears both ends of the file",
	"internal/reliability/cuts.play":      "package model, and the record of each host",
	"smtpclient.TestProgramEchoes":        "the books of internal/oracle are in another process",
}

// TestEveryDeliveryIsHeld finds each call in a test that sends mail: it must be made
// by one of the holders. Examples and benchmarks are left out.
func TestEveryDeliveryIsHeld(t *testing.T) {
	used := make(map[string]bool)
	packages, exports := listTests(t)
	for _, p := range packages {
		for _, files := range [][]string{append(p.GoFiles, p.TestGoFiles...), p.XTestGoFiles} {
			if len(files) > 0 && len(p.TestGoFiles)+len(p.XTestGoFiles) > 0 {
				findDeliveries(t, p, files, exports, used)
			}
		}
	}
	for holder := range holders {
		if !used[holder] {
			t.Errorf("%s is a holder, but sends nothing", holder)
		}
	}
}

// testedPackage is what go list says of a package.
type testedPackage struct {
	ImportPath, Dir, Export, ForTest   string
	GoFiles, TestGoFiles, XTestGoFiles []string
	Module                             *struct{ Main bool }
}

// listTests gives the packages of this module, and where the export data of all that
// they import is, by import path and the package whose test it is for.
func listTests(t *testing.T) (ours []testedPackage, exports map[[2]string]string) {
	t.Helper()
	cmd := exec.Command("go", "list", "-test", "-deps", "-export", "-json=ImportPath,Dir,Export,ForTest,GoFiles,TestGoFiles,XTestGoFiles,Module", "./...")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	exports = make(map[[2]string]string)
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p testedPackage
		if err := dec.Decode(&p); err == io.EOF {
			return ours, exports
		} else if err != nil {
			t.Fatal(err)
		}
		path, _, _ := strings.Cut(p.ImportPath, " ")
		exports[[2]string{path, p.ForTest}] = p.Export
		if p.Module != nil && p.Module.Main && p.ForTest == "" && !strings.HasSuffix(path, ".test") {
			ours = append(ours, p)
		}
	}
}

// findDeliveries looks through the test files of a package.
func findDeliveries(t *testing.T, p testedPackage, names []string, exports map[[2]string]string, used map[string]bool) {
	t.Helper()
	set := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		f, err := parser.ParseFile(set, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	conf := types.Config{Importer: importer.ForCompiler(set, "gc", func(path string) (io.ReadCloser, error) {
		if file := exports[[2]string{path, p.ImportPath}]; file != "" {
			return os.Open(file)
		}
		return os.Open(exports[[2]string{path, ""}])
	})}
	info := &types.Info{Selections: make(map[*ast.SelectorExpr]*types.Selection)}
	if _, err := conf.Check(p.ImportPath, set, files, info); err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		for _, decl := range f.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || !strings.HasSuffix(names[i], "_test.go") || strings.HasPrefix(fn.Name.Name, "Example") || strings.HasPrefix(fn.Name.Name, "Benchmark") {
				continue
			}
			name := strings.TrimPrefix(p.ImportPath, module) + "." + nameOf(fn)
			ast.Inspect(fn, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok || info.Selections[sel] == nil || !deliveries[fullName(info.Selections[sel])] {
					return true
				}
				if used[name] = true; holders[name] == "" {
					t.Errorf("%s: %s sends mail that nobody holds against the server's record; use the world of oracle_test.go, hold or holdClient", set.Position(sel.Sel.Pos()), name)
				}
				return true
			})
		}
	}
}

// nameOf is a function's name, with that of its receiver.
func nameOf(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	recv := fn.Recv.List[0].Type
	if star, ok := recv.(*ast.StarExpr); ok {
		recv = star.X
	}
	if id, ok := recv.(*ast.Ident); ok {
		return id.Name + "." + fn.Name.Name
	}
	return fn.Name.Name
}

// fullName is that of the method that a selection stands for.
func fullName(s *types.Selection) string {
	if f, ok := s.Obj().(*types.Func); ok {
		return f.FullName()
	}
	return ""
}
