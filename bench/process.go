package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// A process is this program again, as a server or as the load. It ends when its
// standard input does, so none is left when this one dies.
type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string
}

// start runs the program with the arguments, of which the last one is a workload.
func start(w workload, args ...string) (*process, error) {
	spec, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, append(args, string(spec))...)
	// With the race detector a process would sleep for a second at its end.
	cmd.Env = append(os.Environ(), childVariable+"=1", "GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, in: in, lines: make(chan string, 8)}
	go func() {
		defer close(p.lines)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			p.lines <- lines.Text()
		}
	}()
	return p, nil
}

// next waits for the next line, and gives its word and its JSON.
func (p *process) next() (word string, value []byte, err error) {
	select {
	case line, ok := <-p.lines:
		if !ok {
			return "", nil, fmt.Errorf("%s ended", p.cmd.Args[1])
		}
		word, rest, _ := strings.Cut(line, " ")
		return word, []byte(rest), nil
	case <-time.After(10 * patience):
		return "", nil, fmt.Errorf("%s says nothing", p.cmd.Args[1])
	}
}

// expect is next for a word that must come now.
func (p *process) expect(word string, v any) error {
	got, value, err := p.next()
	if err != nil {
		return err
	}
	if got != word {
		return fmt.Errorf("%s says %q, not %q", p.cmd.Args[1], got, word)
	}
	return json.Unmarshal(value, v)
}

// ask asks a server for its usage.
func (p *process) ask(word string) (u usage, err error) {
	if _, err = fmt.Fprintln(p.in, word); err == nil {
		err = p.expect(word, &u)
	}
	return u, err
}

// stop ends the process and waits for it.
func (p *process) stop() {
	_ = p.in.Close()
	killer := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer killer.Stop()
	for range p.lines { // until its output ends, so that Wait loses none
	}
	_ = p.cmd.Wait()
}

// A server is a running server process.
type server struct {
	peer
	process *process
	addr    string
}

func startServer(p peer, w workload) (*server, error) {
	child, err := start(w, "server", p.name)
	if err != nil {
		return nil, err
	}
	s := &server{peer: p, process: child}
	if err := child.expect(wordListening, &s.addr); err != nil {
		child.stop()
		return nil, err
	}
	return s, nil
}

// measure puts the load on the server once. The usage is that of the server, or that
// of the client if the workload measures clients.
func (s *server) measure(w workload, client string) (r result) {
	args := []string{"load", s.addr}
	if client != "" {
		args = []string{"client", client, s.addr}
	}
	fail := func(err error) result { return result{Err: err.Error()} }
	var begin, end, before, idle usage
	var err error
	if w.Idle {
		if before, err = s.process.ask(wordCollect); err != nil {
			return fail(err)
		}
	}
	load, err := start(w, args...)
	if err != nil {
		return fail(err)
	}
	defer load.stop()
	for {
		word, value, err := load.next()
		if err == nil {
			switch word {
			case wordBegin:
				begin, err = s.process.ask(wordUsage)
			case wordEnd:
				end, err = s.process.ask(wordUsage)
			case wordIdle:
				if idle, err = s.process.ask(wordCollect); err == nil {
					_, err = fmt.Fprintln(load.in)
				}
			case wordResult:
				if err = json.Unmarshal(value, &r); err == nil {
					if client == "" {
						r.Begin, r.End = begin, end
					}
					r.Before, r.Idle = before, idle
					return r
				}
			}
		}
		if err != nil {
			return fail(err)
		}
	}
}
