package chanws_test

import (
	"bytes"
	"compress/flate"
	"io"
	"testing"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

const (
	noTakeover = chanws.CompressionNoContextTakeover
	takeover   = chanws.CompressionContextTakeover
)

// A deflatePeer is a bare peer that compresses with the standard library: the other
// implementation of RFC 7692 section 7.2.
type deflatePeer struct {
	*rawPeer
	takeover bool

	wire   bytes.Buffer // what has come, for reader
	reader io.ReadCloser
	packed bytes.Buffer // what writer has written
	writer *flate.Writer
}

// deflatePair gives a Conn in memory, as the server or the client, and its peer.
func deflatePair(t *testing.T, server bool, opts chanws.Options) (*chanws.Conn, *deflatePeer) {
	conn, bare := openMemory(t, server, opts)
	p := &deflatePeer{rawPeer: newRawPeer(t, bare, server), takeover: opts.Compression == takeover}
	p.reader = flate.NewReader(&p.wire)
	p.writer, _ = flate.NewWriter(&p.packed, 6)
	return conn, p
}

const deflateTail = "\x00\x00\xff\xff"

// deflate compresses a message.
func (p *deflatePeer) deflate(message []byte) []byte {
	p.packed.Reset()
	if !p.takeover {
		p.writer.Reset(&p.packed)
	}
	p.writer.Write(message)
	p.writer.Flush()
	return bytes.Clone(bytes.TrimSuffix(p.packed.Bytes(), []byte(deflateTail)))
}

// inflate decompresses a message of so many bytes.
func (p *deflatePeer) inflate(compressed []byte, size int) []byte {
	if !p.takeover {
		p.wire.Reset()
		p.reader.(flate.Resetter).Reset(&p.wire, nil)
	}
	p.wire.Write(compressed)
	p.wire.WriteString(deflateTail)
	message := make([]byte, size)
	_, err := io.ReadFull(p.reader, message)
	require.NoError(p.t, err)
	if !p.takeover {
		n, _ := p.reader.Read(make([]byte, 1))
		require.Zero(p.t, n, "the message is larger than it was")
	}
	return message
}

// encodeBit gives a frame whose RSV1 bit is set.
func (p *deflatePeer) encodeBit(fin bool, op frame.Opcode, payload []byte) []byte {
	b := p.encode(fin, op, payload)
	b[0] |= 0x40
	return b
}

// sendDeflated writes a compressed message of one frame.
func (p *deflatePeer) sendDeflated(op frame.Opcode, message []byte) {
	p.write(p.encodeBit(true, op, p.deflate(message)))
}

// nextMessage reads a data message, maybe in fragments, and tells what was on the
// wire.
func (p *deflatePeer) nextMessage(size int) (message []byte, frames []rawFrame) {
	p.t.Helper()
	var payload []byte
	for {
		f := p.next()
		require.False(p.t, f.Opcode.Control())
		require.Equal(p.t, len(frames) > 0, f.Opcode == frame.Continuation)
		require.False(p.t, len(frames) > 0 && f.RSV1, "RSV1 on a continuation")
		payload = append(payload, f.payload...)
		frames = append(frames, f)
		if f.Fin {
			break
		}
	}
	if !frames[0].RSV1 {
		require.Len(p.t, payload, size)
		return payload, frames
	}
	return p.inflate(payload, size), frames
}

// eachDeflate runs test with both roles and both modes.
func eachDeflate(t *testing.T, test func(t *testing.T, server bool, mode chanws.Compression)) {
	for _, server := range []bool{true, false} {
		for _, mode := range []chanws.Compression{noTakeover, takeover} {
			name := map[bool]string{true: "server", false: "client"}[server] +
				map[chanws.Compression]string{noTakeover: " without takeover", takeover: " with takeover"}[mode]
			t.Run(name, func(t *testing.T) { test(t, server, mode) })
		}
	}
}

// zeros gives size zeros, compressed as much as can be: a thousandth.
func zeros(size int) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 9)
	w.Write(make([]byte, size))
	w.Flush()
	return b.Bytes()
}
