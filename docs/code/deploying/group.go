package deploying

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/chanws/chanws"
)

// serveHTTPUntil ends with ctx.
func serveHTTPUntil(ctx context.Context, l net.Listener) error {
	var group chanws.Group
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ws", func(w http.ResponseWriter, r *http.Request) {
		c, err := chanws.Upgrade(w, r, &chanws.UpgradeOptions{Options: behindProxies, Group: &group})
		if err != nil {
			return // the HTTP answer has been written
		}
		serve(c)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	server.RegisterOnShutdown(func() { group.Shutdown(drain) }) // starts with server.Shutdown
	err := server.Shutdown(drain)                               // waits for ordinary requests only
	return errors.Join(err, group.Shutdown(drain))              // waits for the connections
}
