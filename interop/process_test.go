//go:build unix

package interop

import (
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
)

// A process is a program that the tests run against, in a process group of its own.
type process struct {
	*exec.Cmd
	output tail
	exited chan struct{} // closed when the program has ended, and err is set
	err    error
}

// startProcess starts a program. What it says on standard error, and on standard output
// unless that is a pipe already, is kept.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{Cmd: cmd, exited: make(chan struct{})}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = &p.output
	if cmd.Stdout == nil {
		cmd.Stdout = &p.output
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// guarded gives a command that ends with the tests, in whatever way they end: a shell
// that kills its process group when standard input does. The program gets files as
// the descriptors from 3 on.
func guarded(command []string, files ...*os.File) (*exec.Cmd, error) {
	const guard = `"$@" </dev/null & exec 3<&- 4<&-; cat >/dev/null; kill -KILL 0`
	cmd := exec.Command("sh", append([]string{"-c", guard, "sh"}, command...)...)
	cmd.ExtraFiles = files
	// It is closed when the command has ended, or else when the tests have.
	_, err := cmd.StdinPipe()
	return cmd, err
}

// kill ends the program and all that it has started.
func (p *process) kill() {
	syscall.Kill(-p.Process.Pid, syscall.SIGKILL)
	<-p.exited
}

// showAfterFailure prints what the program has said, if the test fails.
func (p *process) showAfterFailure(t *testing.T) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s says:\n%s", p.Path, p.output.String())
		}
	})
}

// A tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (o *tail) Write(text []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, text...)
	if over := len(o.text) - 32<<10; over > 0 {
		o.text = append(o.text[:0], o.text[over:]...)
	}
	return len(text), nil
}

func (o *tail) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}

// needs fails a test for which something is not installed, and skips one that is
// to be left out.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	if os.Getenv("CHANWS_NO_PEERS") == "1" {
		t.Skip("CHANWS_NO_PEERS=1: the tests against programs in other languages and proxies are left out")
	}
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v: ./test.sh installs it, CHANWS_NO_PEERS=1 leaves these tests out", err)
		}
	}
}
