// Package code holds the Go code of the pages in docs: the directory from-gorilla that
// of from-gorilla.md, and so on. Every block of Go on a page is a part of a file there,
// so that it is compiled, and most of it is run by that directory's tests.
package code
