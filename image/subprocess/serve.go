package subprocess

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/hostler-project/hostler/image"
)

// Serve answers one call and returns the exit status. It gives up at the end of in.
func Serve(in io.Reader, out io.Writer, by image.Registry) int {
	// An interrupt from the terminal is the caller's to decide on. Caught and not ignored, it still
	// ends programs that are started here.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	documents := json.NewDecoder(in)
	var q request
	if documents.Decode(&q) != nil {
		return 1
	}
	go func() {
		_ = documents.Decode(new(any)) // there is no second one
		cancel()
		// a program that has the user's logins may not come back
		time.AfterFunc(patience, func() { os.Exit(1) })
	}()
	a, err := reply(ctx, q, by)
	if ctx.Err() != nil {
		return 1
	}
	a.Err = failureOf(err)
	if json.NewEncoder(out).Encode(a) != nil {
		return 1
	}
	return 0
}

// reply makes the call that the request names. A fetch opens the store anew, with by as its
// registry.
func reply(ctx context.Context, q request, by image.Registry) (a answer, err error) {
	switch q.Call {
	case read:
		a.Name, err = by.Read(q.Name, q.Insecure)
	case login:
		a.Login, err = by.Login(ctx, q.Name)
	case fetch:
		var s *image.Store
		q.Options.Registry = by
		if s, err = image.Open(q.Dir, q.Options); err == nil {
			a.Image, err = s.Pull(ctx, q.Name, q.Pull)
		}
	default:
		err = fmt.Errorf("%q is no call", q.Call)
	}
	return a, err
}
