package adapt_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

// BenchmarkPipelinedEcho is a text of 11 bytes there and back, with 32 under way.
func BenchmarkPipelinedEcho(b *testing.B) {
	server := httptest.NewServer(adapt.Handler(shared(echoing), nil))
	defer server.Close()
	c, err := chanws.Dial(b.Context(), "ws"+strings.TrimPrefix(server.URL, "http"), nil)
	require.NoError(b, err)
	defer c.CloseNow()
	const window = 32
	b.ReportAllocs()
	under := 0
	for range b.N {
		c.Send <- chanws.Text("Hello World")
		if under++; under > window {
			<-c.Events()
			under--
		}
	}
	for ; under > 0; under-- {
		<-c.Events()
	}
}
