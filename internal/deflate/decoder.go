package deflate

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

// ErrTooLarge is the error for a message that is larger than the limit.
var ErrTooLarge = errors.New("message too large")

// ErrCorrupt is matched by the errors for data that cannot be decompressed.
var ErrCorrupt = errors.New("corrupt compressed data")

// A Decoder decompresses the messages of one direction. It must not be used concurrently.
type Decoder struct {
	takeover bool
	window   window // empty without context takeover
}

// NewDecoder returns a decoder for messages whose sender refers back at most 1<<bits
// bytes, and with takeover also to earlier messages. It holds no more of these. Within a
// message it accepts every distance that DEFLATE can express.
func NewDecoder(bits int, takeover bool) *Decoder {
	return &Decoder{takeover: takeover, window: window{size: 1 << bits}}
}

// A reader is the state of the codec, and what it reads from.
type reader struct {
	codec interface {
		flate.Resetter
		io.WriterTo
	}
	in  source
	out message
	// window is that of a message within which the codec has to start again.
	window window
}

var readers = sync.Pool{New: func() any {
	r := new(reader)
	r.codec = flate.NewReader(&r.in).(interface {
		flate.Resetter
		io.WriterTo
	})
	return r
}}

// Decode decompresses a message. compressed is the payload of all its frames.
// The result is a slice that allocate has returned for its size, or for a guess of it that was
// large enough. The error is [ErrTooLarge] as soon as there are more than limit bytes,
// or matches [ErrCorrupt]; the decoder must not be used any more then.
func (d *Decoder) Decode(compressed []byte, limit int64, allocate func(size int) []byte) ([]byte, error) {
	r := readers.Get().(*reader)
	defer r.close()
	r.in.open(compressed)
	r.out = message{in: &r.in, limit: limit, allocate: allocate}
	if err := r.decompress(&d.window); err != nil {
		return nil, err
	}
	payload := r.out.payload
	if payload == nil {
		payload = allocate(0)
	}
	if d.takeover {
		d.window.add(payload)
	}
	return payload, nil
}

// close puts the reader back into the pool, without the message.
func (r *reader) close() {
	r.in, r.out = source{}, message{}
	readers.Put(r)
}

// decompress reads the message in r.in and writes it to r.out. A block with BFINAL ends a stream of the
// codec but not the message, RFC 7692 section 7.2.3.4: what follows on the next byte is
// read as another stream with the same window.
func (r *reader) decompress(w *window) error {
	if len(r.in.b) == 0 {
		return nil // an empty message whose sender has omitted the header of the last block
	}
	for finals := 0; ; finals++ {
		start := len(r.out.payload)
		if err := r.codec.Reset(&r.in, w.b); err != nil {
			return err
		}
		if _, err := r.codec.WriteTo(&r.out); err != nil {
			return explain(err)
		}
		switch rest := r.in.rest(); {
		case r.in.at == r.in.end(), len(rest) == 0 && r.in.at == len(r.in.b), string(rest) == "\x00":
			return nil
		case len(rest) == 0:
			return errTruncated
		case finals > maxFinals(len(r.in.b)):
			return errFinals
		}
		w = r.continueWindow(w, r.out.payload[start:])
	}
}

// maxFinals is how many blocks with BFINAL a message of n compressed bytes may have. Each
// costs as much time as a window that is copied twice, and takes two bytes.
func maxFinals(n int) int { return 64 + n/64 }

// continueWindow returns the window behind a part of a message.
func (r *reader) continueWindow(before *window, part []byte) *window {
	if w := &r.window; before != w {
		w.size = 1 << MaxWindowBits
		w.b = w.b[:0]
		w.add(before.b)
	}
	r.window.add(part)
	return &r.window
}

var (
	errTruncated = fmt.Errorf("%w: data ends within a block", ErrCorrupt)
	errInvalid   = fmt.Errorf("%w: invalid block, code or distance", ErrCorrupt)
	errFinals    = fmt.Errorf("%w: too many blocks with BFINAL", ErrCorrupt)
)

// explain returns the error for an error of the codec.
func explain(err error) error {
	switch {
	case errors.Is(err, ErrTooLarge):
		return ErrTooLarge
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errTruncated
	}
	return errInvalid
}

// message is the result of Decode, as far as it has been decompressed.
type message struct {
	in       *source
	limit    int64
	allocate func(size int) []byte
	payload  []byte
}

// Write appends a part. The last part decides on the size, so that most messages are
// copied into a slice of their own size.
func (m *message) Write(part []byte) (int, error) {
	if int64(len(part)) > m.limit-int64(len(m.payload)) {
		return 0, ErrTooLarge
	}
	if need := len(m.payload) + len(part); need > cap(m.payload) || m.payload == nil {
		size := need
		if m.in.at < m.in.tailEnd() {
			size = m.guess(need)
		}
		m.payload = append(m.allocate(size), m.payload...)
	}
	m.payload = append(m.payload, part...)
	return len(part), nil
}

// guess returns the size that the message will have if the rest of it is compressed like
// the first have bytes, but at most four times these: the sender may be lying.
func (m *message) guess(have int) int {
	size := int64(have) * int64(len(m.in.b)) / int64(max(m.in.at, 1))
	size = min(size+size/16, 4*int64(have), m.limit)
	return int(max(size, int64(have)))
}
