package home

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
)

// Step is called before each change in a directory, with the change and the name: crash tests end
// the process there. Set it before any other use of the package. It may be nil.
var Step func(what, name string)

func step(what, name string) {
	if Step != nil {
		Step(what, name)
	}
}

// unfinished is the prefix of names of unfinished files.
const unfinished = ".hostler-half-"

// halves are the paths that a writer in this process uses.
var halves = struct {
	sync.Mutex
	all map[string]bool
}{all: map[string]bool{}}

// half is the temporary path of a file that will be called name; call done when it is whole. The
// path is the same each time: so the next writer removes the remains of a killed one. It is another
// if there are two writers at once, or if the owner has put something there that cannot be removed.
func (d *Dir) half(what, name string) (temp string, done func()) {
	step(what, name)
	temp = filepath.Join(filepath.Dir(name), unfinished+filepath.Base(name))
	at := d.at(temp)
	halves.Lock()
	busy := halves.all[at]
	halves.all[at] = true
	halves.Unlock()
	if busy {
		return temp + "." + rand.Text()[:8], func() {}
	}
	done = func() {
		halves.Lock()
		delete(halves.all, at)
		halves.Unlock()
	}
	if err := d.root.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		temp += "." + rand.Text()[:8]
	}
	return temp, done
}
