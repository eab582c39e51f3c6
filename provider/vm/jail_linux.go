package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/provider/vm/jail"
	"github.com/hostler-project/hostler/provider/vm/qemu"
)

// The user ids of root's qemus, behind those of sandboxes: one each, as long as it runs.
const (
	uidFirst = 0x7ffd0000
	uidCount = 1 << 16
	uidLock  = "/run/hostler/vm-uids"
)

// openFiles is how many descriptors a qemu may have: its network has one for each connection.
const openFiles = 4096

// cell is a qemu that is about to be started in a jail.
type cell struct {
	q       qemu.Program
	mark    string
	handed  *qemu.Handed
	scratch string // an empty directory
	args    []string
	network bool // it needs this machine's own network
	cores   int
	memory  int64
	out     *os.File // where it writes; nil: where log is
	log     *os.File
}

// jailer returns the words that start the agent's verb.
func (p *launcher) jailer() (path string, words []string, err error) {
	if p.p.o.Agent == nil {
		return "", nil, errors.New("there is no program that qemu could be started by")
	}
	a, err := p.p.o.Agent(runtime.GOARCH)
	if err != nil {
		return "", nil, err
	}
	return a.Path, append(append([]string{a.Path}, a.Args...), jail.Word), nil
}

// lockUp starts a qemu in its jail. With bare it does without the name spaces and the root that the
// kernel refuses, and keeps root's user: another user could not open what is in its directory.
func (p *launcher) lockUp(ctx context.Context, c *cell, bare bool) (*os.Process, error) {
	path, words, err := p.jailer()
	if err != nil {
		return nil, &compute.Error{Op: "vm.Create", Kind: compute.ErrUnavailable, Err: err, Hint: "build hostler with make"}
	}
	plan := jail.Plan{
		Program: c.q.Path, Args: append([]string{c.q.Path}, c.args...),
		Env:   []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TMPDIR=/", markVariable + "=" + c.mark},
		Files: len(c.handed.Files), OpenFiles: openFiles,
	}
	sys := &syscall.SysProcAttr{Setsid: true}
	var ids *os.File
	if !bare {
		plan.Scratch, plan.Hostname, plan.Shown = c.scratch, "vm", append(c.q.Shown(), c.handed.Shown...)
		sys.Cloneflags = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
		if !c.network {
			sys.Cloneflags |= unix.CLONE_NEWNET
		}
		if os.Geteuid() != 0 {
			sys.Cloneflags |= unix.CLONE_NEWUSER
			sys.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
			sys.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
		} else if plan.User, ids, err = takeUser(); err != nil {
			return nil, fmt.Errorf("take a user id for qemu: %w", err)
		}
	}
	if ids != nil {
		defer ids.Close()
	}
	if c.network {
		if err := p.wallIn(plan.User); err != nil {
			return nil, err
		}
	}
	if c.kvm() {
		if _, err := os.Stat("/dev/kvm"); err == nil {
			plan.Devices = []string{"/dev/kvm"}
		}
	}
	group, err := p.p.group(ctx, c)
	if err != nil {
		return nil, err
	}
	defer group.Close()
	if fd := group.FD(); fd >= 0 {
		sys.UseCgroupFD, sys.CgroupFD = true, fd
	}
	var started *os.Process
	err = group.Start(func() (err error) {
		started, err = c.start(path, words, plan, sys, ids)
		return err
	})
	return started, err
}

// kvm reports whether it needs the device.
func (c *cell) kvm() bool {
	return slices.ContainsFunc(c.args, func(word string) bool { return word == "kvm" || strings.HasSuffix(word, "accel=kvm") })
}

// start starts the process that becomes qemu, in its control group.
func (c *cell) start(path string, words []string, plan jail.Plan, sys *syscall.SysProcAttr, ids *os.File) (*os.Process, error) {
	b, err := json.Marshal(plan)
	if err != nil {
		return nil, err
	}
	in, err := memory("plan", b)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	out := c.log
	if c.out != nil {
		out = c.out
	}
	attr := &os.ProcAttr{Dir: "/", Env: plan.Env, Files: append([]*os.File{null, out, c.log, in}, c.handed.Files...), Sys: sys}
	if ids != nil { // which keeps the number ours until the process has it
		attr.Files = append(attr.Files, ids)
	}
	started, err := os.StartProcess(path, words, attr)
	if err != nil && sys.Cloneflags != 0 {
		err = &spacesError{err}
	}
	return started, err
}

// spacesError is the error of a process that was to have name spaces of its own.
type spacesError struct{ error }

func (e *spacesError) Unwrap() error { return e.error }

// memory makes a file in memory with the given content.
func memory(name string, b []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err = f.Write(b); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// takeUser finds a user id of ours that no process has. The file keeps others from taking it until
// the process has it: close it then. 0: this machine gives us no such users.
func takeUser() (int, *os.File, error) {
	if !proc.IDsMapped(uidFirst, uidCount) {
		return 0, nil, nil
	}
	if err := os.MkdirAll(filepath.Dir(uidLock), 0o755); err != nil {
		return 0, nil, err
	}
	f, err := os.OpenFile(uidLock, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return 0, nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		_ = f.Close()
		return 0, nil, err
	}
	used := map[int]bool{}
	pids, err := proc.PIDs()
	if err != nil {
		_ = f.Close()
		return 0, nil, err
	}
	for _, pid := range pids {
		for _, id := range users(pid) {
			used[id] = true
		}
	}
	for i, first := 0, rand.IntN(uidCount); i < uidCount; i++ {
		if id := uidFirst + (first+i)%uidCount; !used[id] {
			return id, f, nil
		}
	}
	_ = f.Close()
	return 0, nil, errors.New("there are 65536 virtual machines on this machine already, and no user ids for more")
}
