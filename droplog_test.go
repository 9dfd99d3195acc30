package chanws_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

// logTo returns a logger for a level, and what it has logged about drops, one record a
// line, with neither time nor connection.
func logTo(level slog.Level) (*slog.Logger, func() []string) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: level}))
	return logger, func() []string {
		var drops []string
		for line := range strings.Lines(log.String()) {
			if _, drop, ok := strings.Cut(strings.TrimSpace(line), `msg="websocket message dropped" `); ok {
				drops = append(drops, drop[strings.Index(drop, "message="):])
			}
		}
		return drops
	}
}

func TestDroppedMessagesAreLoggedBesideOnDrop(t *testing.T) {
	for _, hooked := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			logger, logged := logTo(slog.LevelDebug)
			var dropped []error
			opts := chanws.Options{Logger: logger, EventBuffer: 1, Overflow: chanws.DropNewest}
			if hooked {
				opts.OnDrop = func(_ chanws.Message, err error) { dropped = append(dropped, err) }
			}
			conn, peer := rawPair(t, opts)
			conn.Send <- chanws.Text("a\xffsecret")
			conn.Send <- chanws.Ping(make([]byte, 200))
			conn.Send <- nil
			conn.Send <- chanws.Close{Code: 1006}
			synctest.Wait()
			peer.send(frame.Text, "waits")
			peer.send(frame.Binary, "overflow")
			peer.send(frame.Ping, "p")
			peer.send(frame.Pong, "")
			synctest.Wait()
			peer.sendClose(1000, "")
			<-conn.Done()
			conn.Send <- chanws.Binary("late")
			synctest.Wait()
			require.Equal(t, []string{
				`message="text message of 8 bytes" err="chanws: invalid message: text is not valid UTF-8: 0xff at byte 1; want a binary message for other bytes"`,
				`message="ping of 200 bytes" err="chanws: invalid message: ping of 200 bytes: want at most 125"`,
				`message=<nil> err="chanws: invalid message: nil: want Text, Binary, Ping, Pong or Close"`,
				`message="close frame 1006 (abnormal closure)" err="chanws: invalid message: close code 1006 must not be sent: want 1000 to 1003, 1007 to 1014, 3000 to 4999, or 0 for none"`,
				`message="binary message of 8 bytes" err="event channel full"`,
				`message="ping of 1 bytes" err="event channel full"`,
				`message="pong of 0 bytes" err="event channel full"`,
				`message="binary message of 4 bytes" err="chanws: message sent after the connection ended, or after its close frame"`,
			}, logged())
			if hooked {
				require.Len(t, dropped, 8)
			}
			require.NoError(t, conn.Close(1000, ""))
		})
	}
}

func TestDroppedMessagesAreNotLoggedAboveDebug(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, logged := logTo(slog.LevelInfo)
		drops := 0
		conn, _ := rawPair(t, chanws.Options{Logger: logger, OnDrop: func(chanws.Message, error) { drops++ }})
		conn.Send <- chanws.Text("\xff")
		synctest.Wait()
		require.Empty(t, logged())
		require.Equal(t, 1, drops, "OnDrop is called all the same")
	})
}

func TestWhatALocalCloseDiscardsIsNotLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, logged := logTo(slog.LevelDebug)
		conn, peer := rawPair(t, chanws.Options{Logger: logger})
		peer.send(frame.Text, "unread")
		synctest.Wait()
		require.NoError(t, conn.CloseNow())
		conn.Send <- chanws.Text("late")
		require.Empty(t, logged())
	})
}
