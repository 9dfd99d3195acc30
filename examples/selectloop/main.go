// Selectloop follows two servers and a clock in one goroutine: a single select
// over channels, without locks and without callbacks.
//
//	go run ./examples/selectloop -for 5s
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/chanws/chanws"
)

const about = "selectloop: one goroutine follows two sensors and a clock; one sensor runs out of battery, and the loop goes on"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "selectloop:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("selectloop", flag.ContinueOnError)
	flags.SetOutput(stdout)
	flags.Usage = func() {
		fmt.Fprintln(stdout, about)
		flags.PrintDefaults()
	}
	span := flags.Duration("for", 3*time.Second, "how long to watch")
	if err := flags.Parse(args); err != nil {
		return err
	}
	fmt.Fprintln(stdout, about)

	// The sensors would be other machines; here they are a server of our own.
	l, err := chanws.Listen("127.0.0.1:0", nil)
	if err != nil {
		return err
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for c := range l.Conns() {
			serving.Go(func() { sensor(c) })
		}
	})

	err = watch(ctx, l.URL(), *span, stdout)

	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = errors.Join(err, l.Shutdown(grace))
	serving.Wait()
	return err
}

// watch is the loop that the example is about. All its state is in local
// variables, because nobody else ever touches it.
func watch(ctx context.Context, url string, span time.Duration, stdout io.Writer) error {
	thermometer, err := chanws.Dial(ctx, url+"/temperature", nil)
	if err != nil {
		return err
	}
	defer thermometer.Close(chanws.StatusNormalClosure, "")
	anemometer, err := chanws.Dial(ctx, url+"/wind", nil)
	if err != nil {
		return err
	}
	defer anemometer.Close(chanws.StatusNormalClosure, "")

	temperatures, winds := thermometer.Events(), anemometer.Events()
	report := time.NewTicker(time.Second)
	defer report.Stop()
	enough := time.After(span)
	readings := 0

	for temperatures != nil || winds != nil {
		select {
		case ev := <-temperatures:
			fmt.Fprintf(stdout, "temperature: %v\n", ev)
			readings++
			if ended(ev) {
				temperatures = nil // a nil channel is never ready: its case is switched off
			}
		case ev := <-winds:
			fmt.Fprintf(stdout, "wind: %v\n", ev)
			readings++
			if ended(ev) {
				winds = nil
			}
		case <-report.C:
			fmt.Fprintf(stdout, "-- %d events in the last second\n", readings)
			readings = 0
		case <-enough:
			fmt.Fprintln(stdout, "-- that is enough")
			return nil
		case <-ctx.Done(): // Ctrl-C
			fmt.Fprintln(stdout, "-- interrupted")
			return nil
		}
	}
	fmt.Fprintln(stdout, "-- both sensors have gone")
	return nil
}

// ended tells whether ev is the last of its connection. Those that are, Close and
// Error, are also errors; there is always exactly one.
func ended(ev chanws.Event) bool {
	_, terminal := ev.(error)
	return terminal
}

// sensor is the server's side of one connection: a select loop as well.
func sensor(c *chanws.Conn) {
	defer c.CloseNow()
	period, unit, battery := 100*time.Millisecond, "°C", -1
	if c.Request().URL.Path == "/wind" {
		period, unit, battery = 250*time.Millisecond, "m/s", 5
	}
	tick := time.NewTicker(period)
	defer tick.Stop()

	for sent := 0; ; {
		select {
		case <-tick.C:
			if sent == battery {
				// A Close is a message like others: it goes out after all that was sent
				// before. The loop ends when the client has answered it.
				c.Send <- chanws.Close{Code: chanws.StatusGoingAway, Reason: "battery is empty"}
				tick.Stop()
				continue
			}
			select {
			case c.Send <- chanws.Text(fmt.Sprintf("%d %s", 18+sent%7, unit)):
			default: // the client reads too slowly: it misses this reading, the next is newer anyway
			}
			sent++
		case ev := <-c.Events():
			if ended(ev) {
				return
			}
		}
	}
}
