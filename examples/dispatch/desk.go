package main

import (
	"fmt"
	"iter"
	"net/http"
	"time"

	"github.com/chanws/chanws/adapt"
)

// The messages. Event is what they are dispatched by.
type (
	subscription struct { // subscribe, unsubscribe, unsubscribed
		Event string `json:"event"`
		Topic string `json:"topic"`
	}
	heartbeat struct {
		Event string `json:"event"`
		ID    int    `json:"id"`
	}
	update struct {
		Event  string `json:"event"`
		Topic  string `json:"topic"`
		Number int    `json:"number"`
		Price  int    `json:"price"`
	}
	problem struct {
		Event string `json:"event"`
		Text  string `json:"text"`
	}
)

// desk is the server's state of one connection. Only callbacks touch it, which run
// one at a time.
type desk struct {
	stops map[string]chan struct{} // of each topic that is subscribed to
}

// newDesk makes a service for each connection, so that each has a state of its own.
func newDesk(*http.Request) (*adapt.Service, error) {
	d := &desk{stops: make(map[string]chan struct{})}
	return &adapt.Service{
		Dispatch: &adapt.Dispatch{Key: "event", Routes: []adapt.Route{
			{Name: "onSubscribe", Handle: adapt.JSONStream(d.subscribe), OnBindError: d.misunderstood},
			{Name: "onUnsubscribe", Handle: adapt.JSON(d.unsubscribe), OnBindError: d.misunderstood},
			{Name: "onHeartbeat", Handle: adapt.JSON(d.heartbeat)},
		}},
		OnTextMessage: func(c *adapt.Caller, text string) error { // no route has it
			return c.WriteMessage(problem{"problem", "nobody knows what to do with " + text})
		},
	}, nil
}

// subscribe answers with updates until the topic is unsubscribed from. It returns at
// once; the sequence runs in a goroutine of its own. Its elements may be of any type.
func (d *desk) subscribe(c *adapt.Caller, s subscription) iter.Seq2[any, error] {
	if d.stops[s.Topic] != nil {
		return func(yield func(any, error) bool) {
			yield(problem{"problem", "you have subscribed to " + s.Topic + " already"}, nil)
		}
	}
	stop := make(chan struct{})
	d.stops[s.Topic] = stop
	return func(yield func(any, error) bool) {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := 1; yield(update{"update", s.Topic, n, 100 + n*7%10}, nil); n++ {
			select {
			case <-tick.C:
			case <-stop:
				yield(subscription{"unsubscribed", s.Topic}, nil) // after the last update, that is sure
				return
			case <-c.Context().Done(): // the connection has ended
				return
			}
		}
	}
}

// unsubscribe lets the stream say that it has ended.
func (d *desk) unsubscribe(_ *adapt.Caller, s subscription) (any, error) {
	stop := d.stops[s.Topic]
	if stop == nil {
		return problem{"problem", "you have not subscribed to " + s.Topic}, nil
	}
	delete(d.stops, s.Topic)
	close(stop)
	return nil, nil
}

// heartbeat sends back what it was sent, between two updates if need be.
func (*desk) heartbeat(_ *adapt.Caller, h heartbeat) (heartbeat, error) {
	return h, nil
}

// misunderstood answers messages that could not be decoded.
func (*desk) misunderstood(c *adapt.Caller, err error) error {
	return c.WriteMessage(problem{"problem", fmt.Sprint("misunderstood: ", err)})
}
