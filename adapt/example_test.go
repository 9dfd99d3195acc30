package adapt_test

import (
	"context"
	"fmt"
	"iter"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/chanws/chanws"
	"github.com/chanws/chanws/adapt"
)

// A service beside ordinary handlers, and a client that greets it.
func ExampleHandler() {
	mux := http.NewServeMux()
	mux.Handle("/chat/{room}", adapt.Handler(func(r *http.Request) (*adapt.Service, error) {
		room := r.PathValue("room")
		return &adapt.Service{
			OnTextMessage: func(c *adapt.Caller, text string) error {
				return c.WriteTextMessage(room + " heard " + text)
			},
		}, nil
	}, nil))
	server := httptest.NewServer(mux)
	defer server.Close()

	url := "ws" + strings.TrimPrefix(server.URL, "http") + "/chat/kitchen"
	client, err := adapt.NewAsyncClient(context.Background(), url, &adapt.Service{
		OnOpen: func(c *adapt.Caller) error { return c.WriteTextMessage("hello") },
		OnTextMessage: func(_ *adapt.Caller, text string) error {
			fmt.Println(text)
			return chanws.Close{Code: chanws.StatusNormalClosure}
		},
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	<-client.Done()
	// Output: kitchen heard hello
}

type subscription struct {
	Event string `json:"event"`
	Count int    `json:"count"`
}

// Messages that name their type, and a stream as reply.
func ExampleDispatch() {
	subscribe := func(_ *adapt.Caller, s subscription) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			for i := range s.Count {
				if !yield(fmt.Sprint("tick ", i+1), nil) {
					return
				}
			}
			yield("", chanws.Close{Code: chanws.StatusNormalClosure})
		}
	}
	service := &adapt.Service{Dispatch: &adapt.Dispatch{
		Key:    "event",
		Routes: []adapt.Route{{Value: "subscribe", Handle: adapt.JSONStream(subscribe)}},
	}}
	server := httptest.NewServer(adapt.Handler(func(*http.Request) (*adapt.Service, error) { return service, nil }, nil))
	defer server.Close()

	client, err := adapt.NewAsyncClient(context.Background(), "ws"+strings.TrimPrefix(server.URL, "http"), &adapt.Service{
		OnOpen:        func(c *adapt.Caller) error { return c.WriteMessage(subscription{"subscribe", 3}) },
		OnTextMessage: func(_ *adapt.Caller, text string) error { fmt.Println(text); return nil },
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	<-client.Done()
	// Output:
	// tick 1
	// tick 2
	// tick 3
}
