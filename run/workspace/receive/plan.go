package receive

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/workspace"
	"github.com/hostler-project/hostler/run/workspace/scan"
)

// plan lists the changes that make the workspace equal to the wanted tree.
type plan struct {
	want    []scan.Entry
	id      [32]byte
	records []record // the records of want after the commit
	writes  []int    // indexes of want: entries to write
	touches []int    // indexes of want: only mode or time changes
	removes []string // sorted paths of the last list that are not in want
	clean   bool
}

// idle reports whether there is nothing to do.
func (p *plan) idle() bool {
	return len(p.writes)+len(p.touches)+len(p.removes) == 0 && !p.clean
}

// parts returns a list of the entries that may be written. With the last list it names all files.
func (p *plan) parts() *list {
	some := slices.Concat(p.writes, p.touches)
	slices.Sort(some)
	l := &list{id: p.id, records: make([]record, len(some))}
	for n, i := range some {
		l.records[n] = p.records[i]
	}
	return l
}

// plan compares the wanted entries with the workspace, and refuses forbidden changes. It changes
// nothing.
func (v *session) plan(want []scan.Entry, t *workspace.Tree) (*plan, error) {
	p := &plan{want: want, id: t.ID, clean: v.ask.Clean, records: make([]record, len(want))}
	hidden := make(map[string]bool, len(t.Hidden))
	for _, path := range t.Hidden {
		hidden[path] = true
	}
	have := v.have.records
	gone := func(rec *record) {
		if !hidden[rec.Path] {
			p.removes = append(p.removes, rec.Path)
		}
	}
	j := 0
	for i := range want {
		e := &want[i]
		for j < len(have) && have[j].Path < e.Path {
			gone(&have[j])
			j++
		}
		p.records[i] = record{Entry: *e}
		if j == len(have) || have[j].Path != e.Path {
			p.writes = append(p.writes, i)
			continue
		}
		rec := &have[j]
		j++
		switch {
		case !rec.ok || rec.Kind != e.Kind || rec.Sum != e.Sum || rec.Target != e.Target:
			p.writes = append(p.writes, i)
		case (rec.Mode != e.Mode || rec.ModTime != e.ModTime) && v.owner != nil && e.Kind == scan.File:
			// do not change a file that another user may have replaced by a hard link to a file of
			// somebody else
			p.writes = append(p.writes, i)
		case rec.Mode != e.Mode || rec.ModTime != e.ModTime:
			p.records[i].look = rec.look
			p.touches = append(p.touches, i)
		default:
			p.records[i].look = rec.look
		}
	}
	for ; j < len(have); j++ {
		gone(&have[j])
	}
	if err := scan.CheckDeletes(len(have), len(p.removes), v.ask.Delete || v.ask.Clean); err != nil {
		return nil, err
	}
	if err := v.checkCaseFolding(want); err != nil {
		return nil, err
	}
	if v.made || p.clean {
		return p, nil
	}
	return p, v.checkReplacedDirs(p)
}

// checkReplacedDirs refuses a plan that would replace a directory with foreign files in it by a
// file.
func (v *session) checkReplacedDirs(p *plan) error {
	d := dirs{top: v.tree}
	defer d.close()
	for _, i := range p.writes {
		e := &p.want[i]
		if e.Kind == scan.Dir {
			continue
		}
		fd, base, err := d.parent(e.Path)
		if err != nil {
			continue // its directory is missing too
		}
		if _, st, err := lookAt(fd, base); err != nil || kindOf(st) != scan.Dir {
			continue
		}
		sub, err := openAt(fd, base, openDir)
		if err != nil {
			return pathError("open", e.Path, err)
		}
		name, err := v.foreignFile(sub, e.Path)
		_ = unix.Close(sub)
		if err != nil {
			return err
		}
		if name != "" {
			return &compute.Error{Op: "workspace", Kind: compute.ErrConflict,
				Err:  fmt.Errorf("%q is a file here, and there a directory with files that did not come from here, as %q", e.Path, name),
				Hint: "remove it there, or let --clean remove all that is not of this tree"}
		}
	}
	return nil
}

// foreignFile returns a file of an open directory that is not in the last list.
func (v *session) foreignFile(fd int, dir string) (string, error) {
	all, err := names(fd)
	if err != nil {
		return "", pathError("read", dir, err)
	}
	slices.Sort(all)
	for _, n := range all {
		at := path.Join(dir, n)
		if rec := v.have.find(at); rec != nil && rec.Kind != scan.Dir {
			continue
		}
		sub, err := openAt(fd, n, openDir)
		if err == unix.ENOTDIR || err == unix.ELOOP {
			return at, nil
		}
		if err != nil {
			return "", pathError("open", at, err)
		}
		name, err := v.foreignFile(sub, at)
		_ = unix.Close(sub)
		if name != "" || err != nil {
			return name, err
		}
	}
	return "", nil
}

// checkCaseFolding refuses a list with two names that the file system takes for one.
func (v *session) checkCaseFolding(want []scan.Entry) error {
	folds := v.c.opt.Folds
	if folds == nil {
		folds = v.foldsCase
	}
	if !folds(v.tree) {
		return nil
	}
	seen := make(map[string]string, len(want))
	for i := range want {
		// The same holds for directories, or two of them would become one.
		for p := want[i].Path; p != "." && p != ""; p = path.Dir(p) {
			low := strings.ToLower(p)
			if other, ok := seen[low]; ok && other != p {
				return &compute.Error{Op: "workspace", Kind: compute.ErrConflict,
					Err:  fmt.Errorf("%q and %q differ in case alone, and the disk there takes them for one", other, p),
					Hint: "rename one of them, or leave it out by .hostlerignore"}
			} else if ok {
				break // the directories above are known too
			}
			seen[low] = p
		}
	}
	return nil
}

// foldsCase tries whether the file system ignores case in names.
func (v *session) foldsCase(int) bool {
	_, err := v.meta.Lstat(strings.ToUpper(lockFile))
	return err == nil
}
