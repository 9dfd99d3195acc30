package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A person sits at a terminal that wscat runs on.
type person struct {
	keys     *os.File // the master side of the terminal
	terminal *os.File
	exit     chan int

	mu   sync.Mutex
	seen strings.Builder
}

// sit runs wscat on a pseudo-terminal.
func sit(t *testing.T, args ...string) *person {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here:", err)
	}
	var number int
	device, err := master.SyscallConn() // Fd would make reads block that Close has to end
	require.NoError(t, err)
	require.NoError(t, device.Control(func(fd uintptr) {
		if number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN); err == nil {
			err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0)
		}
	}))
	require.NoError(t, err)
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	p := &person{keys: master, terminal: terminal, exit: make(chan int, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	over, looking := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		p.exit <- run(ctx, args, terminal, terminal, terminal)
	}()
	go func() {
		defer close(looking)
		p.look()
	}()
	t.Cleanup(func() {
		cancel()
		<-over
		// The goroutine that reads keys has no end that the test could wait for. With the
		// master closed it ends, and then the garbage collector closes the terminal.
		master.Close()
		<-looking
	})
	return p
}

// look reads what appears on the terminal.
func (p *person) look() {
	buf := make([]byte, 4096)
	for {
		n, err := p.keys.Read(buf)
		p.mu.Lock()
		p.seen.Write(buf[:n])
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *person) screen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen.String()
}

func (p *person) press(t *testing.T, keys string) {
	t.Helper()
	_, err := io.WriteString(p.keys, keys)
	require.NoError(t, err)
}

// sees waits for a text on the terminal.
func (p *person) sees(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(p.screen(), text) }, 20*time.Second, 5*time.Millisecond,
		"want %q on the terminal", text)
}

// raw reports whether the terminal passes every key to the program.
func (p *person) raw(t *testing.T) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(p.terminal.Fd()), unix.TCGETS)
	require.NoError(t, err)
	return state.Lflag&unix.ICANON == 0
}

const (
	up     = "\x1b[A"
	left   = "\x1b[D"
	ctrlA  = "\x01"
	ctrlC  = "\x03"
	ctrlD  = "\x04"
	enter  = "\r"
	invite = "Ctrl-D to end."
)

// record serves one connection, and sends what it receives to the channel. It is closed
// with the connection, after the code of its end.
func record(t *testing.T) (url string, received chan string, send chan string) {
	received, send = make(chan string, 100), make(chan string)
	l := serve(t, nil, func(c *chanws.Conn) {
		defer close(received)
		for {
			select {
			case ev := <-c.Events():
				switch ev := ev.(type) {
				case chanws.Text:
					received <- string(ev)
				case error:
					received <- fmt.Sprint("end ", int(chanws.CloseStatus(ev)))
					return
				}
			case text := <-send:
				c.Send <- chanws.Text(text)
			}
		}
	})
	return l.URL(), received, send
}

func TestArrowKeysEditTheLineAndBringBackEarlierOnes(t *testing.T) {
	t.Parallel()
	url, received, _ := record(t)
	p := sit(t, url)
	p.sees(t, invite)
	p.press(t, "one"+enter+"twx"+"\x7f"+"o"+enter)
	require.Equal(t, "one", <-received)
	require.Equal(t, "two", <-received)
	p.press(t, enter)      // an empty line is not sent, and not remembered
	p.press(t, up+enter)   // two
	p.press(t, up+up+left) // one, with the cursor on its e: two is there only once
	p.press(t, "X"+ctrlA+"Y"+enter)
	require.Equal(t, "two", <-received)
	require.Equal(t, "YonXe", <-received)
	p.press(t, "\x1b[200~tab\there\x1b[201~"+enter)
	require.Equal(t, "tab\there", <-received, "pasted")
	p.press(t, ctrlD)
	require.Zero(t, <-p.exit)
	require.Equal(t, "end 1000", <-received)
}

func TestAMessageDoesNotDestroyTheLineBeingTyped(t *testing.T) {
	t.Parallel()
	url, received, send := record(t)
	p := sit(t, url)
	p.sees(t, invite)
	p.press(t, "half a li")
	p.sees(t, "> half a li")
	send <- "news\x1b[2J\r\nand more"
	p.sees(t, "\x1b[36m< news\ufffd[2J\r\n  and more\x1b[m\r\n> half a li")
	p.press(t, "ne"+enter)
	require.Equal(t, "half a line", <-received)
}

func TestCtrlCAtATerminalClosesAndLeavesItAsItWas(t *testing.T) {
	t.Parallel()
	url, received, _ := record(t)
	p := sit(t, url)
	p.sees(t, invite)
	require.True(t, p.raw(t))
	p.press(t, "half a line"+ctrlC)
	require.Zero(t, <-p.exit)
	require.Equal(t, "end 1001", <-received)
	require.False(t, p.raw(t))
	p.sees(t, "interrupted")
	_, after, _ := strings.Cut(p.screen(), "interrupted")
	require.NotContains(t, after, "half", "the line is gone")
	require.NotContains(t, after, ">", "and the prompt")
}

func TestKeysEndTheWaitForAServer(t *testing.T) {
	t.Parallel()
	for _, key := range []string{ctrlC, ctrlD} {
		p := sit(t, "-reconnect", "127.0.0.1:1")
		p.sees(t, "connection refused")
		p.press(t, key)
		require.Equal(t, 1, <-p.exit)
		p.sees(t, "wscat: stopped while there was no connection")
		require.NotContains(t, p.screen(), "gave up")
		require.False(t, p.raw(t))
	}
}

func TestCtrlCIsASignalWhileTheTypedLinesCannotBeSent(t *testing.T) {
	t.Parallel()
	p := sit(t, "-reconnect", "127.0.0.1:1")
	p.sees(t, "connection refused")
	p.press(t, strings.Repeat("line"+enter, 80))
	require.Eventually(t, func() bool { return !p.raw(t) }, 20*time.Second, 5*time.Millisecond)
}

func TestATerminalShowsNamesInListenMode(t *testing.T) {
	t.Parallel()
	p := sit(t, "-l", "127.0.0.1:0")
	p.sees(t, invite)
	_, rest, _ := strings.Cut(p.screen(), "listening on ")
	url := strings.FieldsFunc(rest, func(r rune) bool { return r < ' ' })[0]
	for _, name := range []string{"1", "2"} {
		c, err := chanws.Dial(t.Context(), url+"/room", nil)
		require.NoError(t, err)
		p.sees(t, name+" connected from 127.0.0.1:")
		c.Send <- chanws.Text("hello")
		p.sees(t, name+"< hello")
		p.press(t, "typed"+enter)
		receives(t, c, chanws.Text("typed"))
		require.NoError(t, c.Close(chanws.StatusNormalClosure, ""))
		p.sees(t, name+" left: websocket closed: 1000")
	}
	p.press(t, "to nobody"+enter)
	p.sees(t, "not sent: nobody is connected")
	p.press(t, ctrlD)
	require.Zero(t, <-p.exit)
}

func TestNoColorAndDumbTerminals(t *testing.T) {
	for name, value := range map[string]string{"NO_COLOR": "1", "TERM": "dumb"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			url, received, send := record(t)
			p := sit(t, url)
			p.sees(t, "connected to")
			send <- "news"
			p.sees(t, "< news")
			p.press(t, "typed\n")
			require.Equal(t, "typed", <-received)
			require.NotContains(t, p.screen(), "\x1b[3")
			require.Equal(t, name == "NO_COLOR", p.raw(t), "a dumb terminal edits its lines itself")
		})
	}
}
