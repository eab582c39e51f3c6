package container

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// reason is compute.Exit's for what the kernel ended for want of memory.
const reason = "out of memory"

// counters are where a container finds how often the kernel did: with version 1 of cgroups, and with version 2.
var counters = [...]string{"/sys/fs/cgroup/memory/memory.oom_control", "/sys/fs/cgroup/memory.events"}

// kills asks inside of the container how often the kernel ended something there for want of memory; 0 too where that cannot be known. An error
// means that our program does not answer.
func (e *entry) kills(ctx context.Context) (int64, error) {
	for _, path := range counters {
		var b bytes.Buffer
		err := e.Client.Get(ctx, path, &limited{&b, 64 << 10})
		switch {
		case err == nil:
			return count(&b), nil
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case errors.Is(err, compute.ErrLost), errors.Is(err, compute.ErrConflict):
			return 0, err
		}
	}
	return 0, nil
}

// count finds the counter in a tar stream with one file.
func count(r io.Reader) int64 {
	t := tar.NewReader(r)
	if _, err := t.Next(); err != nil {
		return 0
	}
	text, _ := io.ReadAll(t)
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			i, _ := strconv.ParseInt(strings.TrimSpace(n), 10, 64)
			return i
		}
	}
	return 0
}

// limited refuses more than so many bytes.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(b []byte) (int, error) {
	if l.left -= len(b); l.left < 0 {
		return 0, fmt.Errorf("more than it can be")
	}
	return l.w.Write(b)
}
