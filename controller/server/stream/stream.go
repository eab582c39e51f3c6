// Package stream sends what a client reads piece by piece: Server-Sent Events, and long answers. A
// client that does not read is cut off.
package stream

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

const (
	// the longest time without a message, so that readers know that the stream lives
	sayEvery  = 15 * time.Second
	WriteTime = 10 * time.Second // how long a reader may take for a message
)

// Lull returns how long to wait before a message that a stream lives. All streams send it at the
// same moment, so that one wake-up serves all.
func Lull() time.Duration {
	return sayEvery - time.Duration(time.Now().UnixNano()%int64(time.Second))
}

// A Stream writes Server-Sent Events to a reader, each at once.
type Stream struct {
	w    io.Writer
	flow *http.ResponseController
	// a failed write means that the reader does not have the event; in HTTP/2 it may mean only that
	// the reader has left
	sure bool
	// waits until all that was written has gone out, and reports whether it has; nil: writes say it
	confirmed func() bool
}

// New returns a stream that is the answer to a request.
func New(c huma.Context) Stream {
	w := c.BodyWriter()
	rw, _ := w.(http.ResponseWriter) // humago's always is one
	return Stream{w, http.NewResponseController(rw), c.Version().ProtoMajor == 1, confirming(rw)}
}

// confirming finds the writer whose reader is behind another process, which says what has gone out.
func confirming(w http.ResponseWriter) func() bool {
	for {
		if c, ok := w.(interface{ Confirmed() bool }); ok {
			return c.Confirmed
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return nil
		}
		w = u.Unwrap()
	}
}

// Say writes, and reports whether the reader is there and keeps up. The deadline is only for this
// write: HTTP/2 ends a stream whose deadline passes even if nothing is written.
func (s Stream) Say(text []byte) bool {
	_ = s.flow.SetWriteDeadline(time.Now().Add(WriteTime))
	_, err := s.w.Write(text)
	if err == nil {
		_ = s.flow.SetWriteDeadline(time.Now().Add(WriteTime))
		err = s.flow.Flush()
	}
	_ = s.flow.SetWriteDeadline(time.Time{})
	return err == nil
}

// Event writes one event; id and name may be empty.
func (s Stream) Event(id, name string, v any) bool {
	return s.Say(AppendEvent(nil, id, name, v))
}

// Last writes an event that gives its reader something, and reports whether the reader may have it.
// A reader may hang up as soon as the event is complete. So the byte that completes it is sent
// alone, and what counts is whether that byte went out.
func (s Stream) Last(name string, v any) bool {
	text := AppendEvent(nil, "", name, v)
	end := max(0, len(text)-1)
	return s.Say(text[:end]) && (s.Say(text[end:]) || !s.sure) && (s.confirmed == nil || s.confirmed())
}

// AppendEvent appends an event to a text.
func AppendEvent(text []byte, id, name string, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		return text // a time out of JSON's range, which no event here has
	}
	if id != "" {
		text = fmt.Appendf(text, "id: %s\n", id)
	}
	if name != "" {
		text = fmt.Appendf(text, "event: %s\n", name)
	}
	return fmt.Appendf(text, "data: %s\n\n", data)
}

// Newest adds to a queue without blocking. If the queue is full, it drops the oldest item.
func Newest[T any](queue chan T, v T) {
	for {
		select {
		case queue <- v:
			return
		default:
		}
		select {
		case <-queue:
		default:
		}
	}
}
