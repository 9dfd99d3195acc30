package fromgws

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/lxzan/gws"
	"github.com/stretchr/testify/require"
)

// serve runs a handler until the end of the test and returns its URL.
func serve(t *testing.T, h http.Handler) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http")
}

var rooms = []http.Handler{http.HandlerFunc(gwsRoom), adaptRoom, http.HandlerFunc(chanwsRoom)}

func TestEveryClientVisitsEveryRoom(t *testing.T) {
	for _, room := range rooms {
		url := serve(t, room) + "?user=ann"
		lines := make(chan string, 1)

		g, err := gwsVisit(url, lines)
		require.NoError(t, err)
		require.Equal(t, "ann: hello", <-lines)
		require.NoError(t, g.WriteClose(1000, nil))
		require.Equal(t, 1000, <-codes)

		a, err := adaptVisit(t.Context(), url, lines)
		require.NoError(t, err)
		require.Equal(t, "ann: hello", <-lines)
		require.NoError(t, a.Close(chanws.StatusNormalClosure, ""))
		require.Equal(t, 1000, <-codes)
	}
}

func TestEveryRoomRefusesAVisitorWithoutAName(t *testing.T) {
	t.Parallel()
	for _, room := range rooms {
		_, err := chanws.Dial(t.Context(), serve(t, room), nil)
		require.Error(t, err)
	}
}

func TestEitherBroadcastReachesEverybody(t *testing.T) {
	t.Parallel()
	sockets := make(chan *gws.Conn, 1)
	peer1, err := chanws.Dial(t.Context(), serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := gws.NewUpgrader(gws.BuiltinEventHandler{}, nil).Upgrade(w, r)
		if err != nil {
			t.Error(err)
		}
		sockets <- c
	})), nil)
	require.NoError(t, err)
	defer peer1.CloseNow()
	socket := <-sockets
	defer socket.NetConn().Close()

	callers := make(chan *adapt.Caller, 1)
	peer2, err := chanws.Dial(t.Context(), serve(t, adapt.Handler(func(*http.Request) (*adapt.Service, error) {
		return &adapt.Service{OnOpen: func(c *adapt.Caller) error { callers <- c; return nil }}, nil
	}, nil)), nil)
	require.NoError(t, err)
	defer peer2.CloseNow()

	gwsBroadcast([]*gws.Conn{socket}, "news")
	adaptBroadcast([]*adapt.Caller{<-callers}, "news")
	for _, peer := range []*chanws.Conn{peer1, peer2} {
		ev, err := peer.Receive(t.Context())
		require.NoError(t, err)
		require.Equal(t, chanws.Text("news"), ev)
	}
}
