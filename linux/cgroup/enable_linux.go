package cgroup

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// enable gives the groups of a tree of version 2 the controllers that settings need, on the way
// down from the place, which may hold this process.
func (t *Tree) enable(p *place, settings []setting) error {
	var words []string
	for _, s := range settings {
		if s.place == p && !s.optional {
			words = append(words, "+"+s.controller)
		}
	}
	text := strings.Join(words, " ")
	err := write(p.dir+"/cgroup.subtree_control", text)
	for range 10 { // processes may be born between the move and the write
		if err != unix.EBUSY {
			break
		}
		if err = t.moveOut(p.dir); err == nil {
			err = write(p.dir+"/cgroup.subtree_control", text)
		}
	}
	if err == nil {
		err = write(p.dir+"/"+t.name+"/cgroup.subtree_control", text)
	}
	if err != nil {
		return fmt.Errorf("enable %s in %s: %w", text, p.dir, err)
	}
	t.writeLimits(p)
	return nil
}

// moveOut moves the processes of a group into one below it: a group with limited children may have
// none of its own.
func (t *Tree) moveOut(dir string) error {
	others := dir + "/" + t.name + ".others"
	if err := unix.Mkdir(others, 0o755); err != nil && err != unix.EEXIST {
		return &os.PathError{Op: "mkdir", Path: others, Err: err}
	}
	pids, err := processes(dir)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if pid == 0 { // to write 0 would move this process
			return errors.New("it holds processes that cannot be seen from here")
		}
		if err := write(others+"/cgroup.procs", strconv.Itoa(pid)); err != nil && err != unix.ESRCH {
			return fmt.Errorf("move process %d to %s: %w", pid, others, err)
		}
	}
	return nil
}
