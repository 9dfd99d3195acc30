package main

import (
	"net"
	"net/http"

	"github.com/chanws/chanws/adapt"
)

// serveAdapt is a service with a callback for each kind of message. Frames may be as
// large as messages, as everywhere else.
func serveAdapt(l net.Listener, w workload) error {
	service := &adapt.Service{
		OnTextMessage:   func(c *adapt.Caller, text string) error { return c.WriteTextMessage(text) },
		OnBinaryMessage: func(c *adapt.Caller, p []byte) error { return c.WriteBinaryMessage(p) },
	}
	cfg := &adapt.ServiceConfig{Options: options(w)}
	cfg.MaxFrameSize, cfg.FragmentSize = -1, -1
	up := func(*http.Request) (*adapt.Service, error) { return service, nil }
	return serveHTTP(l, adapt.Handler(up, cfg).ServeHTTP)
}
