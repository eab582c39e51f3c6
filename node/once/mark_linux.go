package once

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/proc"
)

// The variables that say what a command is for, to who comes after the death of who ran it: a [Command]'s Mark and Part.
const (
	For    = "HOSTLER_FOR"
	PartOf = "HOSTLER_PART"
)

const (
	ends = 20               // times that what is ended is looked for again: it may have begun something more
	each = 10 * time.Second // is waited each time, for what the kernel does for them
)

// End ends all that runs for a mark, whoever started it and however hidden, but not ourselves, and says how many processes that were. It returns when they have ended. Of those
// that are another user's it sees none unless we are root.
func End(ctx context.Context, mark string) (int, error) { return end(ctx, mark, "") }

func end(ctx context.Context, mark, part string) (n int, err error) {
	is := proc.Marked(For + "=" + mark)
	if part != "" {
		whole, its := is, proc.Marked(PartOf+"="+part)
		is = func(pid int) bool { return whole(pid) && its(pid) }
	}
	seen := map[int]bool{}
	for range ends {
		all, err := proc.Find(func(pid int) bool { return pid != os.Getpid() && is(pid) })
		if err != nil {
			return len(seen), &compute.Error{Op: "once.End", Kind: compute.ErrFailed, Err: err}
		}
		all = slices.DeleteFunc(all, func(h *proc.Handle) bool { return h.Ended() && h.Close() == nil })
		if len(all) == 0 {
			return len(seen), ctx.Err()
		}
		var wrong []error
		for _, h := range all {
			seen[h.PID] = true
			wrong = append(wrong, h.Signal(unix.SIGKILL))
		}
		proc.Wait(ctx, all, each)
		proc.Close(all)
		if err := errors.Join(wrong...); err != nil {
			return len(seen), &compute.Error{Op: "once.End", Kind: compute.ErrDenied, Err: fmt.Errorf("what was left running for %s cannot be ended: %w", mark, err)}
		}
		if ctx.Err() != nil {
			return len(seen), context.Cause(ctx)
		}
	}
	return len(seen), &compute.Error{Op: "once.End", Kind: compute.ErrConflict, Err: fmt.Errorf("what was left running for %s does not end", mark), Hint: "look what begins it again and again: its environment has " + For}
}
