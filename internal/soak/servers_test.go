package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

// servers is the servers' side of the soak.
type servers struct {
	talk, vanish *chanws.Listener
	callbacks    *adapt.Listener
	ledger       *ledger
	pace         pacer
	cleared      chan uint64 // vanished peers, for the clients' process
	serving      sync.WaitGroup
	over         context.CancelFunc
}

func startServers(t *testing.T, conns int) *servers {
	ctx, over := context.WithTimeout(t.Context(), *duration)
	s := &servers{ledger: newLedger(), pace: pacer{pause(conns), ctx.Done()}, cleared: make(chan uint64, conns), over: over}
	live := plan{}.options(server)
	// Of every 20 connections 14 are here, and not all of them find a place at once.
	s.talk = s.listen(t, &chanws.ListenOptions{Options: live, MaxConns: max(1, conns*13/20), HandshakeTimeout: handshakeTimeout})
	dead := live
	dead.PingInterval, dead.PongTimeout, dead.CloseTimeout = time.Second, 2*time.Second, time.Second
	s.vanish = s.listen(t, &chanws.ListenOptions{Options: dead, HandshakeTimeout: handshakeTimeout})

	l, err := adapt.NewListener("127.0.0.1:0", &adapt.ListenerConfig{HandshakeTimeout: handshakeTimeout})
	require.NoError(t, err)
	s.callbacks = l
	live.MaxFrameSize, live.FragmentSize = -1, 3000
	require.NoError(t, l.Attach("/", s.serveCallbacks, &adapt.ServiceConfig{Options: live}))
	require.NoError(t, l.Start())
	return s
}

func (s *servers) listen(t *testing.T, opts *chanws.ListenOptions) *chanws.Listener {
	l, err := chanws.Listen("127.0.0.1:0", opts)
	require.NoError(t, err)
	s.serving.Go(func() {
		for conn := range l.Conns() {
			s.serving.Go(func() { s.serve(conn) })
		}
	})
	return l
}

func (s *servers) serve(conn *chanws.Conn) {
	p := planOf(conn.Request())
	s.ledger.add(converse(conn, p, server, s.pace))
	if p.ending == peerVanishes {
		s.cleared <- p.id
	}
}

func (s *servers) serveCallbacks(r *http.Request) (*adapt.Service, error) {
	t := newTalk(planOf(r), server, s.pace)
	s.serving.Go(func() { s.ledger.add(<-t.done) })
	return t.service(), nil
}

// runClients runs the clients' process to its end, and takes its reports.
func (s *servers) runClients(t *testing.T) {
	text, err := json.Marshal(order{
		Talk: s.talk.Addr().String(), Vanish: s.vanish.Addr().String(), Callbacks: s.callbacks.Addr().String(),
		Conns: *conns, Duration: *duration,
	})
	require.NoError(t, err)
	// Should it hang, it tells where, and so will this process.
	ctx, cancel := context.WithTimeout(context.Background(), *duration+8*time.Minute)
	defer cancel()
	process := exec.CommandContext(ctx, os.Args[0])
	process.Cancel = func() error { return process.Process.Signal(syscall.SIGQUIT) }
	process.WaitDelay = 10 * time.Second
	process.Env = append(os.Environ(), orderVariable+"="+string(text))
	process.Stderr = os.Stderr
	in, err := process.StdinPipe()
	require.NoError(t, err)
	out, err := process.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, process.Start())

	told := make(chan struct{})
	go func() {
		defer close(told)
		for id := range s.cleared {
			fmt.Fprintln(in, id)
		}
	}()
	reports := json.NewDecoder(out)
	for {
		var r report
		if err := reports.Decode(&r); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("read the reports: %v", err)
			}
			break
		}
		s.ledger.add(r)
	}
	if err := process.Wait(); err != nil {
		t.Errorf("the clients' process: %v", err)
	}
	// Every client is gone, and so will be its connections here.
	stopping, stop := context.WithTimeout(context.Background(), 4*time.Minute)
	defer stop()
	require.NoError(t, s.talk.Shutdown(stopping))
	require.NoError(t, s.vanish.Shutdown(stopping))
	require.NoError(t, s.callbacks.GracefulStop(stopping))
	s.serving.Wait()
	close(s.cleared)
	<-told
}
