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

// tempPrefix is the prefix of names of unfinished files.
const tempPrefix = ".hostler-half-"

// writing are the paths that a writer in this process uses.
var writing = struct {
	sync.Mutex
	all map[string]bool
}{all: map[string]bool{}}

// tempPath is the temporary path of a file that will be called name; call done when it is whole.
// The path is the same each time: so the next writer removes the remains of a killed one. It is
// another if there are two writers at once, or if the owner has put something there that cannot
// be removed.
func (d *Dir) tempPath(what, name string) (temp string, done func()) {
	step(what, name)
	temp = filepath.Join(filepath.Dir(name), tempPrefix+filepath.Base(name))
	at := d.at(temp)
	writing.Lock()
	busy := writing.all[at]
	writing.all[at] = true
	writing.Unlock()
	if busy {
		return temp + "." + rand.Text()[:8], func() {}
	}
	done = func() {
		writing.Lock()
		delete(writing.all, at)
		writing.Unlock()
	}
	if err := d.root.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		temp += "." + rand.Text()[:8]
	}
	return temp, done
}
