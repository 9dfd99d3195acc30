package conformance

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

const fuzzedMessage = 1 << 12 // MaxMessageSize

// FuzzConnection lets the peer say anything at all, in pieces of any size, and requires
// that what comes of it is what the oracle foretells: the events, the end, and the
// octets of the answer. Its bubble requires that no goroutine is left. The highest four bits
// of piece tell the mode of compression, 0 being none.
func FuzzConnection(f *testing.F) {
	for i, says := range seeds() {
		f.Add(says, true, false, uint16(i%(1+len(modes)))<<12)
		f.Add(says, false, false, uint16(3))
		f.Add(encode([]wire{text("raw")}, true), true, true, uint16(1))
	}
	for i := range 1 + len(modes) {
		f.Add(encode(compressedSeed, false), false, false, uint16(i)<<12|7)
	}
	f.Fuzz(func(t *testing.T, says []byte, server, raw bool, piece uint16) {
		if len(says) > 3000 {
			return
		}
		if server && !raw {
			says = masked(says)
		}
		synctest.Test(t, func(t *testing.T) { foretold(t, says, server, int(piece&0xfff), modeOf(int(piece>>12))) })
	})
}

// modeOf gives one of modes, or nil.
func modeOf(i int) *mode {
	if i < 1 || i > len(modes) {
		return nil
	}
	return &modes[i-1]
}

var compressedSeed = []wire{
	packedText(hello), text("world"), packedBlob(packedByFlate(9, content(500))).unfinished(), ping("p"), last(""),
	packedText(new(packer).stored("ab").fixed().match(10, 2).end().message()), packedText(helloAgain),
}

// seeds are words of a server's that each lead somewhere else.
func seeds() [][]byte {
	var all [][]byte
	for _, says := range [][]wire{
		{text("Hello"), blob("\x00\xff"), closing(1000, "bye")},
		{textPart("Hel"), ping("between"), part(""), last("lo"), pong("p"), goodbye("")},
		{text("κόσμε"), text("\xe2\x82"), text("after")},
		{textPart("\xf0\x9d"), last("\x84\x9e"), textPart("\xed"), part("\xa0")},
		{blob(content(126)), blob(content(1000)), blob("").claiming(1 << 40)},
		{blobPart(content(2048)), part(content(2048)), ping(""), last("x")},
		{opcode(3)}, {opcode(0xb)}, {text("").with(rsv1)}, {ping("").with(rsv2)}, {part("x")},
		{textPart("a"), text("b")}, {ping("p").unfinished()}, {closing(1005, "")}, {goodbye("x")}, {closing(3000, "\xff")},
		{text("x").in(16)}, {text("x").in(64)}, {ping(content(126))}, {blob("").claiming(1 << 63)}, {text("x").wronglyMasked()},
		{text("cut").cutAfter(3)}, {closing(4999, "r"), text("after"), closing(1000, "")},
	} {
		all = append(all, encode(says, false))
	}
	return all
}

// masked gives a server's words as a client would say them, as far as they are frames.
func masked(b []byte) []byte {
	var out []byte
	for key := [4]byte{0x11, 0x22, 0x44, 0x88}; len(b) >= 2 && b[1]&0x80 == 0; key[0]++ {
		size, length := 2, uint64(b[1])
		switch {
		case length == 126 && len(b) >= 4:
			size, length = 4, uint64(binary.BigEndian.Uint16(b[2:]))
		case length == 127 && len(b) >= 10:
			size, length = 10, binary.BigEndian.Uint64(b[2:])
		case length >= 126:
			return append(out, b...)
		}
		n := int(min(length, uint64(len(b)-size)))
		out = append(out, b[0], b[1]|0x80)
		out = append(append(out, b[2:size]...), key[:]...)
		at := len(out)
		out = append(out, b[size:size+n]...)
		mask(out[at:], key)
		b = b[size+n:]
	}
	return append(out, b...)
}

// foretold says octets to a connection, ends the stream, and holds what comes of it
// against the oracle.
func foretold(t *testing.T, says []byte, server bool, piece int, m *mode) {
	o := oracle{fromClient: server, most: fuzzedMessage}
	if m != nil {
		o.reader = m.terms.peer.reader()
		o.reader.Lax = true
	}
	o.foretell(says)
	x := exchange{
		options: chanws.Options{MaxMessageSize: fuzzedMessage, EventBuffer: 2000},
		octets:  says, leaves: true, sees: o.sees, hears: o.hears, ends: failed(errDropped),
	}
	if m != nil {
		x.options.Compression, x.deflate = m.options, &m.terms
	}
	if o.close != nil {
		x.ends = func(t *testing.T, err error) { require.Equal(t, o.close, chanws.Event(err.(chanws.Close))) }
	}
	if o.code != 0 {
		x.lastCode = o.code
		x.ends = func(t *testing.T, err error) {
			var breach *chanws.ProtocolError
			if o.twofold && errors.As(err, &breach) && breach.Code == 1007 {
				x.lastCode = 1007
			}
			brokenBy(x.lastCode)(t, err)
		}
	}
	x.run(t, server, chopping{octets: min(piece, len(says))})
}

func brokenBy(code int) ending {
	return func(t *testing.T, err error) {
		t.Helper()
		var breach *chanws.ProtocolError
		require.ErrorAs(t, err, &breach)
		require.EqualValues(t, code, breach.Code)
	}
}

// What the fuzzer finds by chance, in small: words that are mostly right.
func TestTheOracleAndTheLibraryAgree(t *testing.T) {
	t.Parallel()
	for seed := range 20 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			for i := range 10 {
				rng := rand.New(rand.NewPCG(uint64(seed), uint64(i)))
				m := modeOf(rng.IntN(16))
				says := babble(rng, m != nil)
				for _, server := range []bool{true, false} {
					synctest.Test(t, func(t *testing.T) { foretold(t, encode(says, server), server, 1+rng.IntN(200), m) })
				}
			}
		})
	}
}

// babble gives frames of all kinds, of which a few break a rule.
func babble(rng *rand.Rand, packs bool) []wire {
	var says []wire
	rest := "" // of a compressed message
	inside := false
	for range rng.IntN(40) {
		s := content(rng.IntN(130))
		if rng.IntN(3) == 0 {
			s = "zß水𝄞"[:rng.IntN(11)]
		}
		var w wire
		switch n := rng.IntN(12); {
		case n < 3:
			w = ping(s[:min(len(s), 125)])
		case n < 5:
			w = pong(s[:min(len(s), 125)])
		case n < 6 && rng.IntN(4) == 0:
			w = closing(1000+rng.IntN(16), s[:min(len(s), 123)])
		case inside:
			w = wire{first: byte(rng.IntN(2)) * fin, payload: s}
			if packs {
				w.payload, rest = rest, ""
			}
			inside = w.first&fin == 0
		case packs && rng.IntN(4) > 0:
			packed := packedBySome(rng, s)
			at := rng.IntN(len(packed) + 1)
			w = wire{first: byte(rng.IntN(2))*fin | rsv1 | 1 + byte(rng.IntN(2)), payload: packed}
			if inside = w.first&fin == 0; inside {
				w.payload, rest = packed[:at], packed[at:]
			}
		default:
			w = wire{first: byte(rng.IntN(2))*fin | 1 + byte(rng.IntN(2)), payload: s}
			inside = w.first&fin == 0
		}
		if rng.IntN(60) == 0 {
			w.first ^= 1 << rng.IntN(8)
		}
		says = append(says, w)
	}
	return says
}

// packedBySome compresses s, or now and then spoils that.
func packedBySome(rng *rand.Rand, s string) string {
	packed := packedByFlate(rng.IntN(10), s)
	switch rng.IntN(6) {
	case 0:
		packed = helloAgain
	case 1:
		packed = new(packer).stored(s).fixed().match(3+rng.IntN(8), 1+rng.IntN(400)).end().message()
	case 2:
		if rng.IntN(4) == 0 {
			b := []byte(packed)
			b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
			packed = string(b)
		}
	}
	return packed
}
