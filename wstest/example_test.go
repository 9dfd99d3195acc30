package wstest_test

import (
	"io"
	"testing"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/wstest"
)

// The test plays a server that drops the connection inside a frame.
func ExampleRawServer() {
	var t *testing.T // of your test

	client, peer := wstest.RawServer(t, nil)
	peer.Write([]byte{0x81, 0x05, 'h', 'e'}) // a text frame of 5 bytes, of which 2 come
	peer.Close()
	if _, err := client.Receive(t.Context()); chanws.CloseStatus(err) != -1 {
		t.Fatal("a close frame has come:", err)
	}
}

// A NetPipe is a connection in memory for protocol code of one's own.
func ExampleNetPipe() {
	var t *testing.T // of your test

	a, b := wstest.NetPipe(t)
	if _, err := a.Write([]byte("hello")); err != nil { // does not wait for a reader
		t.Fatal(err)
	}
	a.(interface{ CloseWrite() error }).CloseWrite()
	text, err := io.ReadAll(b)
	t.Log(string(text), err)
}
