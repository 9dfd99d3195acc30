// Package interop holds the tests of chanws against others. It is a module of its own
// so that their dependencies do not become those of chanws's users. ./test.sh installs
// what they need that is not Go.
//
//	peer                     version               as server  as client  compresses
//	gorilla/websocket        go.mod                yes        yes
//	coder/websocket          go.mod                yes        yes
//	lxzan/gws                go.mod                yes        yes
//	gobwas/ws                go.mod                yes        yes
//	Node's ws                8.23.0                yes        yes        yes
//	Node's WebSocket         Node's own, or that              yes
//	                         of undici 6.29.1
//	Python's websockets      Debian's, 10.4 in 12  yes        yes        yes
//	libwebsockets (C)        Debian's, 4.1.6 in 12 yes        yes
//	Chromium                 Debian's                         yes
//
// With each: text and binary messages of all sizes of header up to 8 MiB, in one frame
// and in fragments, pings, pongs, close codes and reasons both ways, subprotocols, and
// a dropped socket, plain and over TLS; but for what it has no call for, which its
// entry tells. With those that compress: several materials with every combination of
// context takeover and window bits that the tests name.
//
// Between client and server: nginx and HAProxy (Debian's, 1.22 and 2.6 in 12), plain
// and with TLS up to them, which cut silent connections; and proxies that the client
// chooses, HTTP's CONNECT and SOCKS5, with and without passwords.
//
// CHANWS_NO_BROWSER=1 leaves out Chromium; CHANWS_NO_PEERS=1 Node, Python,
// libwebsockets, nginx and HAProxy.
package interop
