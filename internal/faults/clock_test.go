package faults

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A clock that somebody sets changes no timeout: package time counts durations on the
// monotonic clock, unless the reading of it is taken off a time. So nothing in the
// library may do that, which is all that there is to test.
func TestNothingHangsOnTheWallClock(t *testing.T) {
	t.Parallel()
	strips := map[string]bool{
		"Round": true, "Truncate": true, "UTC": true, "Local": true, "In": true, "AddDate": true,
		"UnixNano": true, "UnixMicro": true, "UnixMilli": true, "Date": true, "Format": true, "GobEncode": true,
	}
	files := 0
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains([]string{"examples", "interop", "bench", "docs", ".git"}, entry.Name()) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		files++
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if writesDate(call) {
				return false
			}
			if f, ok := call.Fun.(*ast.SelectorExpr); ok && strips[f.Sel.Name] {
				require.Failf(t, "a time without its monotonic reading", "%s: %s", set.Position(n.Pos()), f.Sel.Name)
			}
			return true
		})
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, files, 50)
}

// writesDate tells of the Date of an HTTP answer, which is the wall clock's.
func writesDate(call *ast.CallExpr) bool {
	if len(call.Args) != 1 {
		return false
	}
	format, ok := call.Args[0].(*ast.SelectorExpr)
	return ok && format.Sel.Name == "TimeFormat"
}
