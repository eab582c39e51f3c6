package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

const (
	maxEvent = 4 << 20 // bytes of one event
	// a stream that is silent for longer is dead: a controller sends something every 15 s
	silence    = 45 * time.Second
	againFirst = 100 * time.Millisecond
	againMost  = 5 * time.Second
)

// Watch calls f for each event of a query: those after q.After first, then each as it happens. It
// returns when ctx ends, or with the first error of f.
//
// If the connection breaks, Watch reconnects and goes on after the last event that f was given, so
// f gets each event once. Any other error of the controller than compute.ErrUnavailable ends it.
func (c *Client) Watch(ctx context.Context, q inventory.EventQuery, f func(compute.Event) error) error {
	pause := againFirst
	for {
		after := q.After
		err := c.watch(ctx, &q, f)
		var own *callbackError
		switch {
		case errors.As(err, &own):
			return own.error
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !errors.Is(err, compute.ErrUnavailable):
			return err
		case q.After > after:
			pause = againFirst // it worked in between
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
		pause = min(2*pause, againMost)
	}
}

// callbackError is an error of the callback.
type callbackError struct{ error }

// watch watches over one connection, and advances q.After.
func (c *Client) watch(ctx context.Context, q *inventory.EventQuery, f func(compute.Event) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	query := url.Values{"after": {strconv.FormatInt(q.After, 10)}}
	for key, value := range map[string]string{"source": q.Source, "instance": string(q.Instance), "lease": q.Lease} {
		if value != "" {
			query.Set(key, value)
		}
	}
	r, err := c.wire.request(ctx, http.MethodGet, "/v1/events/watch", query, nil)
	if err != nil {
		return err
	}
	quiet := time.AfterFunc(silence, func() { cancel(nil) })
	defer quiet.Stop()
	lost := func(err error) error { return &compute.Error{Kind: compute.ErrUnavailable, Err: err} }
	answer, err := c.wire.http.Do(r)
	if err != nil {
		return lost(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		return refusal(answer)
	}
	for e, err := range events(answer.Body) {
		if err != nil {
			return lost(err)
		}
		quiet.Reset(silence)
		switch {
		case e.name == api.EventProblem:
			return problem(e.data)
		case len(e.data) == 0:
			continue
		}
		var event compute.Event
		if err := json.Unmarshal(e.data, &event); err != nil {
			return lost(err)
		}
		if err := f(event); err != nil {
			return &callbackError{err}
		}
		q.After = max(q.After, event.ID)
	}
	return lost(io.ErrUnexpectedEOF)
}

// serverEvent is a Server-Sent Event. One without data only shows that the stream lives.
type serverEvent struct {
	name string
	data []byte
}

// isStream reports whether an answer is an event stream.
func isStream(answer *http.Response) bool {
	return strings.HasPrefix(answer.Header.Get("Content-Type"), api.EventStream)
}

// events iterates over the events of a stream.
func events(in io.Reader) iter.Seq2[serverEvent, error] {
	return func(yield func(serverEvent, error) bool) {
		lines := bufio.NewScanner(in)
		lines.Buffer(make([]byte, 0, 4096), maxEvent)
		var e serverEvent
		for lines.Scan() {
			line := lines.Bytes()
			if len(line) == 0 {
				if !yield(e, nil) {
					return
				}
				e = serverEvent{}
				continue
			}
			field, value, _ := bytes.Cut(line, []byte(":"))
			value = bytes.TrimPrefix(value, []byte(" "))
			switch string(field) {
			case "event":
				e.name = string(value)
			case "data":
				if e.data != nil {
					e.data = append(e.data, '\n')
				}
				if e.data = append(e.data, value...); len(e.data) > maxEvent {
					yield(serverEvent{}, bufio.ErrTooLong)
					return
				}
			}
		}
		if err := lines.Err(); err != nil {
			yield(serverEvent{}, err)
		}
	}
}

// problem returns the error that an event contains.
func problem(data []byte) error {
	var p api.Problem
	if err := json.Unmarshal(data, &p); err != nil {
		return &compute.Error{Kind: compute.ErrUnavailable, Err: err}
	}
	return p.Err()
}
