package leaktest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { Main(m) }

func TestAGoroutineThatDoesNotEndIsFound(t *testing.T) {
	stop := make(chan struct{})
	ended := make(chan struct{})
	begun := make(chan struct{})
	go forgotten(begun, stop, ended)
	<-begun
	found := false
	for _, stack := range others() {
		found = found || strings.Contains(stack, "leaktest.forgotten")
	}
	require.True(t, found)
	close(stop)
	<-ended
}

func forgotten(begun, stop, ended chan struct{}) {
	defer close(ended)
	close(begun)
	<-stop
}

func TestGoroutinesOfTheTestBinaryAreNotCounted(t *testing.T) {
	require.True(t, ours("goroutine 5 [syscall]:\nos/signal.signal_recv()\n"))
	require.False(t, ours("goroutine 5 [select]:\nnet/http.(*persistConn).readLoop()\n"))
}
