package handshake

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSelectSubprotocolChooses(t *testing.T) {
	t.Parallel()
	preferred := []string{"v2", "v1"}
	for _, tc := range []struct {
		name    string
		lines   string
		choose  func(r *http.Request, offered []string) (string, error)
		status  int
		chosen  string
		errText string
	}{
		{"the server's order", "Sec-WebSocket-Protocol: v1, v2\r\n", func(_ *http.Request, offered []string) (string, error) {
			for _, p := range preferred {
				if slices.Contains(offered, p) {
					return p, nil
				}
			}
			return "", nil
		}, 101, "v2", ""},
		{"a token beside a real name", "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: token.abc\r\n", func(r *http.Request, offered []string) (string, error) {
			if !slices.Equal(offered, []string{"chat", "token.abc"}) || r.URL.Path != "/chat" {
				return "", errors.New("not what was offered")
			}
			return "chat", nil
		}, 101, "chat", ""},
		{"none", "Sec-WebSocket-Protocol: a\r\n", func(*http.Request, []string) (string, error) { return "", nil }, 101, "", ""},
		{"nothing offered", "", func(_ *http.Request, offered []string) (string, error) {
			if len(offered) > 0 {
				return "", errors.New("something was offered")
			}
			return "", nil
		}, 101, "", ""},
		{"an error", "", func(*http.Request, []string) (string, error) { return "", errors.New("secret") }, 403, "", "403 Forbidden: secret"},
		{"a chosen answer", "", func(*http.Request, []string) (string, error) {
			return "", &Refusal{StatusCode: 400, Message: "speak v1"}
		}, 400, "", "speak v1"},
		{"one that was not offered", "Sec-WebSocket-Protocol: a, b\r\n", func(*http.Request, []string) (string, error) { return "c", nil }, 500, "",
			`SelectSubprotocol returned "c", and the client offers ["a" "b"]`},
		{"one in another case", "Sec-WebSocket-Protocol: a\r\n", func(*http.Request, []string) (string, error) { return "A", nil }, 500, "", `returned "A"`},
		{"one where none was offered", "", func(*http.Request, []string) (string, error) { return "a", nil }, 500, "", `offers []`},
		{"its own copy is changed", "Sec-WebSocket-Protocol: a\r\n", func(_ *http.Request, offered []string) (string, error) {
			offered[0] = "evil"
			return "evil", nil
		}, 500, "", `returned "evil"`},
		{"what is no token", "Sec-WebSocket-Protocol: a b\r\n", func(*http.Request, []string) (string, error) { return "a b", nil }, 500, "", `returned "a b"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			handler, results := acceptor(t, ServerOptions{SelectSubprotocol: tc.choose}, nil)
			answer, body, _ := exchange(t, httpServer(t, handler), goodRequest+tc.lines+"\r\n")
			require.Equal(t, tc.status, answer.StatusCode)
			require.Equal(t, tc.chosen, answer.Header.Get("Sec-WebSocket-Protocol"))
			require.NotContains(t, body, "secret")
			require.NotContains(t, body, "SelectSubprotocol")
			result := <-results
			if tc.status == 101 {
				require.NoError(t, result.err)
				require.Equal(t, tc.chosen, result.stream.Subprotocol)
				return
			}
			var refusal *Refusal
			require.ErrorAs(t, result.err, &refusal)
			require.Equal(t, tc.status, refusal.StatusCode)
			require.ErrorContains(t, result.err, tc.errText)
		})
	}
}

func TestSelectSubprotocolIsAskedAfterAuthorizeAndBeforeAdmit(t *testing.T) {
	t.Parallel()
	var asked []string
	s, err := NewServer(ServerOptions{SelectSubprotocol: func(*http.Request, []string) (string, error) {
		asked = append(asked, "select")
		return "", nil
	}})
	require.NoError(t, err)
	authorize := func(err error) func(*http.Request) error {
		return func(*http.Request) error { asked = append(asked, "authorize"); return err }
	}
	_, err = s.Accept(hijackable{ResponseWriter: httptest.NewRecorder(), conn: &witness{}}, newRequest(t), authorize(nil), func() error {
		asked = append(asked, "admit")
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []string{"authorize", "select", "admit"}, asked)

	asked = nil
	_, err = s.Accept(hijackable{ResponseWriter: httptest.NewRecorder()}, newRequest(t), authorize(errors.New("no")), func() error { panic("admitted") })
	require.Error(t, err)
	require.Equal(t, []string{"authorize"}, asked)

	s.choose = func(*http.Request, []string) (string, error) { return "", errors.New("no") }
	_, err = s.Accept(hijackable{ResponseWriter: httptest.NewRecorder()}, newRequest(t), nil, func() error { panic("admitted") })
	require.Error(t, err)
}

func TestPanicInSelectSubprotocolIsTheHTTPServersAffair(t *testing.T) {
	t.Parallel()
	s, err := NewServer(ServerOptions{SelectSubprotocol: func(*http.Request, []string) (string, error) { panic("mine") }})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	require.PanicsWithValue(t, "mine", func() { s.Accept(hijackable{ResponseWriter: w}, newRequest(t), nil, nil) })
	require.Empty(t, w.Body.String())
}

func TestSubprotocolsAndSelectSubprotocolExcludeEachOther(t *testing.T) {
	t.Parallel()
	_, err := NewServer(ServerOptions{
		Subprotocols:      []string{"a"},
		SelectSubprotocol: func(*http.Request, []string) (string, error) { return "", nil },
	})
	require.ErrorContains(t, err, "SelectSubprotocol and Subprotocols: not both")
}
