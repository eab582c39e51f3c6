package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

func reader(text string) io.Reader { return strings.NewReader(text) }

// destroyer destroys a server: it takes leave of it, and asks the cloud until it is gone.
type destroyer struct {
	c          *Cloud // nil: the server is only disconnected
	r          record
	t          Timers
	connection *connection
	lifecycle  *lifecycle
	health     *health
	disk       *sharedDisk
}

// destroy destroys the server, or waits for another call that does.
func (e *destroyer) destroy(ctx context.Context) error {
	return e.lifecycle.end(ctx, func(ctx context.Context) error {
		e.health.stopTimer()
		e.connection.end(errDestroyed)
		if e.c == nil {
			return e.connection.disconnect()
		}
		if err := e.destroyRecorded(ctx); err != nil {
			return err
		}
		e.c.mu.Lock()
		defer e.c.mu.Unlock()
		delete(e.c.servers, e.r.Name)
		return nil
	})
}

// destroyRecorded destroys a server of a cloud, and drops its record.
func (e *destroyer) destroyRecorded(ctx context.Context) error {
	if _, err := e.c.records.change(
		ctx, e.r.Name, func(r *record) error { r.State = destroying; return nil },
	); err != nil && !errors.Is(err, compute.ErrNotFound) {
		return e.connection.fail("Destroy", nil, err)
	}
	p, err := e.c.logins.provider(ctx, e.r.Login)
	if err != nil {
		return e.connection.fail("Destroy", nil, err)
	}
	e.runLastScripts(ctx)
	_ = e.connection.disconnect()
	if err := e.c.destroyUntilGone(ctx, p, e.r, e.r.ID == ""); err != nil {
		return e.connection.fail("Destroy", nil, err)
	}
	return e.c.records.drop(ctx, e.r.Name)
}

// idle destroys a server whose countdown is over.
func (e *destroyer) idle() {
	e.c.log.Info("a server was idle, and is destroyed", "server", e.r.Name, "idle", e.r.TTD)
	e.c.background(e.retryDestroy)
}

// retryDestroy tries to destroy the server until it succeeds.
func (e *destroyer) retryDestroy(ctx context.Context) {
	for n := 1; ; n++ {
		err := e.destroy(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		e.c.log.Warn("an idle server could not be destroyed yet", "server", e.r.Name, "err", err)
		if sleep(ctx, e.t.pause(n)) != nil {
			return
		}
	}
}

// runLastScripts does the last work on a server before it goes, if it was ever reached. A
// failure is logged and stops nothing.
func (e *destroyer) runLastScripts(ctx context.Context) {
	conn := e.connection.current()
	// another process had the connection
	if conn == nil && e.r.State == made && (e.r.DestroyScript != "" || e.disk.has()) {
		try, stop := context.WithTimeout(ctx, e.t.Dial)
		conn, _ = e.connection.open(try)
		stop()
		if conn != nil {
			defer conn.Close()
		}
	}
	if conn == nil {
		return
	}
	do := func(what string, limit time.Duration, script, stdin string) {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		if _, _, err := e.connection.runBare(
			ctx, "Destroy", conn, &compute.Command{Args: []string{"sh", "-c", script}, Stdin: reader(stdin)},
		); err != nil {
			e.c.log.Warn(what+" failed", "server", e.r.Name, "err", err)
		}
	}
	if e.r.DestroyScript != "" {
		do(
			"the script of destruction", e.t.Script,
			`umask 077; f=$(mktemp) && cat >"$f" && chmod 700 "$f" || exit 1; "$f" </dev/null; s=$?; rm -f -- "$f"; exit $s`,
			e.r.DestroyScript,
		)
	}
	if e.disk.has() && !e.r.Head {
		do("unmounting the shared disk", e.t.Flush, unmount, "")
	}
	flush := "sync"
	if e.c.opt.SysRq {
		flush = `sync; for k in s u; do echo $k 2>/dev/null >/proc/sysrq-trigger || echo $k | sudo -n tee /proc/sysrq-trigger >/dev/null; done`
	}
	do("flushing the disks", e.t.Flush, flush, "")
}

// destroyUntilGone asks the cloud until it says that the server is gone. lost means that the
// request for it was never answered, so it may still take effect.
func (c *Cloud) destroyUntilGone(ctx context.Context, p compute.Provider, r record, lost bool) error {
	limited, cancel := context.WithTimeout(ctx, c.t.Destroy)
	defer cancel()
	lingers := time.Duration(0)
	if lag := provider.Of(p).CreateLag; lag > 0 && lost {
		lingers = lag - c.now().Since(r.Begun)
	}
	began := time.Now()
	var last error
	for {
		err := p.Destroy(limited, compute.ID(r.Name))
		if errors.Is(err, compute.ErrNotFound) && time.Since(began) >= lingers {
			return nil
		}
		if err != nil {
			last = err
		}
		if errors.Is(err, compute.ErrDenied) || errors.Is(err, compute.ErrInvalid) {
			return err
		}
		if sleep(limited, c.t.DestroyPoll) != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if last == nil {
				last = errors.New("the cloud was asked, and the server is still there")
			}
			return &compute.Error{
				Kind: compute.ErrTimeout, Err: fmt.Errorf("not gone within %v: %w", c.t.Destroy, last),
				Hint: "it stays recorded: Destroy, TearDown or Recover try again",
			}
		}
	}
}
