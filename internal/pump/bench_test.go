package pump

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/chanws/chanws/internal/frame"
	"github.com/stretchr/testify/require"
)

// benchOver runs a benchmark of a server's pump for each kind of stream and size of
// message; the benchmark is the client and has the other end.
func benchOver(b *testing.B, sizes []int, run func(b *testing.B, p *Pump[any, any], far net.Conn, payload []byte)) {
	streams := map[string]func(testing.TB) (near, far net.Conn){
		"tcp": tcpPair,
		"pipe": func(testing.TB) (near, far net.Conn) {
			return net.Pipe() // without buffer and descriptor: what the pumps themselves cost
		},
	}
	for _, stream := range []string{"pipe", "tcp"} {
		for _, size := range sizes {
			b.Run(fmt.Sprintf("%s/%d", stream, size), func(b *testing.B) {
				near, far := streams[stream](b)
				opts := testOptions()
				opts.MaxMessageSize = None
				p := Start(Config[any, any]{Context: context.Background(), Conn: near, Options: &opts, Types: &testTypes})
				defer func() {
					far.Close()
					p.CloseNow()
				}()
				b.SetBytes(int64(size))
				b.ReportAllocs()
				run(b, p, far, bytes.Repeat([]byte("x"), size))
			})
		}
	}
}

// wire gives n masked frames.
func wire(op frame.Opcode, payload []byte, n int) []byte {
	client := peer{mask: true}
	return bytes.Repeat(client.frame(true, op, payload), n)
}

// BenchmarkReceive is what a message costs from the socket to the consumer, when the
// client writes 32 KiB at a time.
func BenchmarkReceive(b *testing.B) {
	for _, kind := range []struct {
		name string
		op   frame.Opcode
	}{{"text", frame.Text}, {"binary", frame.Binary}} {
		b.Run(kind.name, func(b *testing.B) {
			benchOver(b, []int{16, 128, 1 << 10, 64 << 10}, func(b *testing.B, p *Pump[any, any], far net.Conn, payload []byte) {
				batch := max(1, 32<<10/len(payload))
				frames := wire(kind.op, payload, batch)
				go func() {
					for {
						if _, err := far.Write(frames); err != nil {
							return
						}
					}
				}()
				for b.Loop() {
					<-p.Events()
				}
			})
		})
	}
}

// BenchmarkReceiveRecycle gives each payload back.
func BenchmarkReceiveRecycle(b *testing.B) {
	benchOver(b, []int{4 << 10, 64 << 10, 1 << 20}, func(b *testing.B, p *Pump[any, any], far net.Conn, payload []byte) {
		frames := wire(frame.Binary, payload, 1)
		go func() {
			for {
				if _, err := far.Write(frames); err != nil {
					return
				}
			}
		}()
		for b.Loop() {
			Recycle((<-p.Events()).(bin))
		}
	})
}

// BenchmarkSend is what a message costs from the channel to the socket. What waits
// goes out in one call, so that flushes a message is far below 1.
func BenchmarkSend(b *testing.B) {
	benchOver(b, []int{16, 128, 1 << 10, 64 << 10}, func(b *testing.B, p *Pump[any, any], far net.Conn, payload []byte) {
		go discard(far)
		n := 0
		for b.Loop() {
			p.Send() <- bin(payload)
			n++
		}
		require.NoError(b, p.Flush(b.Context()))
		b.ReportMetric(float64(p.Stats().Flushes)/float64(n), "flushes/op")
	})
}

// BenchmarkWrite waits for the operating system with each message.
func BenchmarkWrite(b *testing.B) {
	benchOver(b, []int{128, 64 << 10, 1 << 20}, func(b *testing.B, p *Pump[any, any], far net.Conn, payload []byte) {
		go discard(far)
		for b.Loop() {
			if err := p.Write(b.Context(), bin(payload)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkEcho has a loop over the two channels, and so many messages under way.
func BenchmarkEcho(b *testing.B) {
	for _, window := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("window=%d", window), func(b *testing.B) {
			benchOver(b, []int{128}, func(b *testing.B, p *Pump[any, any], far net.Conn, payload []byte) {
				go func() {
					for ev := range p.Events() {
						if m, ok := ev.(bin); ok {
							p.Send() <- m
						}
					}
				}()
				credit := make(chan int, window) // never full: one for each message under way
				credit <- window
				defer close(credit)
				frames := wire(frame.Binary, payload, window)
				go func() {
					for n := range credit {
						if _, err := far.Write(frames[:n*len(frames)/window]); err != nil {
							return
						}
					}
				}()
				reply := len(payload) + 4
				buf := make([]byte, window*reply)
				pending, ready := 0, 0
				for b.Loop() {
					for ready == 0 {
						n, err := far.Read(buf)
						if err != nil {
							b.Fatal(err)
						}
						pending += n
						if ready = pending / reply; ready > 0 {
							pending %= reply
							credit <- ready
						}
					}
					ready--
				}
			})
		})
	}
}

// discard reads until the end, with a buffer that keeps up.
func discard(c net.Conn) {
	_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 256<<10))
}
