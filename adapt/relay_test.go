package adapt_test

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

func TestAWriteToSomebodyElseThatFailsIsAnErrorLikeAnyOther(t *testing.T) {
	for _, tc := range []struct {
		name string
		lose func(bare net.Conn, c *adapt.Caller, served <-chan error)
	}{
		{"who closed with a code", func(bare net.Conn, _ *adapt.Caller, served <-chan error) {
			_, _ = bare.Write([]byte("\x88\x82\x00\x00\x00\x00\x0f\xa0"))
			<-served
		}},
		{"who closed without a code", func(bare net.Conn, _ *adapt.Caller, served <-chan error) {
			_, _ = bare.Write([]byte("\x88\x80\x00\x00\x00\x00"))
			<-served
		}},
		{"who was dropped", func(bare net.Conn, _ *adapt.Caller, served <-chan error) {
			_ = bare.Close()
			<-served
		}},
		{"whom we closed", func(_ net.Conn, c *adapt.Caller, _ <-chan error) {
			_ = c.CloseTimeout(1000, "", 0)
		}},
		{"who does not read", func(_ net.Conn, c *adapt.Caller, _ <-chan error) {
			_ = c.WriteBinaryMessage(make([]byte, 1<<20))
			_ = c.Flush()
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				theirs, bare, served := mute(t, chanws.Options{WriteTimeout: time.Second})
				tc.lose(bare, theirs, served)
				told := make(chan error, 1)
				s := serve(t, &adapt.Service{
					OnTextMessage: func(_ *adapt.Caller, text string) error { return theirs.WriteTextMessage(text) },
					OnError:       func(c *adapt.Caller, err error) error { told <- err; return c.WriteTextMessage("told") },
				}, chanws.Options{})
				s.Send <- chanws.Text("relayed")
				expect(t, s.Conn, chanws.Text("told"))
				require.EqualError(t, <-told, theirs.WriteTextMessage("x").Error())
				require.NoError(t, s.Close(1000, ""))
				require.NoError(t, <-s.served)

				s = serve(t, &adapt.Service{
					OnTextMessage: func(_ *adapt.Caller, text string) error { return theirs.WriteTextMessage(text) },
				}, chanws.Options{})
				s.Send <- chanws.Text("relayed")
				expect(t, s.Conn, chanws.Close{Code: 1011, Reason: "handler failed"})
				<-s.served
				_, _ = io.Copy(io.Discard, bare)
			})
		})
	}
}

func TestOnCloseMayReturnWhatAWriteTellsOfTheEnd(t *testing.T) {
	for name, lose := range map[string]func(net.Conn){
		"a close": func(bare net.Conn) { _, _ = bare.Write([]byte("\x88\x82\x00\x00\x00\x00\x0f\xa0")) },
		"a drop":  func(bare net.Conn) { bare.(interface{ Drop() }).Drop() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, bare := wstest.Raw(t, nil)
				var r record
				svc := r.service()
				svc.OnClose = func(c *adapt.Caller, _ chanws.StatusCode, _ string) error {
					r.note("close")
					return c.WriteTextMessage("too late")
				}
				served := start(server, svc)
				lose(bare)
				<-served
				require.Equal(t, []string{"open", "close"}, r.all())
			})
		})
	}
}
