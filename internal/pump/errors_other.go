//go:build !windows

package pump

// systemLostErrors are the numbers that only Windows has.
var systemLostErrors []error
