package interop

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/chanws/chanws"
	"github.com/stretchr/testify/require"
)

// A material is something that messages are made of.
type material struct {
	name   string
	binary bool
	make   func(size int) []byte
}

var materials = []material{
	{"JSON", false, func(size int) []byte {
		var b bytes.Buffer
		for i := 0; b.Len() < size; i++ {
			fmt.Fprintf(&b, `{"id":%d,"name":"item %d","price":%d.%02d,"tags":["a","b"],"in stock":%t}`+"\n", i, i*7919%1000, i*31%997, i%100, i%3 == 0)
		}
		return b.Bytes()[:size]
	}},
	{"text", false, payload},
	{"zeros", true, func(size int) []byte { return make([]byte, size) }},
	{"random bytes", true, func(size int) []byte {
		data := make([]byte, size)
		rand.NewChaCha8([32]byte{byte(size)}).Read(data)
		return data
	}},
	{"compressed data", true, func(size int) []byte {
		// Repeated, but beyond the reach of any window.
		return bytes.Repeat(compressedData(), size/len(compressedData())+1)[:size]
	}},
}

// compressedData is some 80 KiB of what gzip makes.
var compressedData = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	line := make([]byte, 160<<10)
	rand.NewChaCha8([32]byte{1}).Read(line)
	for i := range line {
		line[i] = 'a' + line[i]%16
	}
	w.Write(line)
	w.Close()
	return b.Bytes()
})

// modes are the settings of Options.Compression.
var modes = map[string]chanws.Compression{
	"no compression":      chanws.CompressionDisabled,
	"context takeover":    chanws.CompressionContextTakeover,
	"no context takeover": chanws.CompressionNoContextTakeover,
}

// deflateParameters are what a peer offers as a client, or answers as a server.
var deflateParameters = []string{
	"permessage-deflate",
	"permessage-deflate; server_no_context_takeover",
	"permessage-deflate; client_no_context_takeover",
	"permessage-deflate; server_no_context_takeover; client_no_context_takeover",
	"permessage-deflate; server_max_window_bits=9",
	"permessage-deflate; client_max_window_bits=9",
	"permessage-deflate; server_max_window_bits=10; client_max_window_bits=12",
	"permessage-deflate; server_no_context_takeover; server_max_window_bits=12; client_max_window_bits=9",
}

// eachCompression runs a test for every library with permessage-deflate, role, mode
// and choice of parameters.
func eachCompression(t *testing.T, test func(t *testing.T, a arrangement)) {
	for _, lib := range libraries {
		if !lib.compresses {
			continue
		}
		t.Run(lib.name, func(t *testing.T) {
			t.Parallel()
			lib.start(t)
			for name, mode := range modes {
				for _, parameters := range deflateParameters {
					for _, server := range []bool{false, true} {
						byDefault := parameters == deflateParameters[0]
						if !byDefault && mode == chanws.CompressionDisabled {
							continue
						}
						role := "chanws dials"
						if server {
							role = "chanws listens"
						}
						t.Run(fmt.Sprintf("%s, %s, %s", role, name, parameters), func(t *testing.T) {
							t.Parallel()
							test(t, arrangement{
								library: lib, server: server, deflate: parameters,
								options: chanws.Options{Compression: mode, CompressionThreshold: -1, MaxMessageSize: -1},
							})
						})
					}
				}
			}
		})
	}
}

// bothCompress tells that both sides want to compress.
func (a arrangement) bothCompress() bool {
	return a.options.Compression != chanws.CompressionDisabled && (a.deflate != "" || a.goDeflate != nil)
}

func TestCompressedMessagesArriveUnchangedBothWays(t *testing.T) {
	t.Parallel()
	var messages []dataMessage
	for _, size := range []int{0, 1, 2, 126, 1000, 40000} {
		for _, m := range materials {
			messages = append(messages, dataMessage{m.binary, m.make(size)})
		}
	}
	eachCompression(t, func(t *testing.T, a arrangement) {
		exchangeCompressed(t, a, messages, 0.9)
	})
}

// TestCompressedFragmentsArriveUnchangedBothWays also has messages in between that
// are below the threshold and so are not compressed.
func TestCompressedFragmentsArriveUnchangedBothWays(t *testing.T) {
	t.Parallel()
	var messages []dataMessage
	for _, size := range []int{3000, 10, 300, 0, 3000, 10000} {
		for _, m := range materials {
			messages = append(messages, dataMessage{m.binary, m.make(size)})
		}
	}
	eachCompression(t, func(t *testing.T, a arrangement) {
		if strings.Contains(a.deflate, "no_context") {
			return
		}
		a.fragment, a.options.FragmentSize, a.options.CompressionThreshold = 100, 100, 0
		exchangeCompressed(t, a, messages, 0.9)
	})
}

func TestLargeCompressedMessagesArriveUnchangedBothWays(t *testing.T) {
	t.Parallel()
	messages := largeMessages()
	eachCompression(t, func(t *testing.T, a arrangement) {
		if *everyCombination || a.deflate == deflateParameters[0] && a.options.Compression == chanws.CompressionContextTakeover {
			exchangeCompressed(t, a, messages, 0.9)
		}
	})
}

// everyCombination makes the tests of large messages long.
var everyCombination = flag.Bool("everycombination", false, "send messages up to 4 MiB with every combination of mode, window and role, not with the most usual ones")

// largeMessages are JSON and random bytes of 4 MiB, or messages of every material up to
// that size.
func largeMessages() []dataMessage {
	sizes, of := []int{4 << 20}, []material{materials[0], materials[3]}
	if *everyCombination {
		sizes, of = []int{65535, 65536, 1 << 20, 4 << 20}, materials
	}
	var messages []dataMessage
	for _, size := range sizes {
		for _, m := range of {
			messages = append(messages, dataMessage{m.binary, m.make(size)})
		}
	}
	return messages
}

// exchangeCompressed sends messages there and back, and holds the bytes on the wire
// against what was agreed on: compressed, they are less than a part of what they stand
// for.
func exchangeCompressed(t *testing.T, a arrangement, messages []dataMessage, part float64) {
	t.Helper()
	c, p := a.connect(t)
	var whole uint64
	for _, m := range messages {
		whole += uint64(len(m.data))
		there := chanws.Message(chanws.Text(m.data))
		if m.binary {
			there = chanws.Binary(m.data)
		}
		c.Send <- there
		requireMessage(t, m, receive(t, p.inbox()))

		written := make(chan error, 1)
		go func() { written <- p.write(m.binary, m.data) }()
		requireMessage(t, m, receive(t, c.Events()))
		require.NoError(t, receive(t, written))
	}
	require.NoError(t, c.Close(chanws.StatusNormalClosure, ""))
	stats := c.Stats()
	if a.bothCompress() {
		require.Less(t, stats.BytesSent, uint64(float64(whole)*part), "chanws compresses")
		require.Less(t, stats.BytesReceived, uint64(float64(whole)*part), "the peer compresses")
	} else {
		require.Greater(t, stats.BytesSent, whole, "nobody compresses")
		require.Greater(t, stats.BytesReceived, whole, "nobody compresses")
	}
}
