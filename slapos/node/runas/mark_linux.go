package runas

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
)

// The variables with a [Command]'s Mark and Part. By them a later process finds the command after
// the death of the one that ran it.
const (
	For    = "HOSTLER_FOR"
	partOf = "HOSTLER_PART"
)

const (
	// rounds of looking for processes, which may start more meanwhile
	ends = 20
	each = 10 * time.Second // is waited each time, for what the kernel does for them
)

// End ends all processes of a user's mark (nil: our own user), whatever started them and however
// hidden, but not ourselves. It returns when they have ended, with their number.
//
// A mark on another user's processes counts for nothing: else that user could keep End busy for
// ever. Without root it cannot see other users' processes.
func End(ctx context.Context, mark string, user *User) (int, error) { return end(ctx, mark, "", user) }

// end is End for one part of a mark; "": for all of the mark.
func end(ctx context.Context, mark, part string, user *User) (n int, err error) {
	marked := proc.Marked(For + "=" + mark)
	is := func(pid int) bool { return marked(pid) && user.has(pid) }
	if part != "" {
		whole, its := is, proc.Marked(partOf+"="+part)
		is = func(pid int) bool { return whole(pid) && its(pid) }
	}
	seen := map[int]bool{}
	for range ends {
		all, err := proc.Find(func(pid int) bool { return pid != os.Getpid() && is(pid) })
		if err != nil {
			return len(seen), &compute.Error{Op: "runas.End", Kind: compute.ErrFailed, Err: err}
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
			return len(seen), &compute.Error{
				Op: "runas.End", Kind: compute.ErrDenied,
				Err: fmt.Errorf("what was left running for %s cannot be ended: %w", mark, err),
			}
		}
		if ctx.Err() != nil {
			return len(seen), context.Cause(ctx)
		}
	}
	return len(seen), &compute.Error{
		Op: "runas.End", Kind: compute.ErrConflict, Err: fmt.Errorf("what was left running for %s does not end", mark),
		Hint: "look what begins it again and again: its environment has " + For,
	}
}

// has reports whether a process is the user's, or root's: a setuid program that the user runs acts
// as another user, but keeps its real uid.
func (u *User) has(pid int) bool {
	uid := uint32(os.Getuid())
	if u != nil {
		uid = u.UID
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return false
	}
	// a process' name stands before it, and has its ends of lines escaped
	_, rest, _ := bytes.Cut(text, []byte("\nUid:"))
	fields := bytes.Fields(rest[:max(0, bytes.IndexByte(rest, '\n'))])
	if len(fields) == 0 {
		return false
	}
	is, err := strconv.ParseUint(string(fields[0]), 10, 32)
	return err == nil && (is == 0 || uint32(is) == uid)
}
