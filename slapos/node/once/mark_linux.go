package once

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

// The variables that say what a command is for, to who comes after the death of who ran it: a
// [Command]'s Mark and Part.
const (
	For    = "HOSTLER_FOR"
	PartOf = "HOSTLER_PART"
)

const (
	// times that what is ended is looked for again: it may have begun something more
	ends = 20
	each = 10 * time.Second // is waited each time, for what the kernel does for them
)

// End ends all that runs for a mark of a user's (nil: as we are), whoever started it and however
// hidden, but not ourselves, and says how many processes that were. It returns when they have
// ended. A mark that another user gave his own processes counts for nothing: else he could have
// this go on for ever. Of those that are another user's it sees none unless we are root.
func End(ctx context.Context, mark string, user *User) (int, error) { return end(ctx, mark, "", user) }

func end(ctx context.Context, mark, part string, user *User) (n int, err error) {
	marked := proc.Marked(For + "=" + mark)
	is := func(pid int) bool { return marked(pid) && user.has(pid) }
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
			return len(seen), &compute.Error{
				Op: "once.End", Kind: compute.ErrDenied,
				Err: fmt.Errorf("what was left running for %s cannot be ended: %w", mark, err),
			}
		}
		if ctx.Err() != nil {
			return len(seen), context.Cause(ctx)
		}
	}
	return len(seen), &compute.Error{
		Op: "once.End", Kind: compute.ErrConflict, Err: fmt.Errorf("what was left running for %s does not end", mark),
		Hint: "look what begins it again and again: its environment has " + For,
	}
}

// has reports whether a process is the user's, or root's: what he may run as somebody else, a
// program with the bit for that, has him as its real user all the same.
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
