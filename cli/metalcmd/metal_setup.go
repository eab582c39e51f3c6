package metalcmd

import (
	"context"
	"log/slog"
	"os/signal"
	"syscall"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/config"
	loop "github.com/hostler-project/hostler/controller/imagecache"
	"github.com/hostler-project/hostler/pool"
)

// metalStore opens the configuration and the store.
func metalStore(a *cli.App, ctx context.Context) (*config.Config, pool.Store, error) {
	cfg, err := a.Host.Configuration()
	if err != nil {
		return nil, nil, err
	}
	store, err := a.Host.OpenStore(ctx, cfg)
	return cfg, store, err
}

// logWarnings logs problems beside the result to standard error, such as an unreadable file of
// weights.
func logWarnings(a *cli.App) {
	if !a.Debug {
		a.Log = slog.New(slog.NewTextHandler(a.Err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
}

// untilTold ends a context at a signal. That interrupts a single round, but is the normal end of a
// loop.
func untilTold(a *cli.App, ctx context.Context, once bool) (context.Context, func()) {
	if once {
		return a.UntilSignal(ctx)
	}
	return signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
}

func metalSetup(a *cli.App) *loop.Setup { return loop.NewSetup(a.Log, a.Host) }
