package adapt_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

// The module declares its authentication. Here it is Authorize, on both sides.

// scopesAllow refuses a client whose scopes, divided by spaces, do not have the
// service's.
func scopesAllow(scopes string) error {
	if have := strings.Fields(scopes); slices.Contains(have, "write") || slices.Contains(have, "update") {
		return nil
	}
	return &adapt.AuthzError{Message: "insufficient scope"}
}

// authorized sends a text to a service with an Authorize, with a client that has one.
func authorized(t *testing.T, server func(*http.Request) error, client func(context.Context, *http.Request) error) {
	t.Helper()
	texts := make(chan string, 1)
	l := scenarioListener(t, "/auth", shared(&adapt.Service{
		OnTextMessage: func(_ *adapt.Caller, text string) error { texts <- text; return nil },
	}), &adapt.ServiceConfig{Authorize: server})
	c := scenarioClient(t, l, "/auth", &chanws.ClientOptions{DialOptions: chanws.DialOptions{Authorize: client}})
	scenarioWrite(t, c, chanws.Text("Hello, World!"))
	require.Equal(t, "Hello, World!", receive(t, texts))
	require.NoError(t, c.Close(1000, ""))
}

// unauthorized tells how a service with an Authorize refuses a client that has one.
func unauthorized(t *testing.T, status int, server func(*http.Request) error, client func(context.Context, *http.Request) error) {
	t.Helper()
	l := scenarioListener(t, "/auth", shared(echoing), &adapt.ServiceConfig{Authorize: server})
	refused := scenarioRefused(t, l, "/auth", &chanws.DialOptions{Authorize: client})
	require.Equal(t, status, refused.StatusCode)
	require.ErrorContains(t, refused, http.StatusText(status))
}

func basic(user, password string) func(context.Context, *http.Request) error {
	return func(_ context.Context, r *http.Request) error {
		r.SetBasicAuth(user, password)
		return nil
	}
}

func bearer(token string) func(context.Context, *http.Request) error {
	return func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
}

// checkBasic knows alice and bob.
func checkBasic(r *http.Request) error {
	users := map[string]string{"alice:xxx": "write update", "bob:yyy": "read"}
	user, password, _ := r.BasicAuth()
	scopes, ok := users[user+":"+password]
	if !ok {
		return &adapt.AuthnError{Message: "unknown user"}
	}
	return scopesAllow(scopes)
}

func TestScenario001_BasicAuthWithScopesOpens(t *testing.T) {
	t.Parallel()
	authorized(t, checkBasic, basic("alice", "xxx"))
}

func TestScenario002_BasicAuthWithoutScopeIs403(t *testing.T) {
	t.Parallel()
	unauthorized(t, 403, checkBasic, basic("bob", "yyy"))
}

func TestScenario003_BasicAuthOfAnUnknownUserIs401(t *testing.T) {
	t.Parallel()
	unauthorized(t, 401, checkBasic, basic("peter", "123"))
}

// A tokenStatus is the answer of an introspection endpoint, RFC 7662.
type tokenStatus struct {
	Active bool   `json:"active"`
	Scope  string `json:"scp"`
}

// introspecting asks an endpoint about the token of a handshake.
func introspecting(t *testing.T, tokens map[string]tokenStatus) func(*http.Request) error {
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(tokens[r.FormValue("token")])
	}))
	t.Cleanup(endpoint.Close)
	return func(r *http.Request) error {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		var status tokenStatus
		if err := posted(r.Context(), endpoint, url.Values{"token": {token}}, &status); err != nil {
			return err
		}
		if !status.Active {
			return &adapt.AuthnError{Message: "token is not active"}
		}
		return scopesAllow(status.Scope)
	}
}

// posted sends a form to an endpoint and decodes its JSON.
func posted(ctx context.Context, endpoint *httptest.Server, form url.Values, answer any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := endpoint.Client().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}

func TestScenario004_IntrospectedTokenWithScopeOpens(t *testing.T) {
	t.Parallel()
	authorized(t, introspecting(t, map[string]tokenStatus{"abc": {true, "write update"}}), bearer("abc"))
}

func TestScenario005_IntrospectedTokenWithoutScopeIs403(t *testing.T) {
	t.Parallel()
	unauthorized(t, 403, introspecting(t, map[string]tokenStatus{"abc": {true, "read"}}), bearer("abc"))
}

func TestScenario006_InactiveTokenIs401(t *testing.T) {
	t.Parallel()
	unauthorized(t, 401, introspecting(t, map[string]tokenStatus{"abc": {false, "write"}}), bearer("abc"))
}

type jwtClaims struct {
	Issuer string `json:"iss"`
	Scope  string `json:"scp"`
}

var jwtKey = []byte("a key of the scenarios")

func jwtSignature(signed string) string {
	mac := hmac.New(sha256.New, jwtKey)
	mac.Write([]byte(signed))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// jwt is a token that its client has issued itself.
func jwt(issuer, scope string) string {
	claims, err := json.Marshal(jwtClaims{issuer, scope})
	if err != nil {
		panic(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(claims)
	return signed + "." + jwtSignature(signed)
}

func checkJWT(r *http.Request) error {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	refused := &adapt.AuthnError{Message: "invalid token"}
	cut := strings.LastIndexByte(token, '.')
	if cut < 0 || !hmac.Equal([]byte(jwtSignature(token[:cut])), []byte(token[cut+1:])) {
		return refused
	}
	_, payload, _ := strings.Cut(token[:cut], ".")
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return refused
	}
	var claims jwtClaims
	if json.Unmarshal(text, &claims) != nil || claims.Issuer != "wso2" {
		return refused
	}
	return scopesAllow(claims.Scope)
}

func TestScenario007_JWTWithScopeOpens(t *testing.T) {
	t.Parallel()
	authorized(t, checkJWT, bearer(jwt("wso2", "write")))
}

func TestScenario008_JWTWithoutScopeIs403(t *testing.T) {
	t.Parallel()
	unauthorized(t, 403, checkJWT, bearer(jwt("wso2", "read")))
}

func TestScenario009_JWTOfAWrongIssuerIs401(t *testing.T) {
	t.Parallel()
	unauthorized(t, 401, checkJWT, bearer(jwt("somebody", "write")))
}

// granting is an Authorize for clients that fetches its token by a grant of OAuth 2.
func granting(t *testing.T, grant url.Values) func(context.Context, *http.Request) error {
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("grant_type") != grant.Get("grant_type") {
			http.Error(w, "unsupported_grant_type", http.StatusBadRequest)
			return
		}
		fmt.Fprint(w, `{"access_token":"granted","token_type":"bearer","expires_in":3600}`)
	}))
	t.Cleanup(endpoint.Close)
	return func(ctx context.Context, r *http.Request) error {
		var answer struct {
			Token string `json:"access_token"`
		}
		if err := posted(ctx, endpoint, grant, &answer); err != nil {
			return err
		}
		return bearer(answer.Token)(ctx, r)
	}
}

func checkGranted(r *http.Request) error {
	if r.Header.Get("Authorization") != "Bearer granted" {
		return &adapt.AuthnError{Message: "no token"}
	}
	return nil
}

func TestScenario010_ClientCredentialsGrantOpens(t *testing.T) {
	t.Parallel()
	authorized(t, checkGranted, granting(t, url.Values{"grant_type": {"client_credentials"}, "scope": {"write"}}))
}

func TestScenario011_PasswordGrantOpens(t *testing.T) {
	t.Parallel()
	authorized(t, checkGranted, granting(t, url.Values{"grant_type": {"password"}, "username": {"admin"}, "password": {"123"}}))
}

func TestScenario012_RefreshTokenGrantOpens(t *testing.T) {
	t.Parallel()
	authorized(t, checkGranted, granting(t, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"XlfBs91yquexJqDaKEMzVg=="}}))
}

func TestScenario013_JWTBearerGrantOpens(t *testing.T) {
	t.Parallel()
	authorized(t, checkGranted, granting(t, url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {jwt("wso2", "write")},
	}))
}
