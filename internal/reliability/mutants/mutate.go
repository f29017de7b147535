package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mutant is one change.
type mutant struct {
	id       int // from 1
	file     string
	line     int
	function string
	what     string
	sum      uint32   // of the function's text
	tests    []string // that come by it
	killer   string   // how it died; "": it lives
}

// name is the same wherever the line moves to.
func (m *mutant) name() string {
	return fmt.Sprintf("%s %s: %s", filepath.Base(m.file), m.function, m.what)
}

// edit inserts text, in place of the next drop bytes.
type edit struct {
	at, drop int
	depth    int // of the node: what opens further out comes first, what closes further in
	closes   bool
	text     string
}

// mutator walks through a file.
type mutator struct {
	src      []byte
	fset     *token.FileSet
	path     string
	first    int
	function string
	sum      uint32
	edits    []edit
	mutants  []*mutant
	times    map[string]int
}

// mutate gives the text of a file with all mutants in it. The first gets the number
// behind first.
func mutate(path string, first int, wanted func(function string) bool) ([]byte, []*mutant, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	m := &mutator{src: src, fset: token.NewFileSet(), path: path, first: first, times: make(map[string]int)}
	file, err := parser.ParseFile(m.fset, path, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, nil, err
	}
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Body != nil && wanted(f.Name.Name) {
			m.function, m.sum = f.Name.Name, crc32.ChecksumIEEE(src[m.offset(f.Pos()):m.offset(f.End())])
			m.walk(f.Body, 0)
		}
	}
	return m.apply(), m.mutants, nil
}

func (m *mutator) offset(p token.Pos) int { return m.fset.Position(p).Offset }

func (m *mutator) text(n ast.Node) string {
	return strings.Join(strings.Fields(string(m.src[m.offset(n.Pos()):m.offset(n.End())])), " ")
}

// add numbers a change.
func (m *mutator) add(n ast.Node, format string, args ...any) int {
	what := fmt.Sprintf(format, args...)
	key := m.function + what
	if m.times[key]++; m.times[key] > 1 {
		what = fmt.Sprintf("%s (%d)", what, m.times[key])
	}
	id := m.first + len(m.mutants) + 1
	m.mutants = append(m.mutants, &mutant{id: id, file: m.path, line: m.fset.Position(n.Pos()).Line, function: m.function, what: what, sum: m.sum})
	return id
}

// wrap puts text around a node.
func (m *mutator) wrap(n ast.Node, depth int, before, after string) {
	m.edits = append(m.edits, edit{at: m.offset(n.Pos()), depth: depth, text: before}, edit{at: m.offset(n.End()), depth: depth, closes: true, text: after})
}

// walk finds what can be changed.
func (m *mutator) walk(n ast.Node, depth int) {
	switch n := n.(type) {
	case nil:
		return
	case *ast.IfStmt:
		m.condition(n.Cond, depth)
	case *ast.ForStmt:
		if n.Cond != nil {
			m.condition(n.Cond, depth)
		}
	case *ast.SwitchStmt:
		for _, clause := range n.Body.List {
			for _, e := range clause.(*ast.CaseClause).List {
				if n.Tag == nil {
					m.condition(e, depth)
				} else {
					m.value(e, depth)
				}
			}
		}
	case *ast.BinaryExpr:
		m.binary(n, depth)
	case *ast.BlockStmt:
		m.statements(n.List, depth)
	case *ast.CaseClause:
		m.statements(n.Body, depth)
	case *ast.ReturnStmt:
		for _, e := range n.Results {
			m.status(e, depth)
		}
	case *ast.AssignStmt:
		for _, e := range n.Rhs {
			m.status(e, depth)
		}
	case *ast.CallExpr:
		for _, e := range n.Args {
			m.status(e, depth)
		}
	}
	for _, child := range children(n) {
		m.walk(child, depth+1)
	}
}

// children are the nodes right below.
func children(n ast.Node) (all []ast.Node) {
	ast.Inspect(n, func(c ast.Node) bool {
		if c == n {
			return true
		}
		if c != nil {
			all = append(all, c)
		}
		return false
	})
	return all
}

// condition turns what is not turned elsewhere.
func (m *mutator) condition(e ast.Expr, depth int) {
	if _, ok := ast.Unparen(e).(*ast.BinaryExpr); ok {
		return // binary does
	}
	id := m.add(e, "not %s", m.text(e))
	m.wrap(e, depth+1, fmt.Sprintf("mutantOn(%d) != (", id), ")")
}

func (m *mutator) binary(n *ast.BinaryExpr, depth int) {
	at := m.offset(n.OpPos)
	switch n.Op {
	case token.LAND, token.LOR:
		id := m.add(n, "%s with the other of && and ||", m.text(n))
		name := map[token.Token]string{token.LAND: "mutantAnd", token.LOR: "mutantOr"}[n.Op]
		m.wrap(n, depth, fmt.Sprintf("%s(%d, ", name, id), " })")
		m.edits = append(m.edits, edit{at: at, drop: m.offset(n.Y.Pos()) - at, text: ", func() bool { return "})
		m.condition(n.X, depth+1)
		m.condition(n.Y, depth+1)
	case token.EQL, token.NEQ:
		id := m.add(n, "not %s", m.text(n))
		m.wrap(n, depth, fmt.Sprintf("(mutantOn(%d) != (", id), "))")
	case token.LSS, token.LEQ, token.GTR, token.GEQ:
		turned, edge := m.add(n, "not %s", m.text(n)), m.add(n, "%s at its edge", m.text(n))
		name := map[token.Token]string{token.LSS: "mutantLess", token.LEQ: "mutantLessEqual", token.GTR: "mutantMore", token.GEQ: "mutantMoreEqual"}[n.Op]
		m.wrap(n, depth, fmt.Sprintf("%s(%d, %d, ", name, turned, edge), ")")
		m.edits = append(m.edits, edit{at: at, drop: len(n.Op.String()), text: ","})
	}
}

// value is one of a switch with a tag, which then fits nothing.
func (m *mutator) value(e ast.Expr, depth int) {
	if id, ok := e.(*ast.Ident); ok && (id.Name == "nil" || id.Name == "true" || id.Name == "false") {
		return
	}
	id := m.add(e, "no case %s", m.text(e))
	m.wrap(e, depth+1, fmt.Sprintf("mutantCase(%d, ", id), ")")
}

// status puts another verdict, or the other of true and false.
func (m *mutator) status(e ast.Expr, depth int) {
	id, ok := e.(*ast.Ident)
	if !ok {
		return
	}
	switch id.Name {
	case "Failed", "Deferred", "Unknown", "Delivered":
		m.wrap(e, depth+1, fmt.Sprintf("mutantStatus(%d, ", m.add(e, "another status than %s", id.Name)), ")")
	case "true", "false":
		m.wrap(e, depth+1, fmt.Sprintf("(mutantOn(%d) != ", m.add(e, "not %s", id.Name)), ")")
	}
}

// statements leaves out one at a time.
func (m *mutator) statements(list []ast.Stmt, depth int) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.ExprStmt:
			if text := m.text(s); strings.HasSuffix(text, "Lock()") || strings.HasPrefix(text, "panic(") {
				continue
			}
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE || m.text(s.Lhs[0]) == "_" {
				continue
			}
		case *ast.IncDecStmt:
		default:
			continue
		}
		id := m.add(s, "without %s", m.text(s))
		m.wrap(s, depth+1, fmt.Sprintf("if !mutantOn(%d) { ", id), " }")
	}
}

// apply makes all edits.
func (m *mutator) apply() []byte {
	slices.SortStableFunc(m.edits, func(a, b edit) int {
		switch {
		case a.at != b.at:
			return a.at - b.at
		case a.closes != b.closes:
			if a.closes {
				return -1
			}
			return 1
		case a.closes:
			return b.depth - a.depth
		}
		return a.depth - b.depth
	})
	var out bytes.Buffer
	at := 0
	for _, e := range m.edits {
		out.Write(m.src[at:e.at])
		out.WriteString(e.text)
		at = e.at + e.drop
	}
	out.Write(m.src[at:])
	return out.Bytes()
}
