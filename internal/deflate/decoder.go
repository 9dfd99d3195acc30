package deflate

import (
	"errors"
	"sync"
)

// ErrTooLarge is the error for a message that is larger than the limit.
var ErrTooLarge = errors.New("message too large")

// A Decoder decompresses the messages of one direction.
type Decoder struct {
	bits     int
	takeover bool
	window   []byte // from the first message on, with context takeover
	at       int    // its end
}

// NewDecoder gives the decoder for messages whose sender refers back at most 1<<bits
// bytes, and with takeover into earlier messages too.
func NewDecoder(bits int, takeover bool) *Decoder {
	return &Decoder{bits: bits, takeover: takeover}
}

// spare is the room behind a window of bits: what it holds more than the window need
// not be moved with every message.
func spare(bits int) int { return max(4<<10, 1<<bits/4) }

// firstWindow is what a decoder's window begins with, unless it is smaller.
const firstWindow = 4 << 10

// inflaters are pooled with a window each, for messages that leave none.
var inflaters = sync.Pool{New: func() any { return &pooledInflater{inflater: newInflater()} }}

type pooledInflater struct {
	*inflater
	window []byte
}

// Decode decompresses a message, of which compressed is the payload of all frames.
// The result is what allocate has given for its size, or for a guess of it that was
// enough. An error is [ErrTooLarge] as soon as there are more than limit bytes, or it
// matches [ErrCorrupt]; the decoder is of no use then.
func (d *Decoder) Decode(compressed []byte, limit int64, allocate func(size int) []byte) ([]byte, error) {
	f := inflaters.Get().(*pooledInflater)
	defer f.close()
	f.open(compressed)
	f.maxDist = 1 << d.bits
	if d.takeover {
		f.out, f.at = d.window, d.at
	} else {
		if f.window == nil {
			f.window = make([]byte, 1<<MaxWindowBits+spare(MaxWindowBits))
		}
		f.out, f.at = f.window, 0
	}
	m := message{limit: limit, allocate: allocate}
	for {
		start := f.at
		done, err := f.run()
		if err == nil {
			err = m.add(f.out[start:f.at], f.inflater, done)
		}
		if err != nil {
			return nil, err
		}
		if done {
			d.keep(f.inflater)
			return m.payload, nil
		}
		d.makeRoom(f.inflater)
	}
}

// close puts the inflater back, without what belongs to others.
func (f *pooledInflater) close() {
	f.in, f.out = nil, nil
	inflaters.Put(f)
}

// keep remembers the window for the next message.
func (d *Decoder) keep(f *inflater) {
	if d.takeover {
		d.window, d.at = f.out, f.at
	}
}

// makeRoom lets the window grow to its size, and then moves its last bytes to its
// beginning.
func (d *Decoder) makeRoom(f *inflater) {
	size := 1 << d.bits
	if full := size + spare(d.bits); len(f.out) < full && d.takeover {
		grown := make([]byte, min(full, max(firstWindow, 2*len(f.out))))
		copy(grown, f.out[:f.at])
		f.out = grown
		return
	}
	f.at = copy(f.out, f.out[f.at-size:f.at])
}

// message is the result of Decode, as far as it is there.
type message struct {
	limit    int64
	allocate func(size int) []byte
	payload  []byte
}

// add appends what has been decoded. The last part decides on the size, so that most
// messages are copied into the right one.
func (m *message) add(part []byte, f *inflater, last bool) error {
	if int64(len(part)) > m.limit-int64(len(m.payload)) {
		return ErrTooLarge
	}
	if need := len(m.payload) + len(part); need > cap(m.payload) || m.payload == nil {
		size := need
		if !last {
			size = m.guess(need, f)
		}
		m.payload = append(m.allocate(size), m.payload...)
	}
	m.payload = append(m.payload, part...)
	return nil
}

// guess gives the size that the message will have when the rest of it is compressed
// like the first have bytes, but at most four times these: the sender may be lying.
func (m *message) guess(have int, f *inflater) int {
	used := max(f.used()/8, 1)
	size := int64(have) * int64(len(f.in)) / int64(used)
	size = min(size+size/16, 4*int64(have), m.limit)
	return int(max(size, int64(have)))
}
