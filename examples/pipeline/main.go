// Pipeline carries messages from one WebSocket connection through stages to
// another, and shows back-pressure: the slow sink at the end holds up the source
// at the beginning, and nothing piles up in between.
//
//	go run ./examples/pipeline
//	go run ./examples/pipeline -fail 50     (the sink breaks)
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/chanws/chanws"
	"golang.org/x/sync/errgroup"
)

const about = "pipeline: messages from a source through stages to a slow sink, which holds up the source"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "pipeline:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	var w world
	flags := flag.NewFlagSet("pipeline", flag.ContinueOnError)
	flags.SetOutput(stdout)
	flags.Usage = func() {
		fmt.Fprintln(stdout, about)
		flags.PrintDefaults()
	}
	flags.IntVar(&w.messages, "n", 400, "how many messages the source has")
	flags.IntVar(&w.size, "size", 64<<10, "their size in bytes")
	flags.DurationVar(&w.pause, "pause", 5*time.Millisecond, "how long the sink takes for each")
	flags.IntVar(&w.fail, "fail", 0, "the sink breaks after so many messages; 0: it does not")
	if err := flags.Parse(args); err != nil {
		return err
	}
	fmt.Fprintln(stdout, about)
	url, stop, err := w.serve()
	if err != nil {
		return err
	}
	reporting, enough := context.WithCancel(ctx)
	reported := make(chan struct{})
	go func() {
		defer close(reported)
		w.report(reporting, stdout)
	}()
	err = pump(ctx, url+"/source", url+"/sink")
	stop()
	enough()
	<-reported
	return err
}

// pump is the pipeline. Every stage is a goroutine that takes from one channel and
// puts into the next, and waits until that has room. So the slowest sets the pace
// of all: the sink does not read, its TCP window closes, out.Send fills up, the
// stages wait, in.Events fills up, the library stops reading, the source's TCP
// window closes, and the source waits in its own Send.
//
// A stage that fails returns its error; the group then ends ctx, and with it all
// the other stages. A stage closes the channel that it fills only when all went
// well: a closed channel means "that was everything", also to the sink.
func pump(ctx context.Context, source, sink string) error {
	in, err := chanws.Dial(ctx, source, &chanws.DialOptions{
		Options:    chanws.Options{EventBuffer: 4}, // our messages are big, so few of them shall wait
		HTTPClient: narrowClient(),
	})
	if err != nil {
		return err
	}
	defer in.Close(chanws.StatusGoingAway, "the pipeline has ended")
	out, err := chanws.Dial(ctx, sink, &chanws.DialOptions{
		Options: chanws.Options{
			EventBuffer: 4, // Send has room for a reply to every event, if we do not say
			SendBuffer:  4,
			// Our close frame waits behind all that is in flight to the slow sink. The
			// default of 5 s may be too short for that.
			CloseTimeout: time.Minute,
		},
		HTTPClient: narrowClient(),
	})
	if err != nil {
		return err
	}
	defer out.CloseNow() // if we fail half-way, the sink must not take it for the end

	stages, ctx := errgroup.WithContext(ctx)
	read, signed := make(chan chanws.Binary), make(chan chanws.Binary)

	stages.Go(func() error { // the source's events
		for {
			ev, err := in.Receive(ctx)
			if chanws.CloseStatus(err) == chanws.StatusNormalClosure {
				close(read)
				return nil
			}
			if err != nil {
				return fmt.Errorf("source: %w", err) // a Close, an Error, or the end of ctx
			}
			if b, ok := ev.(chanws.Binary); ok {
				if err := put(ctx, read, b); err != nil {
					return err
				}
			}
		}
	})
	stages.Go(func() error { // some work on each message
		err := each(ctx, read, func(b chanws.Binary) error {
			sum := sha256.Sum256(b)
			return put(ctx, signed, append(b, sum[:]...)) // received bytes are ours: no copy is needed
		})
		if err != nil {
			return err
		}
		close(signed)
		return nil
	})
	stages.Go(func() error { // the sink's Send
		err := each(ctx, signed, func(b chanws.Binary) error {
			return put[chanws.Message](ctx, out.Send, b)
		})
		if err != nil {
			return err
		}
		close(out.Send) // "I have said everything": a close frame follows the last message
		return nil
	})
	stages.Go(func() error { // the sink's events: it says nothing, but its end matters
		for {
			_, err := out.Receive(ctx)
			if chanws.CloseStatus(err) == chanws.StatusNormalClosure {
				return nil // it has answered our close frame, so everything has arrived
			}
			if err != nil {
				return fmt.Errorf("sink: %w", err)
			}
		}
	})
	return stages.Wait()
}

// put is `to <- v` that ends with ctx. Every send of a stage needs that way out,
// because the stage after it may be the one that failed.
func put[T any](ctx context.Context, to chan<- T, v T) error {
	select {
	case to <- v:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// each is `for v := range from` that ends with ctx.
func each[T any](ctx context.Context, from <-chan T, do func(T) error) error {
	for {
		select {
		case v, ok := <-from:
			if !ok {
				return nil
			}
			if err := do(v); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
