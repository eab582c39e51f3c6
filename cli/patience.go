package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute"
)

// How long a controller may take for its first answer before that is said, and before the command
// gives up. Later requests may wait for what they ask for.
const (
	sayMute  = 1500 * time.Millisecond
	muteEnds = 15 * time.Second
)

// firstAnswer asks a controller who the user is. It bounds that, as a stopped process still accepts
// connections.
func (a *App) firstAnswer(
	ctx context.Context, where string, ask func(context.Context) (*client.Client, api.Self, error),
) (*client.Client, api.Self, error) {
	mute := &compute.Error{
		Kind: compute.ErrTimeout, Err: fmt.Errorf("the controller %s did not answer within %s", where, muteEnds),
		Hint: "is its process stopped, or its machine busy? --embedded asks no controller",
	}
	short, cancel := context.WithTimeoutCause(ctx, muteEnds, mute)
	defer cancel()
	say := time.AfterFunc(sayMute, func() { a.Say("the controller %s does not answer yet", where) })
	defer say.Stop()
	c, self, err := ask(short)
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(short), mute) {
		err = mute // in place of the words for what was interrupted
	}
	return c, self, err
}
