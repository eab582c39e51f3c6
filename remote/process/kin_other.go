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

type kin struct{}

func (e *Conn) launch(c *exec.Cmd, _ *compute.Command, _ *program) (*kin, error) {
	return &kin{}, c.Start()
}

func (*kin) kill(func() bool) bool { return false }

func (*kin) over() bool { return false }

func (*kin) end() *os.File { return nil }

// hunt is for Linux: elsewhere nobody can look at the environment of others.
func hunt(string, int) {}

func (*kin) ended() {}

func (*kin) gone() {}

func (*kin) outcome(ws unix.WaitStatus) (unix.WaitStatus, string) { return ws, "" }

// OOMKills is for Linux.
func OOMKills(*os.File) func() int { return func() int { return 0 } }

// Reap is for Linux.
func Reap() int { return 1 }
