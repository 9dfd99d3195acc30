//go:build unix

package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

// A chromium is a running browser, without a window, and the connection through which
// the tests drive it: the DevTools protocol, JSON over WebSocket, by chanws.
type chromium struct {
	conn *chanws.Conn

	mu      sync.Mutex
	last    int
	replies map[int]chan reply // by the id of the command
	ended   error
}

// A command is what goes to the browser, a reply what it answers.
type command struct {
	ID      int            `json:"id"`
	Session string         `json:"sessionId,omitempty"`
	Method  string         `json:"method"`
	Params  map[string]any `json:"params,omitempty"`
}

type reply struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// startChromium starts a browser that ends with the test.
func startChromium(t *testing.T) *chromium {
	t.Helper()
	if os.Getenv("CHANWS_NO_BROWSER") == "1" {
		t.Skip("CHANWS_NO_BROWSER=1: the tests in a browser are left out")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("there is no chromium: `apt-get install chromium` brings it, CHANWS_NO_BROWSER=1 leaves these tests out")
	}
	profile, err := os.MkdirTemp("", "chanws-chromium-")
	require.NoError(t, err)
	cmd := exec.Command(path,
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-breakpad",
		// All tabs are equal: none is slowed down for being behind another.
		"--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows",
		"--remote-debugging-port=0", "--user-data-dir="+profile, "about:blank")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		// The whole group: a browser is many processes.
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		// They may write to the profile until they have noticed.
		if !eventually(func() bool { return os.RemoveAll(profile) == nil }) {
			t.Errorf("%s is still written to", profile)
		}
	})

	urls := make(chan string, 1)
	go func() {
		defer close(urls)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if url, found := strings.CutPrefix(lines.Text(), "DevTools listening on "); found {
				urls <- strings.TrimSpace(url)
			}
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := chanws.Dial(ctx, receive(t, urls), &chanws.DialOptions{Options: chanws.Options{MaxMessageSize: -1}})
	require.NoError(t, err)
	b := &chromium{conn: conn, replies: make(map[int]chan reply)}
	go b.receiveReplies()
	t.Cleanup(func() { conn.CloseNow() })
	return b
}

// receiveReplies hands every reply to the call that waits for it.
func (b *chromium) receiveReplies() {
	for ev := range b.conn.Events() {
		text, ok := ev.(chanws.Text)
		if !ok {
			continue
		}
		var r reply
		if err := json.Unmarshal([]byte(text), &r); err != nil || r.ID == 0 {
			continue // an event, of which the tests need none
		}
		b.mu.Lock()
		waiting := b.replies[r.ID]
		delete(b.replies, r.ID)
		b.mu.Unlock()
		if waiting != nil {
			waiting <- r
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = b.conn.Err()
	for _, waiting := range b.replies {
		close(waiting)
	}
	b.replies = nil
}

// call sends a command and decodes its result into result, unless that is nil.
func (b *chromium) call(session, method string, params map[string]any, result any) error {
	waiting := make(chan reply, 1)
	b.mu.Lock()
	if b.ended != nil {
		defer b.mu.Unlock()
		return fmt.Errorf("%s: %w", method, b.ended)
	}
	b.last++
	id := b.last
	b.replies[id] = waiting
	b.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	text, err := json.Marshal(command{id, session, method, params})
	if err != nil {
		return err
	}
	if err := b.conn.Write(ctx, chanws.Text(text)); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case r, ok := <-waiting:
		switch {
		case !ok:
			return fmt.Errorf("%s: %w", method, b.conn.Err())
		case r.Error != nil:
			return fmt.Errorf("%s: %s", method, r.Error.Message)
		case result != nil:
			return json.Unmarshal(r.Result, result)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, ctx.Err())
	}
}

// A tab shows one page.
type tab struct {
	browser *chromium
	target  string
	session string
}

// open shows a page in a tab of its own.
func (b *chromium) open(t *testing.T, url string) *tab {
	t.Helper()
	var target struct {
		ID string `json:"targetId"`
	}
	require.NoError(t, b.call("", "Target.createTarget", map[string]any{"url": url}, &target))
	var attached struct {
		Session string `json:"sessionId"`
	}
	require.NoError(t, b.call("", "Target.attachToTarget", map[string]any{"targetId": target.ID, "flatten": true}, &attached))
	page := &tab{b, target.ID, attached.Session}
	page.until(t, fmt.Sprintf("location.href.startsWith(%q) && document.readyState == 'complete'", url))
	return page
}

// leave closes the tab.
func (p *tab) leave(t *testing.T) {
	t.Helper()
	require.NoError(t, p.browser.call("", "Target.closeTarget", map[string]any{"targetId": p.target}, nil))
}

// evaluate runs JavaScript in the page, waits for its promise, and decodes what comes
// of it into result, unless that is nil.
func (p *tab) evaluate(expression string, result any) error {
	var answer struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		Exception *struct {
			Text      string `json:"text"`
			Exception struct {
				Description string          `json:"description"`
				Value       json.RawMessage `json:"value"`
			} `json:"exception"`
		} `json:"exceptionDetails"`
	}
	params := map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}
	if err := p.browser.call(p.session, "Runtime.evaluate", params, &answer); err != nil {
		return err
	}
	if e := answer.Exception; e != nil {
		return errors.New(strings.Join([]string{e.Text, e.Exception.Description, string(e.Exception.Value)}, " "))
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer.Result.Value, result)
}

// do runs JavaScript for what it does.
func (p *tab) do(t *testing.T, expression string) {
	t.Helper()
	require.NoError(t, p.evaluate(expression, nil), expression)
}

// get runs JavaScript for what it gives.
func get[T any](t *testing.T, p *tab, expression string) T {
	t.Helper()
	var value T
	require.NoError(t, p.evaluate(expression, &value), expression)
	return value
}

// until waits for JavaScript to give true. An error is as good as false: the page
// may not have loaded.
func (p *tab) until(t *testing.T, expression string) {
	t.Helper()
	fulfilled := false
	var err error
	if !eventually(func() bool {
		err = p.evaluate(expression, &fulfilled)
		return err == nil && fulfilled
	}) {
		var text string
		p.evaluate("document.body.innerText", &text)
		require.FailNow(t, "this has not come true in the page", "%s\nlast error: %v\nthe page shows:\n%s", expression, err, text)
	}
}

// eventually polls a condition until it holds or patience has run out.
func eventually(condition func() bool) bool {
	deadline := time.After(patience)
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for !condition() {
		select {
		case <-poll.C:
		case <-deadline:
			return false
		}
	}
	return true
}
