package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller/server/request"
)

const (
	readyTime = 5 * time.Second // for one check; callers give up soon after
	readyLast = time.Second     // how long a result is reused, as anybody may ask
)

// readiness checks whether requests can be served. All callers share the last result.
type readiness struct {
	errors request.Errors
	check  func(ctx context.Context) error
	ending <-chan struct{}

	mu     sync.Mutex
	looked time.Time
	err    error
	under  chan struct{} // closed when the running check ends; nil: none runs
}

// look returns why requests cannot be served, or nil. A check that hangs is a reason too.
func (y *readiness) look(ctx context.Context) error {
	select {
	case <-y.ending:
		return errors.New("it is being stopped")
	default:
	}
	y.mu.Lock()
	if y.under == nil && time.Since(y.looked) < readyLast {
		defer y.mu.Unlock()
		return y.err
	}
	under := y.under
	if under == nil {
		under = make(chan struct{})
		y.under = under
		// it may last as long as the store hangs; no second one begins meanwhile
		go func() {
			look, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTime)
			defer cancel()
			err := y.check(look)
			y.mu.Lock()
			y.looked, y.err, y.under = time.Now(), err, nil
			y.mu.Unlock()
			close(under)
		}()
	}
	y.mu.Unlock()
	late := time.NewTimer(readyTime)
	defer late.Stop()
	select {
	case <-under:
		y.mu.Lock()
		defer y.mu.Unlock()
		return y.err
	case <-late.C:
		return fmt.Errorf("the state does not answer within %v", readyTime)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (y *readiness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := y.look(r.Context()); err != nil {
		y.errors.Refuse(w, r, &compute.Error{Kind: compute.ErrUnavailable, Err: errors.New("not ready")})
		y.errors.LogOf(r.Context()).Warn("not ready", "err", err)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}
