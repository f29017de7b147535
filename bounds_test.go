package postrider

import (
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestBoundsPage compares each number of docs/bounds.md with its constant.
func TestBoundsPage(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| (.+) \\| (?:4 times )?([0-9][0-9,]*h?)(?: bytes)?(?:[;,] .*)? \\| `([a-z/]+)\\.([a-zA-Z]+)` \\|$")
	page := readText(t, "docs/bounds.md")
	rows := row.FindAllStringSubmatch(page, -1)
	if named := strings.Count(page, "` |\n"); len(rows) != named {
		t.Errorf("%d rows name a constant, and %d are understood", named, len(rows))
	}
	known := make(map[string]*types.Scope)
	for _, r := range rows {
		what, number, folder, name := r[1], strings.ReplaceAll(r[2], ",", ""), r[3], r[4]
		if known[folder] == nil {
			known[folder] = constantsOf(t, folder)
		}
		c, ok := known[folder].Lookup(name).(*types.Const)
		if !ok {
			t.Errorf("%s: %s has no constant %s", what, folder, name)
			continue
		}
		got := c.Val()
		if hours, isTime := strings.CutSuffix(number, "h"); isTime {
			number, got = hours, constant.BinaryOp(got, token.QUO_ASSIGN, constant.MakeInt64(int64(time.Hour)))
		}
		if got.String() != number {
			t.Errorf("%s: the page has %s, and %s.%s is %v", what, number, folder, name, got)
		}
	}
}

// constantsOf evaluates the constants of a package that need no other one but time.
func constantsOf(t *testing.T, folder string) *types.Scope {
	t.Helper()
	files := token.NewFileSet()
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var parsed []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, file)
	}
	config := types.Config{Importer: onlyTime{}, Error: func(error) {}, IgnoreFuncBodies: true}
	p, _ := config.Check(folder, files, parsed, nil)
	return p.Scope()
}

// onlyTime imports of package time what these constants need, and nothing of others.
type onlyTime struct{}

func (onlyTime) Import(path string) (*types.Package, error) {
	p := types.NewPackage(path, filepath.Base(path))
	if path == "time" {
		for name, d := range map[string]time.Duration{"Second": time.Second, "Minute": time.Minute, "Hour": time.Hour} {
			p.Scope().Insert(types.NewConst(token.NoPos, p, name, types.Typ[types.Int64], constant.MakeInt64(int64(d))))
		}
	}
	p.MarkComplete()
	return p, nil
}
