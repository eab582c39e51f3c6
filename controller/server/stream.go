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
	// that a stream lives, when there is nothing to tell; at the latest
	sayEvery  = 15 * time.Second
	writeTime = 10 * time.Second // that a reader may take for what is there
)

// lull is how long to wait before one says that a stream lives. Streams say so in the same moment
// of a second: one wakes for all of them.
func lull() time.Duration {
	return sayEvery - time.Duration(time.Now().UnixNano()%int64(time.Second))
}

// stream writes Server-Sent Events to a reader, each at once.
type stream struct {
	w    io.Writer
	flow *http.ResponseController
	// what could not be sent was not read: HTTP/2 may hear that its reader has gone before it hears
	// that all went out
	sure bool
}

func newStream(c huma.Context) stream {
	w := c.BodyWriter()
	rw, _ := w.(http.ResponseWriter) // humago's always is one
	return stream{w, http.NewResponseController(rw), c.Version().ProtoMajor == 1}
}

// say writes, and reports whether the reader is there and keeps up. The time that he has is for
// this alone: HTTP/2 ends a stream whose deadline passes, though nothing is being written.
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

// event writes one; id and name may be empty.
func (s stream) event(id, name string, v any) bool {
	return s.say(appendEvent(nil, id, name, v))
}

// last writes an event by which its reader comes to have something, and reports whether he may have
// read it: then he has it. He may hang up as soon as the event is whole, while what frames it is on
// its way, so the byte that makes it whole goes by itself, and that it went out is what counts.
func (s stream) last(name string, v any) bool {
	text := appendEvent(nil, "", name, v)
	end := max(0, len(text)-1)
	return s.say(text[:end]) && (s.say(text[end:]) || !s.sure)
}

// appendEvent adds an event to a text.
func appendEvent(text []byte, id, name string, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		return text // a time out of JSON's range: nothing of ours
	}
	if id != "" {
		text = fmt.Appendf(text, "id: %s\n", id)
	}
	if name != "" {
		text = fmt.Appendf(text, "event: %s\n", name)
	}
	return fmt.Appendf(text, "data: %s\n\n", data)
}
