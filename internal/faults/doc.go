// Package faults shows what users see of a network that fails: connections that are
// slow, cut at any octet, reset or half open, a system without descriptors, a full
// listen queue. There is no code here but tests. They run over loopback, most of them
// through a proxy that spoils what it passes on.
package faults
