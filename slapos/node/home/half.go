package home

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
)

// Step is called before each change in a directory, with what is to be done and with the name:
// tests of crashes end the process there. It is set before anything else is done here; nil: nobody
// is called.
var Step func(what, name string)

func step(what, name string) {
	if Step != nil {
		Step(what, name)
	}
}

// unfinished begins the names of what is not whole yet.
const unfinished = ".hostler-half-"

// halves are the paths where somebody in this process writes.
var halves = struct {
	sync.Mutex
	all map[string]bool
}{all: map[string]bool{}}

// half is where something is made that is to be called name when it is whole; done is called then.
// It is the same each time, so that what a writer who was killed has left there is taken away by
// the next one, unless there are two at once, or the owner has put something there that cannot be
// taken away.
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
