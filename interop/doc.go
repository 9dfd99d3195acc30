// Package interop holds the tests of chanws against others: the WebSocket libraries
// of Go, in both roles, and the WebSocket of a browser. It is a module of its own so
// that their dependencies do not become those of chanws's users.
package interop
