package leaktest

import (
	"runtime"
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

func TestASurvivorFailsTestsThatHavePassed(t *testing.T) {
	stop, ended, begun := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go forgotten(begun, stop, ended)
	<-begun
	var said strings.Builder
	require.Equal(t, 1, verdict(0, 0, &said))
	require.Contains(t, said.String(), "FAIL: 1 goroutines survived the tests:")
	require.Contains(t, said.String(), "leaktest.forgotten")
	close(stop)
	<-ended
}

func TestTestsThatHaveFailedKeepTheirExitCode(t *testing.T) {
	stop, ended, begun := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go forgotten(begun, stop, ended)
	<-begun
	var said strings.Builder
	require.Equal(t, 2, verdict(2, 0, &said))
	require.Empty(t, said.String())
	close(stop)
	<-ended
}

func TestAGoroutineThatIsAboutToEndIsWaitedFor(t *testing.T) {
	stop, ended, begun := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go forgotten(begun, stop, ended)
	<-begun
	// Ends it only after a first look has found it.
	go func() {
		for len(survivorsNow("leaktest.Survivors")) == 0 {
			runtime.Gosched()
		}
		close(stop)
	}()
	require.Empty(t, Survivors())
	require.Zero(t, verdict(0, patience, nil))
}

// survivorsNow gives the other goroutines whose stack has word in it.
func survivorsNow(word string) (found []string) {
	for _, stack := range others() {
		if strings.Contains(stack, word) {
			found = append(found, stack)
		}
	}
	return found
}
