package handshake

import (
	"fmt"
	"net/http"
	"strings"
)

const extensionsHeader = "Sec-Websocket-Extensions" // in its canonical form

// An extension is an element of a Sec-WebSocket-Extensions header.
type extension struct {
	name   string
	params []extensionParam
}

type extensionParam struct {
	name, value string
	valued      bool // has a value, maybe an empty one
}

func (e extension) String() string {
	var b strings.Builder
	b.WriteString(e.name)
	for _, p := range e.params {
		b.WriteString("; " + p.name)
		if p.valued {
			b.WriteString("=" + p.value)
		}
	}
	return b.String()
}

// parseExtensions reads all lines of the header, RFC 6455 section 9.1. That asks to
// fail the connection for what is not of the form there.
func parseExtensions(h http.Header) ([]extension, error) {
	var all []extension
	for _, line := range h[extensionsHeader] {
		p := headerParser{rest: line}
		for p.skipSpace(); p.rest != ""; p.skipSpace() {
			if p.take(',') {
				continue // an empty element, which RFC 9110 section 5.6.1.2 allows
			}
			e, ok := p.extension()
			if !ok || p.rest != "" && !p.take(',') {
				return nil, fmt.Errorf("Sec-WebSocket-Extensions is %s, which is not of the form of RFC 6455 section 9.1", quote(line))
			}
			all = append(all, e)
		}
	}
	return all, nil
}

// A headerParser takes a header line apart from its front.
type headerParser struct{ rest string }

func (p *headerParser) skipSpace() { p.rest = strings.TrimLeft(p.rest, " \t") }

// take takes a delimiter, if it is next.
func (p *headerParser) take(delimiter byte) bool {
	if p.rest == "" || p.rest[0] != delimiter {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// token takes a token, RFC 9110 section 5.6.2; "" is none.
func (p *headerParser) token() string {
	n := 0
	for n < len(p.rest) && isFieldName(p.rest[n:n+1]) {
		n++
	}
	token := p.rest[:n]
	p.rest = p.rest[n:]
	return token
}

// extension takes an extension and the space behind it.
func (p *headerParser) extension() (e extension, ok bool) {
	if e.name = p.token(); e.name == "" {
		return e, false
	}
	for p.skipSpace(); p.take(';'); p.skipSpace() {
		p.skipSpace()
		param := extensionParam{name: p.token()}
		if param.name == "" {
			return e, false
		}
		p.skipSpace()
		if p.take('=') {
			p.skipSpace()
			param.valued = true
			if param.value, ok = p.value(); !ok {
				return e, false
			}
		}
		e.params = append(e.params, param)
	}
	return e, true
}

// value takes a token or a quoted string; what is quoted must be a token too.
func (p *headerParser) value() (string, bool) {
	if !p.take('"') {
		value := p.token()
		return value, value != ""
	}
	var value strings.Builder
	for p.rest != "" {
		c := p.rest[0]
		p.rest = p.rest[1:]
		if c == '"' {
			return value.String(), value.Len() > 0 && isFieldName(value.String())
		}
		if c == '\\' {
			if p.rest == "" {
				break
			}
			c = p.rest[0]
			p.rest = p.rest[1:]
		}
		value.WriteByte(c)
	}
	return "", false
}
