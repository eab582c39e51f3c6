package cli

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
)

// TestFirstAnswer asks a controller that is mute: that is said, and the command ends.
func TestFirstAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var errs bytes.Buffer
		a := NewApp(nil, nil, &errs)
		begun := time.Now()
		_, _, err := a.firstAnswer(t.Context(), "unix:/run/x", func(ctx context.Context) (*client.Client, api.Self, error) {
			time.Sleep(2 * time.Second)
			if got := errs.String(); got != "hostler: the controller unix:/run/x does not answer yet\n" {
				t.Errorf("after 2 s it says %q", got)
			}
			<-ctx.Done()
			return nil, api.Self{}, ctx.Err()
		})
		if !errors.Is(err, compute.ErrTimeout) || !strings.Contains(err.Error(), "the controller unix:/run/x did not answer") {
			t.Errorf("the error is %v", err)
		}
		if took := time.Since(begun); took != muteEnds {
			t.Errorf("it took %v, want %v", took, muteEnds)
		}
	})
}

// TestFirstAnswerInterrupted ends the waiting by the caller's own cause.
func TestFirstAnswerInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		mine := errors.New("interrupted")
		time.AfterFunc(time.Second, func() { cancel(mine) })
		a := NewApp(nil, nil, new(bytes.Buffer))
		_, _, err := a.firstAnswer(ctx, "x", func(ctx context.Context) (*client.Client, api.Self, error) {
			<-ctx.Done()
			return nil, api.Self{}, context.Cause(ctx)
		})
		if !errors.Is(err, mine) {
			t.Errorf("the error is %v, want the caller's", err)
		}
	})
}
