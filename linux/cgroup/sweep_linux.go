package cgroup

import (
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Sweep removes what others left of trees whose names begin with a prefix: the empty groups in
// which nothing has been made for age, and then the directory of a tree in which nothing is left.
// age is for groups whose first process is being born. Sweep removes only empty directories, so a
// tree in use loses nothing: a new group there makes the directory again. It returns the names of
// the trees that went in some hierarchy, sorted.
func (t *Tree) Sweep(prefix string, age time.Duration) (names []string) {
	for i := range t.places {
		place := t.places[i].dir
		if place == "" {
			continue
		}
		trees, _ := os.ReadDir(place)
		for _, e := range trees {
			if name := e.Name(); e.IsDir() && strings.HasPrefix(name, prefix) && valid(name) && name != t.name &&
				sweep(place+"/"+name, age) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// sweep removes dir if all groups in it are empty and at least age old. It stops at the first
// that is not, and reports whether dir is gone.
func sweep(dir string, age time.Duration) bool {
	groups, _ := os.ReadDir(dir)
	for _, e := range groups {
		if !e.IsDir() {
			continue
		}
		if i, err := e.Info(); err != nil || time.Since(i.ModTime()) < age || unix.Rmdir(dir+"/"+e.Name()) != nil {
			return false
		}
	}
	return unix.Rmdir(dir) == nil
}
