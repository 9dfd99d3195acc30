package server

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// Listen is net.Listen for TCP. The error for an address without a port, or with an
// IPv6 address that is not in brackets, says how to write it.
func Listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	var wrong *net.AddrError
	if !errors.As(err, &wrong) {
		return l, err
	}
	return nil, fmt.Errorf("%w; want host:port, for example %q", err, exampleAddr(addr))
}

// exampleAddr returns what was probably meant by an address that is no host:port.
func exampleAddr(addr string) string {
	switch {
	case addr != "" && strings.Trim(addr, "0123456789") == "":
		return ":" + addr
	case net.ParseIP(addr) != nil, addr != "" && !strings.ContainsAny(addr, ":[]/ "):
		return net.JoinHostPort(addr, "8080")
	}
	return ":8080"
}
