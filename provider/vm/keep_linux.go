package vm

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/proc"
)

var (
	errNoInstance = errors.New("there is no such instance")
	errForeign    = errors.New("the directory is there, and not this installation's")
)

// stage is how far an instance has come.
type stage string

const (
	begun    stage = ""         // it has a directory
	starting stage = "starting" // its disk and seed are there, and qemu may have been started
	booting  stage = "booting"  // qemu runs
	restored stage = "restored" // it was restored and is halted, a copy of another still; it may run now, when one died who let it
	awake    stage = "awake"    // it is itself, and runs for its rehearsal, or is halted by now
	paused   stage = "paused"   // it is itself, and was halted before anybody used it; it may run now, when one died who woke it
	named    stage = "named"    // it is itself, and in use
	stopped  stage = "stopped"  // it was shut down
)

// owner is the marker beside an instance's files.
type owner struct {
	Installation string `json:"installation"`
	Source       string `json:"source"`
	ID           string `json:"id"`
	Stage        stage  `json:"stage"`
	UUID         string `json:"uuid"` // made with it: its machine-id

	Image    string   `json:"image"`  // as it was when the instance was made, like all that follows
	Kernel   string   `json:"kernel"` // with which it can be started again
	Initrd   string   `json:"initrd"`
	Cores    int      `json:"cores"`
	Memory   int64    `json:"memory"`
	Disk     int64    `json:"disk,omitempty"`     // bytes
	Template string   `json:"template,omitempty"` // what it was restored from
	Accel    string   `json:"accel,omitempty"`
	Ports    []string `json:"ports,omitempty"` // HOST-PORT:GUEST-PORT/PROTOCOL
	Last     int      `json:"last,omitempty"`  // the agent's port that was spoken on before it was halted
	SSH      int      `json:"ssh,omitempty"`   // the port of this machine that leads to its sshd

	proc.Process // that runs it
}

func (p *Provider) home(id compute.ID) string { return filepath.Join(p.o.Dir, "instances", string(id)) }

func (p *Provider) ours(o owner) bool {
	return o.Installation == p.o.Installation && o.Source == p.o.Source
}

// owner reads an instance's marker.
func (p *Provider) owner(id compute.ID) (o owner, err error) {
	if !plain(id) {
		return o, errNoInstance
	}
	b, err := os.ReadFile(filepath.Join(p.home(id), "owner"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return o, errNoInstance
	}
	if err != nil {
		return o, err
	}
	if json.Unmarshal(b, &o) != nil || o.ID != string(id) {
		return o, errForeign
	}
	return o, nil
}

// write replaces an instance's marker at once.
func (o owner) write(home string) error {
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(home, "owner.new"), b, 0o600); err != nil {
		return err
	}
	return os.Rename(filepath.Join(home, "owner.new"), filepath.Join(home, "owner"))
}

// record says how far an instance has come.
func (p *Provider) record(own *owner, s stage) error {
	own.Stage = s
	return own.write(p.home(compute.ID(own.ID)))
}

// begin makes an instance's directory with its marker in it, both at once, unless it is there.
func (p *Provider) begin(own owner) error {
	home := p.home(compute.ID(own.ID))
	if _, err := os.Lstat(home); err == nil {
		return nil
	}
	if err := p.at("begin"); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(p.o.Dir, "instances"), 0o700); err != nil {
		return err
	}
	made, err := os.MkdirTemp(p.o.Dir, "new-*")
	if err != nil {
		return err
	}
	if err := own.write(made); err != nil {
		return err
	}
	if err := p.at("name"); err != nil {
		return err
	}
	err = unix.Renameat2(unix.AT_FDCWD, made, unix.AT_FDCWD, home, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EEXIST) { // another was faster
		return os.RemoveAll(made)
	}
	return err
}

// lock waits for an instance's lock: a file whose Close lets it go. errNoInstance: it is not there, or not any more; errForeign: not ours.
func (p *Provider) lock(ctx context.Context, id compute.ID) (*os.File, owner, error) {
	var o owner
	if !plain(id) {
		return nil, o, errNoInstance
	}
	f, err := os.OpenFile(p.home(id), os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, o, errNoInstance
	}
	if err != nil {
		return nil, o, err
	}
	err = flock(ctx, f)
	if err == nil {
		// While we waited it may have been destroyed, or even made again; then this lock is of something else.
		var a, b unix.Stat_t
		if unix.Fstat(int(f.Fd()), &a) != nil || unix.Lstat(p.home(id), &b) != nil || a.Ino != b.Ino || a.Dev != b.Dev {
			err = errNoInstance
		} else if o, err = p.owner(id); errors.Is(err, errNoInstance) || err == nil && !p.ours(o) {
			err = errForeign // a directory without a marker was never ours
		}
	}
	if err != nil {
		f.Close()
		return nil, o, err
	}
	return f, o, nil
}

// mine is lock where what is foreign is as good as not there. It ends the instance's rehearsal.
func (p *Provider) mine(ctx context.Context, id compute.ID) (*os.File, owner, error) {
	if err := ctx.Err(); err != nil {
		return nil, owner{}, err
	}
	if err := p.place(); err != nil {
		return nil, owner{}, err
	}
	p.rehearsals.drop(id)
	f, o, err := p.lock(ctx, id)
	if errors.Is(err, errForeign) {
		err = errNoInstance
	}
	return f, o, err
}

// flock locks a file against all others, and waits for it until ctx ends.
func flock(ctx context.Context, f *os.File) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return err
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
}

// discard moves a path to the trash: at once it is gone from where it was.
func (p *Provider) discard(path string) error {
	if _, err := os.Lstat(path); err != nil {
		return err
	}
	trash := filepath.Join(p.o.Dir, "trash")
	for try := 0; ; try++ {
		err := os.MkdirAll(trash, 0o700)
		if err == nil {
			var place string
			if place, err = os.MkdirTemp(trash, filepath.Base(path)+"-*"); err == nil {
				err = os.Rename(path, filepath.Join(place, "x"))
			}
		}
		// Another process's sweep may have taken the empty place away, or the empty trash.
		if !errors.Is(err, fs.ErrNotExist) || try == 100 {
			return err
		}
	}
}

// sweep deletes the trash, and what a process that died in the middle had begun to make. It is no error when something resists: it is tried
// again at the next call. Trash younger than age is left to whoever brought it there.
func (p *Provider) sweep(ctx context.Context, age time.Duration) {
	var old []string
	find := func(dir, prefix string, age time.Duration) {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			info, err := e.Info()
			if err == nil && strings.HasPrefix(e.Name(), prefix) && time.Since(info.ModTime()) >= age {
				old = append(old, filepath.Join(dir, e.Name()))
			}
		}
	}
	find(filepath.Join(p.o.Dir, "trash"), "", age)
	// Making takes a moment; an hour later nobody is at it any more. Booting what is to be saved may take longer: it holds a lock.
	find(p.o.Dir, "new-", time.Hour)
	for _, path := range old {
		if ctx.Err() != nil {
			return
		}
		if locked(path) {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			p.log.Warn("the trash cannot be deleted", "source", p.o.Source, "path", path, "err", err)
		}
	}
	_ = os.Remove(filepath.Join(p.o.Dir, "trash")) // if it is empty
}

// locked reports whether somebody holds the lock of a directory.
func locked(path string) bool {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// full reports whether an error means that there is no room.
func full(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE)
}
