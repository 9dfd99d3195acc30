package handshake

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// ProxyError says that a response came from an HTTP proxy, to a CONNECT request, and
// not from the server.
type ProxyError struct {
	Proxy, Target string // host:port
	StatusCode    int
	Status        string // "407 Proxy Authentication Required"
}

func (e *ProxyError) Error() string {
	text := fmt.Sprintf("the proxy %s answered %s to CONNECT %s", e.Proxy, Printable(e.Status), e.Target)
	if e.StatusCode == http.StatusProxyAuthRequired {
		text += "; put a user and password into the proxy's URL"
	}
	return text
}

// proxyOp is the operation of a net.OpError that is about the proxy, as in net/http.
const proxyOp = "proxyconnect"

// A proxyAnswer is a proxy's response that makes no tunnel.
type proxyAnswer struct {
	response *http.Response
	body     excerpt
	err      *ProxyError
}

func (a *proxyAnswer) error() *ResponseError {
	return &ResponseError{Response: a.response, Body: a.body.bytes(), Err: a.err}
}

// tunnel returns a connection to target through an HTTP proxy, RFC 6455 section 4.1,
// step 3 of the first list, and RFC 9110 section 9.3.6.
func (t *transport) tunnel(proxy *url.URL, target string) (_ net.Conn, err error) {
	conn, err := t.connectProxy(proxy)
	if err != nil {
		return nil, &net.OpError{Op: proxyOp, Net: "tcp", Err: err}
	}
	stop := context.AfterFunc(t.ctx, func() { conn.Close() })
	defer func() {
		if !stop() && err == nil {
			err = Ended(t.ctx)
		}
		if err != nil {
			conn.Close()
		}
	}()
	header, err := t.connectHeader(proxy, target)
	if err != nil {
		return nil, err
	}
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: target}, Host: target, Header: header}
	if err := req.Write(conn); err != nil {
		return nil, &net.OpError{Op: proxyOp, Net: "tcp", Err: err}
	}
	limited := &io.LimitedReader{R: conn, N: t.http.MaxResponseHeaderBytes}
	in := bufio.NewReader(limited)
	resp, err := http.ReadResponse(in, req)
	if err != nil {
		if limited.N <= 0 {
			err = fmt.Errorf("headers exceeded %d bytes", t.http.MaxResponseHeaderBytes)
		}
		return nil, &net.OpError{Op: proxyOp, Net: "tcp", Err: fmt.Errorf("the response of the proxy %s: %w", proxy.Host, err)}
	}
	if t.http.OnProxyConnectResponse != nil {
		if err := t.http.OnProxyConnectResponse(t.ctx, proxy, req, resp); err != nil {
			return nil, err
		}
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, t.readRefusal(resp, conn, &ProxyError{proxy.Host, target, resp.StatusCode, resp.Status})
	}
	if in.Buffered() > 0 {
		return nil, fmt.Errorf("the proxy %s sent data before the server was asked for any", proxy.Host)
	}
	return conn, nil
}

// readRefusal makes resp known before it reads the body, which may never end.
func (t *transport) readRefusal(resp *http.Response, conn net.Conn, err *ProxyError) error {
	answer := &proxyAnswer{response: resp, err: err}
	t.refused(answer)
	limit := time.AfterFunc(bodyTime, func() { conn.Close() })
	defer limit.Stop()
	answer.body.readFrom(resp.Body)
	return answer.error()
}

// connectProxy connects to the proxy itself.
func (t *transport) connectProxy(proxy *url.URL) (net.Conn, error) {
	if proxy.Scheme != "http" && proxy.Scheme != "https" {
		return nil, fmt.Errorf("the proxy's URL has the scheme %q; want http, https, socks5 or socks5h", proxy.Scheme)
	}
	if proxy.Hostname() == "" {
		return nil, errors.New("the proxy's URL has no host")
	}
	port := proxy.Port()
	if port == "" {
		port = defaultPort(proxy.Scheme)
	}
	addr := net.JoinHostPort(proxy.Hostname(), port)
	if proxy.Scheme == "http" {
		return t.dial(t.ctx, "tcp", addr)
	}
	if t.dialTLS != nil {
		return t.usersTLS("tcp", addr)
	}
	conn, err := t.dial(t.ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	config := t.http.TLSClientConfig.Clone()
	config.ServerName = ""                   // is that of the target
	config.NextProtos = []string{"http/1.1"} // the user's are for the target
	return t.addTLS(conn, addr, config)
}

// connectHeader returns the header of a CONNECT request, as net/http has it for https.
func (t *transport) connectHeader(proxy *url.URL, target string) (http.Header, error) {
	header := t.http.ProxyConnectHeader
	if t.http.GetProxyConnectHeader != nil {
		var err error
		if header, err = t.http.GetProxyConnectHeader(t.ctx, proxy, target); err != nil {
			return nil, err
		}
	}
	header = header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if user := proxy.User; user != nil {
		password, _ := user.Password()
		header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	return header, nil
}
