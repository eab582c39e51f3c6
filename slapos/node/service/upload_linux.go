package service

import (
	"context"
	"sync"

	"github.com/hostler-project/hostler/api"
)

// An uploader gives releases to the binary cache while a node does other things.
type uploader struct {
	log Log
	ctx context.Context //nolint // the daemon's: what is not sent by its end is not sent
	all sync.WaitGroup

	mu  sync.Mutex
	now map[string]context.CancelFunc // uploads in progress, by release
}

// later starts to send a release. It stops an older upload of it.
func (u *uploader) later(url string, send func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(u.ctx)
	u.mu.Lock()
	if older := u.now[url]; older != nil {
		older()
	}
	u.now[url] = cancel
	u.mu.Unlock()
	u.all.Go(func() {
		defer cancel()
		if err := send(ctx); err != nil && ctx.Err() == nil {
			u.log.Warn("The release was not given to the binary cache: %s", api.Text(err))
		}
	})
}
