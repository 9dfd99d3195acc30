// Package soak puts the library under load for as long as one likes: thousands of
// connections that come, talk and go in every way there is, between two processes.
//
//	go test ./internal/soak                                           some 20 seconds
//	go test ./internal/soak -conns=10000 -duration=10m -timeout=30m
//
// It holds that no message is lost, changed or reordered, that both ends count the
// same, that peers who have vanished are cleared away, that memory and goroutines stay
// where they are while it lasts, and that nothing is left of them at the end.
package soak
