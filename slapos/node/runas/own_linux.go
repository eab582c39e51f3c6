package runas

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
)

// Own is the user that exists for one partition's directory alone, as format makes them. The
// directory is this user's home, nothing beside it has the same owner, and it is not root. known:
// there is such a user, and we are root. Only of such a user may all processes be ended.
func Own(dir string) (uid uint32, known bool) {
	if os.Geteuid() != 0 {
		return 0, false
	}
	is, err := os.Lstat(dir)
	if err != nil || !is.IsDir() {
		return 0, false
	}
	of := func(i os.FileInfo) uint32 { return i.Sys().(*syscall.Stat_t).Uid }
	uid = of(is)
	u, err := user.LookupId(strconv.Itoa(int(uid)))
	if err != nil || uid == 0 || filepath.Clean(u.HomeDir) != filepath.Clean(dir) {
		return 0, false
	}
	beside, err := os.ReadDir(filepath.Dir(dir))
	if err != nil {
		return 0, false
	}
	for _, e := range beside {
		i, err := e.Info()
		if err != nil && !os.IsNotExist(err) || err == nil && !os.SameFile(i, is) && of(i) == uid {
			return 0, false
		}
	}
	return uid, true
}

const (
	// rounds of looking for a user's processes, which may start more meanwhile
	killings = 2000
	moment   = 5 * time.Millisecond // pause between rounds
	endings  = 20 * time.Second     // limit of all rounds together
)

// EndUser ends all processes of a user that has no other purpose, as Own knows, and returns their
// number when they have ended. A session for which spare returns true goes on; spare may be nil. A
// container may use the same number for another user: if a more privileged user made it, its
// processes are left alone.
func EndUser(ctx context.Context, uid uint32, spare func(session int) bool) (n int, err error) {
	if uid == 0 || int(uid) == os.Getuid() {
		return 0, &compute.Error{Op: "runas.EndUser", Kind: compute.ErrDenied, Err: fmt.Errorf("what uid %d runs is not ended", uid)}
	}
	space := func(pid, kind string) string {
		to, _ := os.Readlink("/proc/" + pid + "/ns/" + kind)
		return to
	}
	users, pids := space("self", "user"), space("self", "pid")
	is := func(pid int) bool {
		at := strconv.Itoa(pid)
		if pid == os.Getpid() || !runs(at, uid) {
			return false
		}
		st, err := proc.ReadStat(pid)
		if err != nil || st.Ended() || spare != nil && spare(st.Session) {
			return false
		}
		return space(at, "user") != users || space(at, "pid") == pids
	}
	seen := map[int]bool{}
	end := time.Now().Add(endings)
	for range killings {
		all, err := proc.Find(is)
		if err != nil {
			return len(seen), &compute.Error{Op: "runas.EndUser", Kind: compute.ErrFailed, Err: err}
		}
		if len(all) == 0 {
			return len(seen), ctx.Err()
		}
		for _, h := range all {
			seen[h.PID] = true
			_ = h.Signal(syscall.SIGKILL)
		}
		proc.Wait(ctx, all, moment)
		proc.Close(all)
		if ctx.Err() != nil {
			return len(seen), context.Cause(ctx)
		}
		if time.Now().After(end) {
			break
		}
	}
	return len(seen), &compute.Error{
		Op: "runas.EndUser", Kind: compute.ErrConflict, Err: fmt.Errorf("what uid %d runs does not end", uid),
		Hint: "look what begins it again and again: ps -u " + strconv.Itoa(int(uid)),
	}
}

// runs reports whether a process is a user's by its real uid. A setuid program acts as root and is
// the user's all the same. A program of root's that acts as the user for a moment is not.
func runs(pid string, uid uint32) bool {
	text, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return false
	}
	_, ids, _ := bytes.Cut(text, []byte("\nUid:\t"))
	is, _, _ := bytes.Cut(ids, []byte("\t"))
	return string(is) == strconv.Itoa(int(uid))
}
