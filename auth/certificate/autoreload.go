package certificate

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"time"
)

// followTick is how often to check whether the files have changed, as programs that renew
// certificates do not tell.
const followTick = 5 * time.Second

// AutoReload reads the files again when they have changed, until ctx ends. options returns the
// current options. A failure is logged once and tried again.
func (f *Files) AutoReload(ctx context.Context, log *slog.Logger, options func() Options) {
	was, told := f.first, ""
	tick := time.NewTicker(followTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		opt := options()
		now := opt.stat()
		if len(now) == 0 || slices.EqualFunc(was, now, sameFile) {
			continue
		}
		// it may fail while only one of the two files is new
		if err := f.Reload(opt); err != nil {
			if told != err.Error() {
				log.Warn("the new certificates cannot be used: the old ones stay", "err", err)
				told = err.Error()
			}
			continue
		}
		was, told = now, ""
		log.Info("the certificates were read anew", "file", opt.Cert)
	}
}

// stat returns the state of the files, to compare later; nil: one cannot be looked at.
func (opt *Options) stat() (found []os.FileInfo) {
	for _, file := range []string{opt.Cert, opt.Key, opt.ClientCA, opt.Revoked} {
		if file == "" {
			continue
		}
		info, err := os.Stat(file)
		if err != nil {
			return nil
		}
		found = append(found, info)
	}
	return found
}

func sameFile(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
