package adapt_test

import (
	"crypto/tls"
	"testing"
	"testing/synctest"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/chanws/chanws/wstest"
	"github.com/stretchr/testify/require"
)

func TestDefectAbsent_TLSErrorsAreTyped(t *testing.T) {
	t.Parallel()
	identity := bIdentify(t)
	url := bListenTLS(t, echoing, &tls.Config{Certificates: identity.pair(t)})
	_, err := adapt.NewAsyncClient(t.Context(), url, nil, nil)
	require.ErrorAs(t, err, new(*tls.CertificateVerificationError))
}

func TestDefectAbsent_OversizeIsTypedOnTheClient(t *testing.T) {
	t.Parallel()
	for _, opts := range []chanws.Options{{MaxMessageSize: 4}, {MaxFrameSize: 4}} {
		synctest.Test(t, func(t *testing.T) {
			h := defectHost(t, &adapt.Service{OnOpen: func(c *adapt.Caller) error { return c.WriteTextMessage("12345") }}, nil)
			c := defectClient(t, h, func(o *chanws.ClientOptions) { o.Options = opts })
			_, err := c.ReadMessage(t.Context())
			var p *chanws.ProtocolError
			require.ErrorAs(t, err, &p)
			require.EqualValues(t, 1009, p.Code)
		})
	}
}

func TestDefectAbsent_InvalidContinuationIsTyped(t *testing.T) {
	t.Parallel()
	for _, frames := range [][]byte{
		defectFrame(true, 0, "of nothing"),
		append(defectFrame(false, 1, "begun"), defectFrame(true, 1, "again")...),
	} {
		synctest.Test(t, func(t *testing.T) {
			server, bare := wstest.Raw(t, nil)
			var told error
			served := start(server, &adapt.Service{OnError: func(_ *adapt.Caller, err error) error { told = err; return nil }})
			bare.Write(frames)
			require.Error(t, <-served)
			var p *chanws.ProtocolError
			require.ErrorAs(t, told, &p)
			require.EqualValues(t, 1002, p.Code)
		})
	}
}

func TestDefectAbsent_BindingErrorsAreTyped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		svc := bEchoing[order]()
		svc.OnError = func(c *adapt.Caller, err error) error {
			var undecodable *chanws.DecodeError
			require.ErrorAs(t, err, &undecodable)
			return c.WriteMessage(undecodable.Message)
		}
		s := serve(t, svc, chanws.Options{})
		s.Send <- chanws.Text("[]")
		s.Send <- chanws.Binary("{")
		expect(t, s.Conn, chanws.Text("[]"), chanws.Binary("{"))
		require.NoError(t, s.Close(1000, ""))
		<-s.served
	})
}

func TestDefectAbsent_ErrorTextsNameNoTypes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := withCaller(t, chanws.Options{})
		errs := []error{
			c.Close(999, ""), c.CloseTimeout(1000, "", -5), c.WriteTextMessage("\xff"),
			&adapt.PanicError{Callback: "OnOpen", Value: "oops"}, &adapt.UpgradeError{StatusCode: 404}, &adapt.AuthnError{Message: "who?"},
			&chanws.ProtocolError{Code: 1009, Reason: "message too large"}, &chanws.UnexpectedMessageError{Message: chanws.Text("t")},
		}
		require.NoError(t, s.Close(1000, ""))
		<-s.served
		for _, err := range append(errs, c.WriteTextMessage("late")) {
			require.Error(t, err)
			require.NotRegexp(t, `Error\b|\*|&\{|\w+\.[A-Z]\w+Error`, err.Error())
		}
	})
}
