//go:build unix

package interop

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// A chatServer is examples/chat in a process of its own.
type chatServer struct {
	cmd *exec.Cmd
	url string
}

// buildChat gives the path of the program.
func buildChat(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "chat")
	build := exec.Command("go", "build", "-o", program, "./examples/chat")
	build.Dir = ".."
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	return program
}

var chatURL = regexp.MustCompile(`http://[^\s/]+`)

// startChat runs the program until stop or the end of the test.
func startChat(t *testing.T, program, addr string) *chatServer {
	t.Helper()
	s := &chatServer{cmd: exec.Command(program, "-addr", addr)}
	s.cmd.Stderr = os.Stderr
	stdout, err := s.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	t.Cleanup(func() {
		s.cmd.Process.Kill()
		s.cmd.Wait()
	})
	urls := make(chan string, 1)
	go func() {
		defer close(urls)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if found := chatURL.FindString(lines.Text()); found != "" {
				urls <- found
				break
			}
		}
		bufio.NewReader(stdout).WriteTo(os.Stderr)
	}()
	s.url = receive(t, urls)
	return s
}

// stop ends the process with a signal, and returns when it has ended.
func (s *chatServer) stop(sig os.Signal) {
	s.cmd.Process.Signal(sig)
	s.cmd.Wait()
}

// A guest is somebody in front of the page.
type guest struct {
	*tab
	name string
}

// enter opens the page and joins the room.
func enter(t *testing.T, b *chromium, url, room, name string) *guest {
	t.Helper()
	g := &guest{b.open(t, url), name}
	g.until(t, connected)
	g.do(t, fmt.Sprintf(`
		document.querySelector("#name").value = %s;
		document.querySelector("#room").value = %s;
		document.querySelector("#join").click()`, quote(name), quote(room)))
	return g
}

// quote makes a literal of JavaScript.
func quote(s string) string {
	literal, _ := json.Marshal(s)
	return string(literal)
}

const (
	connected    = `/\bconnected/.test(document.querySelector("#status").textContent)`
	reconnecting = `/reconnecting/.test(document.querySelector("#status").textContent)`
)

// What says so where one types.
const (
	offline = `document.querySelector("#text").disabled && !document.querySelector("#offline").hidden`
	online  = `!document.querySelector("#text").disabled && document.querySelector("#offline").hidden`
)

// says types a message and sends it.
func (g *guest) says(t *testing.T, text string) {
	t.Helper()
	g.do(t, fmt.Sprintf(`
		document.querySelector("#text").value = %s;
		document.querySelector("#send").click()`, quote(text)))
}

// sees waits for a message, which must be there just once.
func (g *guest) sees(t *testing.T, who, text string) {
	t.Helper()
	g.until(t, fmt.Sprintf(`
		[...document.querySelectorAll("#log .message")].filter(m =>
			m.querySelector(".who").textContent.trim() == %s &&
			m.querySelector(".body").textContent.trim() == %s).length == 1`, quote(who), quote(text)))
}

// seesPeople waits for the list to be that of these names, in any order. An entry
// may mark who is reading.
func (g *guest) seesPeople(t *testing.T, names ...string) {
	t.Helper()
	list, _ := json.Marshal(names)
	g.until(t, fmt.Sprintf(`(names => {
		const people = [...document.querySelectorAll("#people li")].map(li => li.textContent.trim());
		return people.length == names.length && names.every(n => people.some(p => p == n || p.startsWith(n + " ")));
	})(%s)`, list))
}

func TestTheChatExampleInABrowser(t *testing.T) {
	t.Parallel()
	b := startChromium(t)
	server := startChat(t, buildChat(t), "127.0.0.1:0")
	u, err := url.Parse(server.url)
	require.NoError(t, err)

	ann := enter(t, b, server.url, "lobby", "Ann")
	ann.seesPeople(t, "Ann")
	ben := enter(t, b, server.url, "lobby", "Ben")
	elsewhere := enter(t, b, server.url, "kitchen", "Zoe")
	ann.seesPeople(t, "Ann", "Ben")
	ben.seesPeople(t, "Ann", "Ben")
	elsewhere.seesPeople(t, "Zoe")

	ann.says(t, "hello <b>Ben</b> & größer als 日本")
	ben.sees(t, "Ann", "hello <b>Ben</b> & größer als 日本")
	ann.sees(t, "Ann", "hello <b>Ben</b> & größer als 日本")
	ben.says(t, "hello Ann")
	ann.sees(t, "Ben", "hello Ann")
	require.Zero(t, get[int](t, elsewhere.tab, `document.querySelectorAll("#log .message").length`), "messages in another room")

	newcomer := enter(t, b, server.url, "lobby", "Cyd")
	newcomer.sees(t, "Ann", "hello <b>Ben</b> & größer als 日本")
	newcomer.sees(t, "Ben", "hello Ann")
	newcomer.until(t, `new Set([...document.querySelectorAll("#people li")].map(li => getComputedStyle(li, "::before").backgroundColor)).size == 3`)
	newcomer.until(t, `document.querySelector("#join-form").hidden`)
	newcomer.leave(t)
	ann.seesPeople(t, "Ann", "Ben")

	ann.do(t, `dispatchEvent(new Event("offline"))`)
	ann.until(t, connected)
	ann.seesPeople(t, "Ann", "Ben")
	ann.sees(t, "Ben", "hello Ann") // once: the history that came again has nothing new

	for i, sig := range []os.Signal{os.Kill, os.Interrupt} {
		server.stop(sig)
		ann.until(t, reconnecting)
		ben.until(t, reconnecting)
		ann.until(t, offline)
		server = startChat(t, server.cmd.Path, u.Host)
		ann.until(t, connected)
		ben.until(t, connected)
		ann.seesPeople(t, "Ann", "Ben")
		ben.seesPeople(t, "Ann", "Ben")
		ann.until(t, online)

		text := fmt.Sprintf("back again %d", i)
		ann.says(t, text)
		ben.sees(t, "Ann", text)
		ben.says(t, text+" too")
		ann.sees(t, "Ben", text+" too")
	}

	ben.leave(t)
	ann.seesPeople(t, "Ann")
}
