package frame_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chanws/chanws/internal/frame"
)

func TestCloseCodesOnTheWireAreThoseOfTheRegistryAndAbove3000(t *testing.T) {
	t.Parallel()
	valid := map[int]bool{
		1000: true, 1001: true, 1002: true, 1003: true, 1007: true, 1008: true, 1009: true,
		1010: true, 1011: true, 1012: true, 1013: true, 1014: true,
	}
	for code := 3000; code <= 4999; code++ {
		valid[code] = true
	}
	for code := -1; code <= 0x10000+1000; code++ {
		if frame.ValidCode(code) != valid[code] {
			t.Fatalf("code %d: %v, want %v", code, !valid[code], valid[code])
		}
	}
}

func TestClosePayloadGoesOnTheWireAndComesBack(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		code   int
		reason string
		wire   string
	}{
		{"no code, no payload", frame.NoStatus, "", ""},
		{"a code alone", 1000, "", "\x03\xe8"},
		{"a code and a reason", 1001, "going away", "\x03\xe9going away"},
		{"a reason that is not ASCII", 3000, "Grüße 👋", "\x0b\xb8Grüße 👋"},
		{"the longest reason", 4999, strings.Repeat("x", 123), "\x13\x87" + strings.Repeat("x", 123)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.wire, string(frame.AppendClose(nil, tt.code, tt.reason)))
			require.Equal(t, "before"+tt.wire, string(frame.AppendClose([]byte("before"), tt.code, tt.reason)))
			code, reason, err := frame.ParseClose([]byte(tt.wire))
			require.NoError(t, err)
			require.Equal(t, tt.code, code)
			require.Equal(t, tt.reason, reason)
		})
	}
}

func TestACloseWithoutACodeHasNoReasonEither(t *testing.T) {
	t.Parallel()
	require.Empty(t, frame.AppendClose(nil, frame.NoStatus, "lost"))
}

func TestEveryCodeOfTwoBytesIsTakenOrNamed(t *testing.T) {
	t.Parallel()
	for want := range 0x10000 {
		code, _, err := frame.ParseClose([]byte{byte(want >> 8), byte(want)})
		if frame.ValidCode(want) {
			if err != nil || code != want {
				t.Fatalf("code %d: %d, %v", want, code, err)
			}
			continue
		}
		if err == nil || code != 0 || !strings.Contains(err.Error(), "close code "+strconv.Itoa(want)+" must not be on the wire") {
			t.Fatalf("code %d: %d, %v", want, code, err)
		}
	}
}

func TestClosePayloadsThatViolate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, wire string
		code       int
		reason     string
	}{
		{"half a code", "\x03", 1002, "close frame of 1 byte, half a close code"},
		{"code 0", "\x00\x00", 1002, "close code 0 must not be on the wire"},
		{"code 999", "\x03\xe7", 1002, "close code 999 must not be on the wire"},
		{"code 1004, reserved", "\x03\xec", 1002, "close code 1004 must not be on the wire"},
		{"code 1005, for none", "\x03\xedreason", 1002, "close code 1005 must not be on the wire"},
		{"code 1006, for a lost connection", "\x03\xee", 1002, "close code 1006 must not be on the wire"},
		{"code 1015, for TLS", "\x03\xf7", 1002, "close code 1015 must not be on the wire"},
		{"code 5000", "\x13\x88", 1002, "close code 5000 must not be on the wire"},
		{"a bad code before a bad reason", "\x03\xed\xff", 1002, "close code 1005 must not be on the wire"},
		{"a reason that is not UTF-8", "\x03\xe8\xff", 1007, "close reason is not UTF-8"},
		{"a reason with a surrogate", "\x03\xe8\xed\xa0\x80", 1007, "close reason is not UTF-8"},
		{"a reason cut inside a character", "\x03\xe8gr\xc3", 1007, "close reason is not UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, reason, err := frame.ParseClose([]byte(tt.wire))
			requireViolation(t, err, tt.code, tt.reason)
			require.Zero(t, code)
			require.Empty(t, reason)
		})
	}
}

func TestTheReasonOutlivesThePayload(t *testing.T) {
	t.Parallel()
	payload := []byte("\x03\xe8bye")
	_, reason, err := frame.ParseClose(payload)
	require.NoError(t, err)
	clear(payload)
	require.Equal(t, "bye", reason)
}
