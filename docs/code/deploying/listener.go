// Package deploying is the code of docs/deploying.md.
package deploying

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/chanws/chanws"
)

var behindProxies = chanws.Options{
	PingInterval: 25 * time.Second,
	PongTimeout:  10 * time.Second,
	WriteTimeout: 10 * time.Second,
}

func listen(addr string) (*chanws.Listener, error) {
	return chanws.Listen(addr, &chanws.ListenOptions{Options: behindProxies, MaxConns: 10_000})
}

// serveUntil ends with ctx: signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM).
func serveUntil(ctx context.Context, l *chanws.Listener) error {
	go func() {
		for c := range l.Conns() {
			go serve(c)
		}
	}()
	<-ctx.Done()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	return l.Shutdown(drain)
}

// clientIP returns the address that our own proxy has seen. It must not be used where
// clients can reach the server without the proxy: they would choose the header.
func clientIP(r *http.Request) string {
	var seen string
	for _, header := range r.Header.Values("X-Forwarded-For") {
		seen = header[strings.LastIndex(header, ",")+1:]
	}
	return strings.TrimSpace(seen)
}
