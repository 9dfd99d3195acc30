//go:build !windows

package pump

// systemGoneErrors are the numbers that only Windows has.
var systemGoneErrors []error
