package frame_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chanws/chanws/internal/frame"
)

func TestMaskingFollowsTheRole(t *testing.T) {
	t.Parallel()
	for _, o := range []frame.Opcode{frame.Text, frame.Binary, frame.Close, frame.Ping, frame.Pong} {
		masked, plain := frame.Header{Fin: true, Opcode: o, Masked: true}, frame.Header{Fin: true, Opcode: o}
		client, server := frame.Sequence{FromClient: true}, frame.Sequence{}
		require.NoError(t, client.Next(masked))
		require.NoError(t, server.Next(plain))
		requireViolation(t, client.Next(plain), 1002, "unmasked "+o.String()+" frame from a client")
		requireViolation(t, server.Next(masked), 1002, "masked "+o.String()+" frame from a server")
	}
}

// letters are frames for TestOrders: a fragment that does not end its message is
// in lower case.
var letters = map[byte]frame.Header{
	'T': {Fin: true, Opcode: frame.Text},
	't': {Opcode: frame.Text},
	'B': {Fin: true, Opcode: frame.Binary},
	'b': {Opcode: frame.Binary},
	'C': {Fin: true, Opcode: frame.Continuation},
	'c': {Opcode: frame.Continuation},
	'P': {Fin: true, Opcode: frame.Ping},
	'O': {Fin: true, Opcode: frame.Pong},
}

func TestFramesMayComeInTheOrdersOfTheGrammarAndInNoOther(t *testing.T) {
	t.Parallel()
	grammar := regexp.MustCompile(`^([TBPO]|[tb][cPO]*C)*([tb][cPO]*)?$`)
	underWay := regexp.MustCompile(`([tb])[cPO]*$`)
	var try func(order string)
	try = func(order string) {
		var s frame.Sequence
		for i := range len(order) {
			err := s.Next(letters[order[i]])
			if got, want := err == nil, grammar.MatchString(order[:i+1]); got != want {
				t.Fatalf("%q: frame %d taken %v, want %v", order, i, got, want)
			}
			if err != nil {
				return
			}
			want := frame.Continuation
			if m := underWay.FindStringSubmatch(order[:i+1]); m != nil {
				want = letters[m[1][0]].Opcode
			}
			if s.Opcode() != want {
				t.Fatalf("%q: %s under way, want %s", order[:i+1], s.Opcode(), want)
			}
		}
		if len(order) < 5 {
			for letter := range letters {
				try(order + string(letter))
			}
		}
	}
	try("")
}

func TestSequenceNamesWhatIsOutOfOrder(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		s       frame.Sequence
		before  string
		next    frame.Header
		reason  string
		opcode  frame.Opcode // under way, before and after
		allowed bool
	}{
		{name: "a continuation at the very start", next: frame.Header{Opcode: frame.Continuation}, reason: "continuation frame outside a message"},
		{name: "a continuation after a whole message", before: "T", next: frame.Header{Fin: true}, reason: "continuation frame outside a message"},
		{name: "a continuation after the last fragment", before: "tC", next: frame.Header{Fin: true}, reason: "continuation frame outside a message"},
		{name: "text inside binary", before: "b", next: frame.Header{Fin: true, Opcode: frame.Text}, opcode: frame.Binary, reason: "text frame inside a fragmented binary message"},
		{name: "binary inside text, after a ping", before: "tP", next: frame.Header{Opcode: frame.Binary}, opcode: frame.Text, reason: "binary frame inside a fragmented text message"},
		{name: "RSV1 that was not negotiated", next: frame.Header{Fin: true, RSV1: true, Opcode: frame.Text}, reason: "RSV1 set without an extension"},
		{name: "RSV1 that was negotiated, on a whole message", s: frame.Sequence{RSV1: true}, next: frame.Header{Fin: true, RSV1: true, Opcode: frame.Text}, allowed: true},
		{name: "no RSV1 though it was negotiated", s: frame.Sequence{RSV1: true}, next: frame.Header{Fin: true, Opcode: frame.Binary}, allowed: true},
		{name: "RSV1 on a continuation", s: frame.Sequence{RSV1: true}, before: "t", next: frame.Header{Fin: true, RSV1: true}, opcode: frame.Text, reason: "RSV1 set on a continuation frame"},
		{name: "RSV1 on a close frame", s: frame.Sequence{RSV1: true}, next: frame.Header{Fin: true, RSV1: true, Opcode: frame.Close}, reason: "RSV1 set on a close frame"},
		{name: "RSV1 on a ping between fragments", s: frame.Sequence{RSV1: true}, before: "b", next: frame.Header{Fin: true, RSV1: true, Opcode: frame.Ping}, opcode: frame.Binary, reason: "RSV1 set on a ping frame"},
		{name: "RSV1 on a pong", next: frame.Header{Fin: true, RSV1: true, Opcode: frame.Pong}, reason: "RSV1 set on a pong frame"},
		{name: "a close frame between fragments", before: "t", next: frame.Header{Fin: true, Opcode: frame.Close}, opcode: frame.Text, allowed: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := tt.s
			for letter := range strings.SplitSeq(tt.before, "") {
				require.NoError(t, s.Next(letters[letter[0]]))
			}
			require.Equal(t, tt.opcode, s.Opcode())
			err := s.Next(tt.next)
			if tt.allowed {
				require.NoError(t, err)
			} else {
				requireViolation(t, err, 1002, tt.reason)
			}
			require.Equal(t, tt.opcode, s.Opcode(), "a violation or a control frame changes nothing")
		})
	}
}

func TestACompressedMessageMayBeFragmented(t *testing.T) {
	t.Parallel()
	s := frame.Sequence{RSV1: true}
	require.NoError(t, s.Next(frame.Header{RSV1: true, Opcode: frame.Binary}))
	require.Equal(t, frame.Binary, s.Opcode())
	require.NoError(t, s.Next(frame.Header{Opcode: frame.Continuation}))
	require.NoError(t, s.Next(frame.Header{Fin: true, Opcode: frame.Continuation}))
	require.Equal(t, frame.Continuation, s.Opcode())
}
