package conformance

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/internal/deflate/deflatetest"
)

// An oracle tells from all that a peer says what must come of it: RFC 6455 read anew
// and written for shortness. It knows no more limits than the size of a message.
type oracle struct {
	fromClient bool
	most       uint64 // octets of a message

	sees  []chanws.Event
	hears []wire
	// code is that of the close frame that ends it all; 0 if the stream does. Of the
	// peer's own close, close is the event.
	code  int
	close chanws.Event

	kind    byte // of the message under way, 0 for none
	packed  bool
	message []byte

	// reader reads compressed messages; nil if that was not agreed on. A message that is
	// both too large and corrupt may end by either: twofold.
	reader  *deflatetest.Reader
	twofold bool
}

// foretell reads frames until something ends that.
func (o *oracle) foretell(b []byte) {
	for o.code == 0 && o.close == nil && len(b) > 0 {
		n := o.frame(b)
		if n == 0 {
			return
		}
		b = b[n:]
	}
}

// frame reads one frame and gives its size, 0 if more is needed or all is over.
func (o *oracle) frame(b []byte) int {
	op, final, length, size := b[0]&0xf, b[0]&fin != 0, uint64(0), 2
	if b[0]&(rsv2|rsv3) != 0 || opcodeNames[op] == "" || op >= opClose && !final {
		return o.breach(1002)
	}
	if len(b) < 2 {
		return 0
	}
	switch length = uint64(b[1] & 0x7f); {
	case length < 126:
	case op >= opClose:
		return o.breach(1002)
	case length == 126:
		if size = 4; len(b) < size {
			return 0
		}
		if length = uint64(binary.BigEndian.Uint16(b[2:])); length < 126 {
			return o.breach(1002)
		}
	default:
		if size = 10; len(b) > 2 && b[2] >= 0x80 || len(b) >= 8 && string(b[2:8]) == "\x00\x00\x00\x00\x00\x00" {
			return o.breach(1002)
		}
		if len(b) < size {
			return 0
		}
		length = binary.BigEndian.Uint64(b[2:])
	}
	masked := b[1]&0x80 != 0
	var key [4]byte
	if masked {
		if size += 4; len(b) < size {
			return 0
		}
		key = [4]byte(b[size-4:])
	}
	inside := o.kind != 0
	packed := b[0]&rsv1 != 0
	if masked != o.fromClient || packed && (o.reader == nil || op != opText && op != opBinary) || op < opClose && (op == opContinuation) != inside {
		return o.breach(1002)
	}
	most := o.most
	if packed || o.packed {
		most += most/8 + 1024
	}
	if op < opClose && uint64(len(o.message))+length > most {
		return o.breach(1009)
	}
	if op < opClose && !inside {
		o.kind, o.packed = op, packed
	}
	payload := append([]byte(nil), b[size:min(uint64(len(b)), uint64(size)+length)]...)
	mask(payload, key)
	if whole := uint64(len(payload)) == length; op >= opClose && whole {
		return o.control(op, string(payload), size+len(payload))
	} else if op >= opClose {
		return 0
	}
	return o.data(payload, final && uint64(len(payload)) == length, size+int(length), uint64(len(payload)) == length)
}

func (o *oracle) data(payload []byte, complete bool, size int, whole bool) int {
	o.message = append(o.message, payload...)
	if o.packed {
		if !complete {
			if whole {
				return size
			}
			return 0
		}
		message, ok := o.reader.Message(string(o.message))
		o.message = message
		switch tooLarge := uint64(len(message)) > o.most; {
		case tooLarge:
			o.twofold = !ok
			return o.breach(1009)
		case !ok:
			return o.breach(1007)
		}
	}
	if o.kind == opText && !mayBecomeText(o.message, complete) {
		return o.breach(1007)
	}
	if !whole {
		return 0
	}
	if complete {
		if o.kind == opText {
			o.sees = append(o.sees, chanws.Text(o.message))
		} else {
			o.sees = append(o.sees, binaryOf(string(o.message)))
		}
		o.kind, o.packed, o.message = 0, false, nil
	}
	return size
}

// mayBecomeText tells whether octets are UTF-8, or are its beginning and not all.
func mayBecomeText(b []byte, all bool) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			// utf8.FullRune is false only for what some octets could still complete.
			return !all && !utf8.FullRune(b)
		}
		b = b[n:]
	}
	return true
}

func (o *oracle) control(op byte, payload string, size int) int {
	switch op {
	case opPing:
		o.sees = append(o.sees, pingOf(payload))
		o.hears = append(o.hears, pong(payload))
	case opPong:
		o.sees = append(o.sees, pongOf(payload))
	case opClose:
		return o.goodbye(payload)
	}
	return size
}

func (o *oracle) goodbye(payload string) int {
	if payload == "" {
		o.hears = append(o.hears, goodbye(""))
		o.close = chanws.Close{Code: 1005}
		return 0
	}
	if len(payload) == 1 {
		return o.breach(1002)
	}
	code := int(payload[0])<<8 | int(payload[1])
	if code < 1000 || code >= 5000 || code > 1014 && code < 3000 || code >= 1004 && code <= 1006 {
		return o.breach(1002)
	}
	if !utf8.ValidString(payload[2:]) {
		return o.breach(1007)
	}
	o.hears = append(o.hears, closing(code, ""))
	o.close = chanws.Close{Code: chanws.StatusCode(code), Reason: payload[2:]}
	return 0
}

func (o *oracle) breach(code int) int {
	o.code = code
	return 0
}

// String tells what was foretold, for the message of a test that fails.
func (o *oracle) String() string {
	return fmt.Sprintf("events %#v, close %v, code %d", o.sees, o.close, o.code)
}
