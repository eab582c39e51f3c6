package imagecache

import (
	"path/filepath"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/controller/exclusive"
	"github.com/hostler-project/hostler/host"
)

// RequireExclusive makes sure that no other process keeps images ready with this state or store,
// until this process ends. Two would disturb each other's steps. A dry run may go beside another
// process.
func RequireExclusive(h *host.Host, dry bool) error {
	if dry {
		return nil
	}
	state, err := host.StateDir()
	if err != nil {
		return err
	}
	switch ok, err := h.OnlyOne(filepath.Join(state, Lock)); {
	case err != nil:
		return err
	case !ok:
		return fault.Conflict(
			busyHint,
			"images are kept ready by another process: a controller, or a run that waits for what is being written",
		)
	}
	// several state directories may share the store
	free, ok, err := h.Store().Slot(exclusive.ImageCache, 1)
	if err == nil && !ok {
		err = fault.Conflict(
			busyHint,
			"images are kept ready by another process on this store, which has another state directory or is on another machine",
		)
	}
	if err == nil {
		h.OnClose(free)
	}
	return err
}

const busyHint = "wait for it, or stop it: what is under way goes on with the next; --dry-run goes beside it"
