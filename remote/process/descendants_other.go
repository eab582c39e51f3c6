//go:build !linux

package process

import (
	"context"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// Orphans is for Linux; here Run only waits.
type Orphans struct{}

// NewOrphans returns one.
func NewOrphans() *Orphans { return &Orphans{} }

// Run waits until ctx ends.
func (o *Orphans) Run(ctx context.Context) { <-ctx.Done() }

func (o *Orphans) wait(c *exec.Cmd) { _ = c.Wait() }

type groups struct{ dir *os.File }

func (*groups) prepare() {}

func (*groups) close() {}

type descendants struct{}

func (e *Conn) launch(c *exec.Cmd, _ *compute.Command, _ *program) (*descendants, error) {
	return &descendants{}, c.Start()
}

func (*descendants) kill(func() bool) bool { return false }

func (*descendants) endReaper() bool { return false }

func (*descendants) killFile() *os.File { return nil }

// killTree is for Linux: elsewhere nobody can look at the environment of others.
func killTree(string, int) {}

func (*descendants) ended() {}

func (*descendants) gone() {}

func (*descendants) exitStatus(ws unix.WaitStatus) (unix.WaitStatus, string) { return ws, "" }

// OOMKills is for Linux.
func OOMKills(*os.File) func() int { return func() int { return 0 } }

// Reap is for Linux.
func Reap() int { return 1 }
