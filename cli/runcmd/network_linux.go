package runcmd

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/hostler-project/hostler/provider/sandbox/network"
)

// RunAnswers is the process that answers names for sandboxes with limited access, until there are
// none. It prints refused names on standard error.
func RunAnswers(resolv, dir, installation string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := network.Answer(ctx, dir, installation, resolv, log, os.Stdout); err != nil {
		log.Error("names are not answered for", "err", err)
		return 1
	}
	return 0
}
