package server

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
	writeTime = 10 * time.Second // how long a reader may take for a message
)

// lull returns how long to wait before a message that a stream lives. All streams send it at the
// same moment, so that one wake-up serves all.
func lull() time.Duration {
	return sayEvery - time.Duration(time.Now().UnixNano()%int64(time.Second))
}

// stream writes Server-Sent Events to a reader, each at once.
type stream struct {
	w    io.Writer
	flow *http.ResponseController
	// a failed write means that the reader does not have the event; in HTTP/2 it may mean only that
	// the reader has left
	sure bool
}

func newStream(c huma.Context) stream {
	w := c.BodyWriter()
	rw, _ := w.(http.ResponseWriter) // humago's always is one
	return stream{w, http.NewResponseController(rw), c.Version().ProtoMajor == 1}
}

// say writes, and reports whether the reader is there and keeps up. The deadline is only for this
// write: HTTP/2 ends a stream whose deadline passes even if nothing is written.
func (s stream) say(text []byte) bool {
	_ = s.flow.SetWriteDeadline(time.Now().Add(writeTime))
	_, err := s.w.Write(text)
	if err == nil {
		_ = s.flow.SetWriteDeadline(time.Now().Add(writeTime))
		err = s.flow.Flush()
	}
	_ = s.flow.SetWriteDeadline(time.Time{})
	return err == nil
}

// event writes one event; id and name may be empty.
func (s stream) event(id, name string, v any) bool {
	return s.say(appendEvent(nil, id, name, v))
}

// last writes an event that gives its reader something, and reports whether the reader may have it.
// A reader may hang up as soon as the event is complete. So the byte that completes it is sent
// alone, and what counts is whether that byte went out.
func (s stream) last(name string, v any) bool {
	text := appendEvent(nil, "", name, v)
	end := max(0, len(text)-1)
	return s.say(text[:end]) && (s.say(text[end:]) || !s.sure)
}

// appendEvent appends an event to a text.
func appendEvent(text []byte, id, name string, v any) []byte {
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
