package adapt_test

import (
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"strconv"
	"testing"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
	"github.com/stretchr/testify/require"
)

// The module binds parameters to those of a function. Here an UpgradeFunc parses
// what the request has, and any error that it returns is a 400.

// bound parses a parameter of the query that must be there.
func bound[T any](query url.Values, name string, parse func(string) (T, error)) (value T, err error) {
	if !query.Has(name) {
		return value, fmt.Errorf("no query param value found for: %s", name)
	}
	return parse(query.Get(name))
}

func parseString(s string) (string, error) { return s, nil }

func parseFloat(s string) (float64, error) { return strconv.ParseFloat(s, 64) }

func parseDecimal(s string) (string, error) {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return "", fmt.Errorf("no decimal: %s", s)
	}
	return r.FloatString(2), nil
}

// parameters tells the client what a function makes of its request.
func parameters(t *testing.T, pattern string, read func(*http.Request) (any, error)) *adapt.Listener {
	t.Helper()
	return scenarioListener(t, pattern, func(r *http.Request) (*adapt.Service, error) {
		value, err := read(r)
		if err != nil {
			return nil, err
		}
		return &adapt.Service{OnOpen: func(c *adapt.Caller) error { return c.WriteTextMessage(fmt.Sprint(value)) }}, nil
	}, nil)
}

// queried is a service with one parameter.
func queried[T any](t *testing.T, name string, parse func(string) (T, error)) *adapt.Listener {
	t.Helper()
	return parameters(t, "/query", func(r *http.Request) (any, error) {
		return bound(r.URL.Query(), name, parse)
	})
}

func told(t *testing.T, l *adapt.Listener, path string, header http.Header, want string) {
	t.Helper()
	c := scenarioClient(t, l, path, &chanws.ClientOptions{DialOptions: chanws.DialOptions{Header: header}})
	scenarioRead(t, c, chanws.Text(want))
	require.NoError(t, c.Close(1000, ""))
}

func missing(t *testing.T, l *adapt.Listener, path, name string) {
	t.Helper()
	refused := scenarioRefused(t, l, path, nil)
	require.Equal(t, 400, refused.StatusCode)
	require.Equal(t, "no query param value found for: "+name+"\n", string(refused.Body))
}

func TestScenario023_HeaderIsThere(t *testing.T) {
	t.Parallel()
	l := parameters(t, "/", func(r *http.Request) (any, error) { return r.Header.Get("upgrade"), nil })
	told(t, l, "/", nil, "websocket")
}

func TestScenario024_AbsentHeaderIsNil(t *testing.T) {
	t.Parallel()
	l := parameters(t, "/", func(r *http.Request) (any, error) { return r.Header.Values("nilable") == nil, nil })
	told(t, l, "/", nil, "true")
}

func TestScenario025_HeaderHasAllItsValues(t *testing.T) {
	t.Parallel()
	l := parameters(t, "/", func(r *http.Request) (any, error) { return fmt.Sprintf("%q", r.Header.Values("hArr")), nil })
	told(t, l, "/", http.Header{"Harr": {"some-header-value"}}, `["some-header-value"]`)
	told(t, l, "/", http.Header{"Harr": {"a", "b"}}, `["a" "b"]`)
}

func TestScenario026_HeaderIsFoundByItsNameInAnyCase(t *testing.T) {
	t.Parallel()
	l := parameters(t, "/", func(r *http.Request) (any, error) { return r.Header.Get("x-SOME-header"), nil })
	told(t, l, "/", http.Header{"X-Some-Header": {"value"}}, "value")
}

func TestScenario027_QueryString(t *testing.T) {
	t.Parallel()
	told(t, queried(t, "foo", parseString), "/query?foo=simba", nil, "simba")
}

func TestScenario028_QueryInt(t *testing.T) {
	t.Parallel()
	told(t, queried(t, "foo", strconv.Atoi), "/query?foo=4", nil, "4")
}

func TestScenario029_QueryBoolean(t *testing.T) {
	t.Parallel()
	told(t, queried(t, "bar", strconv.ParseBool), "/query?bar=false", nil, "false")
}

func TestScenario030_QueryFloat(t *testing.T) {
	t.Parallel()
	told(t, queried(t, "xyz", parseFloat), "/query?xyz=1.2", nil, "1.2")
}

func TestScenario031_QueryDecimalAmongOthers(t *testing.T) {
	t.Parallel()
	l := parameters(t, "/query", func(r *http.Request) (any, error) {
		query := r.URL.Query()
		decimal, err := bound(query, "cde", parseDecimal)
		if err != nil {
			return nil, err
		}
		return decimal + " " + query.Get("name") + " " + query.Get(" bool"), nil
	})
	// The module's test leaves the space as it is; here escaping it is the user's.
	told(t, l, "/query?cde=4.5&name=simba&%20bool=true", nil, "4.50 simba true")
}

func TestScenario032_QueryWithoutTheStringIs400(t *testing.T) {
	t.Parallel()
	missing(t, queried(t, "foo", parseString), "/query?other=1", "foo")
}

func TestScenario033_QueryWithoutTheIntIs400(t *testing.T) {
	t.Parallel()
	l := queried(t, "foo", strconv.Atoi)
	missing(t, l, "/query", "foo")
	// The module has no 400 for a value of the wrong type.
	require.Equal(t, 400, scenarioRefused(t, l, "/query?foo=abc", nil).StatusCode)
}

func TestScenario034_QueryWithoutTheBooleanIs400(t *testing.T) {
	t.Parallel()
	missing(t, queried(t, "bar", strconv.ParseBool), "/query?other=true", "bar")
}

func TestScenario035_QueryWithoutTheFloatIs400(t *testing.T) {
	t.Parallel()
	missing(t, queried(t, "xyz", parseFloat), "/query?other=1.2", "xyz")
}

func TestScenario036_QueryWithoutTheDecimalIs400(t *testing.T) {
	t.Parallel()
	missing(t, queried(t, "cde", parseDecimal), "/query?other=4.5", "cde")
}

func TestScenario037_QueryOfAServiceWithoutParametersIsIgnored(t *testing.T) {
	t.Parallel()
	l := parameters(t, "/query", func(*http.Request) (any, error) { return "open", nil })
	told(t, l, "/query?foo=simba", nil, "open")
}

func TestScenario038_PathAndQuery(t *testing.T) {
	t.Parallel()
	l := parameters(t, "/query/{id}", func(r *http.Request) (any, error) {
		foo, err := bound(r.URL.Query(), "foo", strconv.Atoi)
		return fmt.Sprint(r.PathValue("id"), " ", foo), err
	})
	told(t, l, "/query/barz?foo=4", nil, "barz 4")
	missing(t, l, "/query/barz", "foo")
}

func TestScenario039_PathAndQueryAndHeader(t *testing.T) {
	t.Parallel()
	l := parameters(t, "/query/{id}", func(r *http.Request) (any, error) {
		foo, err := bound(r.URL.Query(), "foo", strconv.Atoi)
		return fmt.Sprint(r.PathValue("id"), " ", foo, " ", r.Header.Get("X-Some")), err
	})
	told(t, l, "/query/barz?foo=4", http.Header{"X-Some": {"header"}}, "barz 4 header")
}

func TestScenario040_QueryAndRequest(t *testing.T) {
	t.Parallel()
	l := parameters(t, "/query", func(r *http.Request) (any, error) {
		foo, err := bound(r.URL.Query(), "foo", parseString)
		return fmt.Sprint(foo, " ", r.Method, " ", r.URL.Path), err
	})
	told(t, l, "/query?foo=simba", nil, "simba GET /query")
}

func TestScenario041_PathAndQueryAndHeaderAndRequest(t *testing.T) {
	t.Parallel()
	l := parameters(t, "/query/{id}", func(r *http.Request) (any, error) {
		query := r.URL.Query()
		foo, err := bound(query, "foo", strconv.Atoi)
		if err != nil {
			return nil, err
		}
		bar, err := bound(query, "bar", strconv.ParseBool)
		return fmt.Sprint(r.PathValue("id"), " ", foo, " ", bar, " ", r.Header.Get("Upgrade"), " ", r.Method), err
	})
	told(t, l, "/query/barz?foo=4&bar=true", nil, "barz 4 true websocket GET")
	missing(t, l, "/query/barz?foo=4", "bar")
}
