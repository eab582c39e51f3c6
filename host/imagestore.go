package host

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/image"
)

// Images opens the image store.
func (h *Host) Images() (*image.Store, error) {
	dir, err := CacheDir()
	if err != nil {
		return nil, err
	}
	cfg, err := h.Configuration()
	if err != nil {
		return nil, err
	}
	section, err := readImagesSection(cfg)
	if err != nil {
		return nil, err
	}
	return image.Open(filepath.Join(dir, "images"), image.Options{Registry: h.Registry, Limits: section.limits()})
}

// ConnectPatiently connects until it succeeds or backPatience is over. An instance that restarts,
// or restarts its network, takes a while.
func ConnectPatiently(ctx context.Context, connect func() (compute.Conn, error)) (compute.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, backPatience)
	defer cancel()
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		c, err := connect()
		if err == nil || !errors.Is(err, compute.ErrUnavailable) {
			return c, err
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		case <-time.After(pause):
		}
	}
}

// backPatience is how long an instance may take to come back after contact was lost.
const backPatience = 5 * time.Minute
