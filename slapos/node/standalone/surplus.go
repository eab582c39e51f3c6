package standalone

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/slapos/node/format"
	"github.com/hostler-project/hostler/slapos/node/home"
)

// surplusPartitions are the partitions that an earlier layout had and this one has not, and that
// are there or known still.
func (l *Layout) surplusPartitions() ([]string, error) {
	var out []string
	was, err := format.ReadState(l.At(state))
	if err != nil {
		return nil, err
	}
	if was != nil {
		for i := range was.Partitions {
			out = append(out, filepath.Base(was.Partitions[i].Path))
		}
	}
	entries, err := os.ReadDir(l.At(instancesDir))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), l.base)
		if _, err := strconv.Atoi(number); ok && err == nil && e.IsDir() {
			out = append(out, e.Name())
		}
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(name string) bool { return slices.Contains(l.names, name) }), nil
}

// remove removes the directories and records of surplus partitions, whose programs have ended.
func (l *Layout) remove(names []string) error {
	if len(names) == 0 {
		return nil
	}
	d, err := home.Open(l.At(instancesDir))
	if err != nil {
		return err
	}
	for _, name := range names {
		err = errors.Join(err, d.Remove(name))
	}
	if err = errors.Join(err, d.Close()); err != nil {
		return err
	}
	// All choices are in the definition, so a new description is the same.
	if err := os.Remove(l.At(state)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// forget marks all instances to be processed again.
func (l *Layout) forget() error {
	var errs []error
	for _, name := range l.names {
		if err := os.Remove(filepath.Join(l.At(instancesDir), name, ".timestamp")); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
