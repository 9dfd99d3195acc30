package frame_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chanws/chanws/internal/frame"
)

func TestMessagesThatCannotBeSentAreRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	const codes = " must not be sent: want 1000 to 1003, 1007 to 1014, 3000 to 4999, or 0 for none"
	for want, err := range map[string]error{
		"close code -1" + codes:                           frame.CheckClose(-1, ""),
		"close code 1" + codes:                            frame.CheckClose(1, ""),
		"close code 1004" + codes:                         frame.CheckClose(1004, "reason"),
		"close code 1006" + codes:                         frame.CheckClose(1006, ""),
		"close code 1015" + codes:                         frame.CheckClose(1015, ""),
		"close code 65536" + codes:                        frame.CheckClose(65536, ""),
		"close reason of 124 bytes: want at most 123":     frame.CheckClose(1000, strings.Repeat("r", 124)),
		"close reason is not valid UTF-8: 0xe6 at byte 3": frame.CheckClose(1000, "ab\n\xe6\xb0"),
		`close reason "bye" without a close code: want 1000 for a normal closure`:                             frame.CheckClose(0, "bye"),
		`close reason "\xff" without a close code: want 1000 for a normal closure`:                            frame.CheckClose(frame.NoStatus, "\xff"),
		"ping of 126 bytes: want at most 125":                                                                 frame.CheckControl(frame.Ping, 126),
		"pong of 70000 bytes: want at most 125":                                                               frame.CheckControl(frame.Pong, 70000),
		"text is not valid UTF-8: 0xff at byte 0; want a binary message for other bytes":                      frame.CheckText([]byte("\xff")),
		"text is not valid UTF-8: 0xe9 at byte 5; want a binary message for other bytes":                      frame.CheckText([]byte("ab\u6c34\xe9t\xe9")),
		"text is not valid UTF-8: 0xed at byte 3; want a binary message for other bytes":                      frame.CheckText([]byte("\ufffd\xed\xa0\x80")),
		"text is not valid UTF-8: 0xf0 at byte 1000000; want a binary message for other bytes":                frame.CheckText([]byte(strings.Repeat("x", 1e6) + "\xf0\x9d\x84")),
		`close reason "` + strings.Repeat("r", 40) + `" without a close code: want 1000 for a normal closure`: frame.CheckClose(0, strings.Repeat("r", 500)),
	} {
		require.EqualError(t, err, want)
	}
}

func TestMessagesThatCanBeSentAreNotRefused(t *testing.T) {
	t.Parallel()
	for _, code := range []int{0, frame.NoStatus, 1000, 1003, 1007, 1014, 3000, 4999} {
		require.NoError(t, frame.CheckClose(code, ""), code)
	}
	require.NoError(t, frame.CheckClose(1000, strings.Repeat("\u6c34", 41)))
	require.NoError(t, frame.CheckControl(frame.Ping, 0))
	require.NoError(t, frame.CheckControl(frame.Pong, 125))
	for _, s := range []string{"", "\x00", "\ufffd", "\U0010ffff", strings.Repeat("\u6c34", 1000)} {
		require.NoError(t, frame.CheckText([]byte(s)))
	}
}

func TestACloseWithTheCodeZeroHasNoPayload(t *testing.T) {
	t.Parallel()
	require.Empty(t, frame.AppendClose(nil, 0, ""))
}
