//go:build unix

package interop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

// A foreign program holds the ends of connections for libraries of another language:
// all of them in one process, which the tests drive through its standard input and
// output. Both carry telegrams: fields "name=value" with tabs between them up to the
// end of the line, then as many bytes as the field size tells. They are, to the program:
//
//	listen id [secure=1] [protocols=a,b] [deflate=parameters]       stop id
//	dial id url [kind] [protocols=a,b] [deflate=parameters]
//	write id [binary=1] [fragment=n] +message
//	ping id +payload      close id code +reason      drop id
//
// and from it:
//
//	hello version                                once, when it has started
//	listening id port
//	open id protocol extensions [listener]       a dial's id, or a new one and the listener's
//	written id          failed id +reason        of any command
//	text id +message    binary id +message       ping id +payload      pong id +payload
//	close id code +reason                        error id +reason
//
// The id names a connection, or a listener. A program ends with its standard input.
type foreign struct {
	name    string
	command func() (*exec.Cmd, error)

	once    sync.Once
	failure error // of the start
	process *process
	version string

	writing sync.Mutex
	stdin   *bufio.Writer

	mu        sync.Mutex
	last      int
	peers     map[string]*foreignPeer
	replies   map[string]chan telegram // to dial, listen and write
	listeners map[string]*foreignListener
}

// A telegram is a line of fields and what follows it.
type telegram struct {
	fields  map[string]string
	payload []byte
	peer    *foreignPeer // that it is about
}

// A foreignListener gets a telegram for each connection.
type foreignListener struct {
	accepted chan telegram
	fragment int
}

// programs are all foreign programs; TestMain ends them.
var programs []*foreign

func newForeign(name string, command func() (*exec.Cmd, error)) *foreign {
	f := &foreign{
		name:      name,
		command:   command,
		peers:     make(map[string]*foreignPeer),
		replies:   make(map[string]chan telegram),
		listeners: make(map[string]*foreignListener),
	}
	programs = append(programs, f)
	return f
}

func init() {
	atExit = append(atExit, func() {
		for _, f := range programs {
			f.once.Do(func() {}) // or wait for the start
			if f.process != nil {
				f.process.kill()
			}
		}
	})
}

// start starts the program for the first test that needs it.
func (f *foreign) start(t *testing.T) {
	t.Helper()
	f.once.Do(func() {
		if f.failure = f.run(); f.failure == nil {
			t.Logf("the other side is %s", f.version)
		}
	})
	require.NoError(t, f.failure)
	f.process.showAfterFailure(t)
}

func (f *foreign) run() error {
	cmd, err := f.command()
	if err != nil {
		return err
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	f.stdin = bufio.NewWriter(stdin)
	// Not a StdoutPipe, which Wait would close before the last of it is read.
	reader, writer := io.Pipe()
	cmd.Stdout = writer
	if f.process, err = startProcess(cmd); err != nil {
		return err
	}
	go func() {
		<-f.process.exited
		writer.CloseWithError(fmt.Errorf("%s has ended (%v): %s", f.name, f.process.err, &f.process.output))
	}()
	stdout := bufio.NewReaderSize(reader, 64<<10)
	hello, err := readTelegram(stdout)
	if err != nil {
		return err
	}
	f.version = hello.fields["version"]
	go f.receiveTelegrams(stdout)
	return nil
}

func readTelegram(r *bufio.Reader) (telegram, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return telegram{}, err
	}
	t := telegram{fields: make(map[string]string)}
	for _, field := range strings.Split(strings.TrimSuffix(line, "\n"), "\t") {
		name, value, _ := strings.Cut(field, "=")
		t.fields[name] = value
	}
	size, err := strconv.Atoi(t.fields["size"])
	if err != nil {
		return telegram{}, fmt.Errorf("%q is no telegram", line)
	}
	t.payload = make([]byte, size)
	_, err = io.ReadFull(r, t.payload)
	return t, err
}

func (f *foreign) receiveTelegrams(stdout *bufio.Reader) {
	for {
		t, err := readTelegram(stdout)
		if err != nil {
			f.end(err)
			return
		}
		f.receive(t)
	}
}

// end tells all who wait that the program has ended.
func (f *foreign) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	failed := telegram{fields: map[string]string{"op": "failed"}, payload: []byte(err.Error())}
	for _, reply := range f.replies {
		reply <- failed
	}
	for _, p := range f.peers {
		p.put(chanws.Error{Err: err})
	}
	f.replies, f.peers, f.failure = nil, nil, err
}

func (f *foreign) receive(t telegram) {
	id := t.fields["id"]
	f.mu.Lock()
	p, reply := f.peers[id], f.replies[id]
	switch t.fields["op"] {
	case "open":
		p = &foreignPeer{mailbox: newMailbox(), program: f, id: id, open: t.fields}
		f.peers[id] = p
		if l := f.listeners[t.fields["listener"]]; l != nil {
			p.fragment = l.fragment
			reply = l.accepted
		}
	case "listening", "written", "failed":
	case "close", "error":
		delete(f.peers, id)
		reply = nil
	default:
		reply = nil
	}
	if reply != nil {
		delete(f.replies, id)
	}
	f.mu.Unlock()
	switch {
	case reply != nil:
		t.peer = p
		reply <- t
	case p != nil:
		p.receive(t)
	}
}

// send sends a telegram; the fields come as name, value, name, value; those that are
// empty are left out.
func (f *foreign) send(op, id string, payload []byte, fields ...string) error {
	line := "op=" + op + "\tid=" + id + "\tsize=" + strconv.Itoa(len(payload))
	for i := 0; i < len(fields); i += 2 {
		if fields[i+1] != "" {
			line += "\t" + fields[i] + "=" + fields[i+1]
		}
	}
	f.writing.Lock()
	defer f.writing.Unlock()
	f.stdin.WriteString(line + "\n")
	f.stdin.Write(payload)
	return f.stdin.Flush()
}

// call sends a telegram and waits for what it comes to.
func (f *foreign) call(ctx context.Context, op, id string, payload []byte, fields ...string) (telegram, error) {
	reply := make(chan telegram, 1)
	f.mu.Lock()
	if f.replies == nil {
		defer f.mu.Unlock()
		return telegram{}, f.failure
	}
	f.replies[id] = reply
	f.mu.Unlock()
	if err := f.send(op, id, payload, fields...); err != nil {
		return telegram{}, err
	}
	select {
	case t := <-reply:
		if t.fields["op"] == "failed" {
			return t, errors.New(string(t.payload))
		}
		return t, nil
	case <-ctx.Done():
		return telegram{}, fmt.Errorf("%s: %w", op, ctx.Err())
	}
}

// newID names a connection or a listener.
func (f *foreign) newID() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	return strconv.Itoa(f.last)
}

// dial connects a client of the kind to url.
func (f *foreign) dial(kind string) func(context.Context, string, peerSettings) (peer, error) {
	return func(ctx context.Context, url string, set peerSettings) (peer, error) {
		id := f.newID()
		opened, err := f.call(ctx, "dial", id, nil, "url", url, "kind", kind,
			"protocols", strings.Join(set.subprotocols, ","), "deflate", set.deflate)
		if err != nil {
			return nil, err
		}
		opened.peer.fragment = set.fragment
		return opened.peer, nil
	}
}

// listen starts a server that ends with the test.
func (f *foreign) listen(ctx context.Context, t *testing.T, set peerSettings) (string, func() peer) {
	id := f.newID()
	l := foreignListener{accepted: make(chan telegram, 64), fragment: set.fragment}
	f.mu.Lock()
	f.listeners[id] = &l
	f.mu.Unlock()
	scheme, secure := "ws", ""
	if set.tls != nil {
		scheme, secure = "wss", "1"
	}
	listening, err := f.call(ctx, "listen", id, nil, "secure", secure,
		"protocols", strings.Join(set.subprotocols, ","), "deflate", set.deflate)
	require.NoError(t, err)
	t.Cleanup(func() {
		f.send("stop", id, nil)
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.listeners, id)
	})
	return scheme + "://127.0.0.1:" + listening.fields["port"], func() peer { return receive(t, l.accepted).peer }
}

// A foreignPeer is one connection of a foreign program.
type foreignPeer struct {
	*mailbox
	program  *foreign
	id       string
	open     map[string]string // what the program told of the handshake
	fragment int
}

func (p *foreignPeer) receive(t telegram) {
	switch t.fields["op"] {
	case "text":
		p.put(chanws.Text(t.payload))
	case "binary":
		p.put(chanws.Binary(t.payload))
	case "ping":
		p.put(chanws.Ping(t.payload))
	case "pong":
		p.put(chanws.Pong(t.payload))
	case "close":
		code, _ := strconv.Atoi(t.fields["code"])
		p.put(chanws.Close{Code: chanws.StatusCode(code), Reason: string(t.payload)})
	case "error", "failed":
		p.put(chanws.Error{Err: errors.New(string(t.payload))})
	}
}

func (p *foreignPeer) write(binary bool, data []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	fields := []string{"fragment", "", "binary", ""}
	if p.fragment > 0 {
		fields[1] = strconv.Itoa(p.fragment)
	}
	if binary {
		fields[3] = "1"
	}
	_, err := p.program.call(ctx, "write", p.id, data, fields...)
	return err
}

func (p *foreignPeer) ping(payload []byte) error {
	return p.program.send("ping", p.id, payload)
}

func (p *foreignPeer) close(code chanws.StatusCode, reason string) error {
	return p.program.send("close", p.id, []byte(reason), "code", strconv.Itoa(int(code)))
}

func (p *foreignPeer) subprotocol() string { return p.open["protocol"] }

func (p *foreignPeer) drop() {
	p.abandon()
	p.program.send("drop", p.id, nil)
}
