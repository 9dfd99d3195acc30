package frame_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/chanws/chanws/internal/frame"
)

// violatesAt returns how many bytes of p show that nothing can follow to make it
// UTF-8, or 0 if something can; unfinished says whether it ends inside a character.
func violatesAt(p []byte) (at int, unfinished bool) {
	for i := 0; i < len(p); {
		r, size := utf8.DecodeRune(p[i:])
		if r != utf8.RuneError || size > 1 {
			i += size
			continue
		}
		for n := 1; n <= len(p)-i; n++ {
			if utf8.FullRune(p[i : i+n]) {
				return i + n, false
			}
		}
		return 0, true
	}
	return 0, false
}

// requireLikeReference feeds p byte by byte, at once, and cut in two at every
// position, with and without ASCII around it, and compares with violatesAt.
func requireLikeReference(t *testing.T, p []byte) {
	t.Helper()
	at, unfinished := violatesAt(p)
	var u frame.UTF8
	for i := range p {
		if got, want := u.Valid(p[i:i+1]), at == 0 || i+1 < at; got != want {
			t.Fatalf("% x: byte %d valid %v, want %v", p, i, got, want)
		}
	}
	if got, want := u.Complete(), at == 0 && !unfinished; got != want {
		t.Fatalf("% x: complete %v, want %v", p, got, want)
	}
	for cut := range len(p) + 1 {
		u.Reset()
		head, tail := u.Valid(p[:cut]), u.Valid(p[cut:])
		if want := at == 0 || cut < at; head != want {
			t.Fatalf("% x: first %d bytes valid %v, want %v", p, cut, head, want)
		}
		if want := at == 0; tail != want {
			t.Fatalf("% x: cut at %d valid %v, want %v", p, cut, tail, want)
		}
		if want := at == 0 && !unfinished; u.Complete() != want {
			t.Fatalf("% x: cut at %d complete %v, want %v", p, cut, u.Complete(), want)
		}
	}
}

// edges are the bytes at which RFC 3629 changes its mind.
var edges = []byte{
	0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1,
	0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf7, 0xf8, 0xff,
}

func TestEveryPairOfBytesIsJudgedAtItsByte(t *testing.T) {
	t.Parallel()
	for a := range 256 {
		for b := range 256 {
			requireLikeReference(t, []byte{byte(a), byte(b)})
		}
	}
}

func TestEveryEdgeOfTheGrammarIsJudgedAtItsByte(t *testing.T) {
	t.Parallel()
	continuations := []byte{0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0}
	for _, a := range edges {
		for _, b := range continuations {
			for _, c := range continuations {
				for _, d := range edges {
					requireLikeReference(t, []byte{a, b, c, d})
				}
			}
		}
	}
}

func TestEveryCharacterIsValid(t *testing.T) {
	t.Parallel()
	var p []byte
	for r := rune(0); r <= utf8.MaxRune; r++ {
		if utf8.ValidRune(r) {
			p = utf8.AppendRune(p, r)
		}
		if r%0x1000 == 0xfff {
			var u frame.UTF8
			if !u.Valid(p) || !u.Complete() {
				t.Fatalf("up to %U", r)
			}
			p = p[:0]
		}
	}
}

func TestInvalidTextIsFoundAtTheFirstOffendingByte(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, bad string
		at        int
	}{
		{"a continuation byte alone", "\x80", 1},
		{"overlong slash of two bytes", "\xc0\xaf", 1},
		{"overlong DEL of two bytes", "\xc1\xbf", 1},
		{"overlong NUL of three bytes", "\xe0\x80\x80", 2},
		{"overlong U+07FF of three bytes", "\xe0\x9f\xbf", 2},
		{"overlong U+FFFF of four bytes", "\xf0\x8f\xbf\xbf", 2},
		{"the first surrogate", "\xed\xa0\x80", 2},
		{"the last surrogate", "\xed\xbf\xbf", 2},
		{"a pair of surrogates", "\xed\xa0\xbd\xed\xb8\x80", 2},
		{"U+110000", "\xf4\x90\x80\x80", 2},
		{"above every plane", "\xf5\x80\x80\x80", 1},
		{"a head of five bytes", "\xf8\x88\x80\x80\x80", 1},
		{"a byte-order mark of UTF-16", "\xff\xfe", 1},
		{"two bytes, the second ASCII", "\xc3(", 2},
		{"three bytes, the third ASCII", "\xe2\x82(", 3},
		{"four bytes, the fourth a head", "\xf0\x9f\x98\xf0", 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			at, _ := violatesAt([]byte(tt.bad))
			require.Equal(t, tt.at, at, "the reference")
			for _, before := range []string{"", "a", "é", "15 bytes of text", "山田太郎", strings.Repeat("long ", 30), strings.Repeat("lång ", 30)} {
				for _, after := range []string{"", strings.Repeat("z", 40)} {
					requireLikeReference(t, []byte(before+tt.bad+after))
				}
			}
		})
	}
}

func TestValidTextMayBeCutAnywhere(t *testing.T) {
	t.Parallel()
	for _, text := range texts {
		t.Run(text.name, func(t *testing.T) {
			t.Parallel()
			requireLikeReference(t, []byte(text.sample))
			requireLikeReference(t, []byte(strings.Repeat("x", 100)+text.sample+strings.Repeat("y", 100)))
			for size := 1; size <= 40; size++ {
				var u frame.UTF8
				for rest := []byte(strings.Repeat(text.sample, 5)); len(rest) > 0; rest = rest[min(size, len(rest)):] {
					require.True(t, u.Valid(rest[:min(size, len(rest))]), "pieces of %d bytes", size)
				}
				require.True(t, u.Complete())
			}
		})
	}
}

func TestAnEmptyPieceChangesNothing(t *testing.T) {
	t.Parallel()
	var u frame.UTF8
	require.True(t, u.Valid(nil))
	require.True(t, u.Complete())
	require.True(t, u.Valid([]byte("\xe2\x82")))
	require.True(t, u.Valid(nil))
	require.False(t, u.Complete())
	require.True(t, u.Valid([]byte("\xac")))
	require.True(t, u.Complete())
}

func TestWhatIsInvalidStaysInvalidUntilReset(t *testing.T) {
	t.Parallel()
	var u frame.UTF8
	require.False(t, u.Valid([]byte("\xff")))
	require.False(t, u.Valid(nil))
	require.False(t, u.Valid([]byte(strings.Repeat("fine again", 10))))
	require.False(t, u.Complete())
	u.Reset()
	require.True(t, u.Complete())
	require.True(t, u.Valid([]byte("fine again")))
}
