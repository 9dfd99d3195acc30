// Package docs holds the pages against the code that they show. It belongs to the root
// module, because go test notices a change of a page only within its own module.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

// essays are the pages whose blocks are fragments, which no code contains.
var essays = map[string]bool{"backpressure": true, "ballerina": true, "lifecycle": true, "reconnection": true, "security": true}

func TestEveryGoBlockOfAPageIsCompiled(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("*.md")
	require.NoError(t, err)
	require.NotEmpty(t, pages)
	for _, page := range pages {
		name := strings.TrimSuffix(filepath.Base(page), ".md")
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		if essays[name] {
			continue
		}
		code := sources(t, filepath.Join("code", name))
		for _, block := range goBlocks(string(text)) {
			require.True(t, code.contain(block), "%s: this block is in no file of docs/code/%s:\n%s", page, name, strings.Join(block, "\n"))
		}
	}
}

func TestEveryDirectoryOfCodeHasAPageThatShowsIt(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir("code")
	require.NoError(t, err)
	directories := 0
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		directories++
		text, err := os.ReadFile(entry.Name() + ".md")
		require.NoError(t, err)
		require.NotEmpty(t, goBlocks(string(text)), "docs/%s.md shows nothing of docs/code/%[1]s", entry.Name())
	}
	require.NotZero(t, directories)
}

// goBlocks returns the lines of each block of Go on a page, less their common indentation.
func goBlocks(page string) (blocks [][]string) {
	var block []string
	inside := false
	for line := range strings.Lines(page) {
		line = strings.TrimRight(line, " \t\r\n")
		switch {
		case strings.TrimSpace(line) == "```go":
			inside, block = true, nil
		case inside && strings.TrimSpace(line) == "```":
			inside, blocks = false, append(blocks, outdent(block))
		case inside:
			code := strings.TrimLeft(line, " \t")
			indentation := strings.ReplaceAll(line[:len(line)-len(code)], "    ", "\t")
			block = append(block, indentation+code)
		}
	}
	return blocks
}

// outdent removes the indentation that all lines have in common.
func outdent(lines []string) []string {
	least := -1
	for _, line := range lines {
		if line == "" {
			continue
		}
		if tabs := len(line) - len(strings.TrimLeft(line, "\t")); least < 0 || tabs < least {
			least = tabs
		}
	}
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = line[min(len(line), max(least, 0)):]
	}
	return out
}

// files are the lines of the Go files in a directory.
type files [][]string

// sources reads the Go files in a directory; there may be none.
func sources(t *testing.T, dir string) (code files) {
	names, err := filepath.Glob(dir + "/*.go")
	require.NoError(t, err)
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		code = append(code, strings.Split(unixLines(text), "\n"))
	}
	return code
}

// contain reports whether the lines of a block follow one another in a file, at any
// indentation.
func (f files) contain(block []string) bool {
	for _, lines := range f {
		for i := 0; i+len(block) <= len(lines); i++ {
			if slices.Equal(outdent(lines[i:i+len(block)]), block) {
				return len(block) > 0
			}
		}
	}
	return false
}

func TestABlockIsFoundAtAnyIndentationAndOnlyAsAWhole(t *testing.T) {
	t.Parallel()
	code := files{{"func f() {", "\tif x {", "\t\ty()", "", "\t\tz()", "\t}", "\tt{a:    1}", "}"}}
	for page, want := range map[string]bool{
		"```go\nif x {\n\ty()\n\n\tz()\n}\n```":         true,
		"1. text\n   ```go\n\t\ty()\n\n\t\tz()\n   ```": true,
		"```go\nif x {\n    y()\n\n    z()\n}\n```":     true,
		"```go\nif x {\n\ty()\n\tz()\n}\n```":           false,
		"```go\ny()\n\n\tz()\n```":                      false,
		"```go\n\tt{a:    1}\n```":                      true,
		"```go\ny(1)\n```":                              false,
		"```go\n```":                                    false,
	} {
		blocks := goBlocks(page)
		require.Len(t, blocks, 1, page)
		require.Equal(t, want, code.contain(blocks[0]), page)
	}
	require.Empty(t, goBlocks("```sh\ny()\n```\n"))
}

func TestDeployingShowsTheProxySettingsThatTheInteropTestsRun(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("deploying.md")
	require.NoError(t, err)
	files, err := filepath.Glob("../interop/testdata/proxies/*")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		config, err := os.ReadFile(file)
		require.NoError(t, err)
		block := "```\n" + strings.TrimSpace(string(config)) + "\n```\n"
		require.True(t, strings.Contains(unixLines(page), unixLines([]byte(block))), "deploying.md does not show %s", file)
	}
}

// unixLines ends lines as they are in the repository: git may have changed them on Windows.
func unixLines(text []byte) string { return strings.ReplaceAll(string(text), "\r\n", "\n") }

// link is a relative link of Markdown: the file, if any, and the heading, if any.
var link = regexp.MustCompile(`\]\(([^)#:\s]*)(#[^)\s]*)?\)`)

func TestEveryLinkOfAPageLeadsSomewhere(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"*.md", "../*.md", "../examples/*.md"} {
		pages, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, pages, pattern)
		for _, page := range pages {
			text, err := os.ReadFile(page)
			require.NoError(t, err)
			for _, m := range link.FindAllStringSubmatch(string(text), -1) {
				target := page
				if m[1] != "" {
					target = filepath.Join(filepath.Dir(page), filepath.FromSlash(m[1]))
				}
				_, err := os.Stat(target)
				require.NoError(t, err, "%s: %s", page, m[0])
				if m[2] != "" {
					require.Contains(t, anchors(t, target), m[2], "%s: %s", page, m[0])
				}
			}
		}
	}
}

// anchors returns the headings of a page as GitHub links to them.
func anchors(t *testing.T, page string) (found []string) {
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if heading := strings.TrimLeft(line, "#"); heading != line {
			slug := strings.Map(func(r rune) rune {
				switch {
				case r == ' ':
					return '-'
				case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
					return unicode.ToLower(r)
				}
				return -1
			}, strings.TrimSpace(heading))
			found = append(found, "#"+slug)
		}
	}
	return found
}
