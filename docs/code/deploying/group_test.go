package deploying

import (
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAnHTTPServerWithAGroupDrainsWhenTheProcessIsTerminated(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	drains(t, func(ctx context.Context) error { return serveHTTPUntil(ctx, l) }, "ws://"+l.Addr().String()+"/ws")
}
