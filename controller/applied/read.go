package applied

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/text/nearest"
)

// ReadDir reads the things in a directory of configuration: sources/NAME, bundles/NAME and
// projects/NAME. Links must stay within the directory. Other entries are reported and not read, as
// a repository has much else.
func ReadDir(dir string) (things []api.WantedThing, beside Beside, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, beside, &compute.Error{
			Kind: compute.ErrInvalid, Err: fmt.Errorf("%s: %w", dir, err),
			Hint: "-f names a directory with sources/, bundles/ or projects/ in it",
		}
	}
	defer root.Close()
	r := reading{root: root, dir: dir}
	found := false
	for _, k := range kinds {
		entries, err := r.list(k.dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, beside, r.wrong(k.dir, err)
		}
		found = true
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") {
				continue
			}
			t := api.WantedThing{Kind: k.name, Name: e.Name(), Files: []api.ThingFile{}}
			if err := checkName(t.Kind, t.Name); err != nil {
				return nil, beside, err
			}
			path := k.dir + "/" + e.Name()
			if info, err := root.Stat(path); err != nil || !info.IsDir() {
				return nil, beside, r.wrong(path, errors.New("is not a directory with a "+k.file))
			}
			if t.Files, err = r.files(path, ""); err != nil {
				return nil, beside, err
			}
			if _, err := normal(t); err != nil {
				return nil, beside, err
			}
			things = append(things, t)
		}
	}
	for _, name := range []string{"hostler.conf", "jobs"} {
		if _, err := root.Stat(name); err == nil {
			beside.Left = append(beside.Left, name)
		}
	}
	beside.Strange = r.strange()
	if !found && !slices.ContainsFunc(beside.Strange, func(s Strange) bool { return s.Thing != "" }) {
		hint := "an empty sources/ says that there are to be none"
		if len(beside.Strange) > 0 {
			hint = fmt.Sprintf("did you mean %s/ by %s/?", beside.Strange[0].Meant, beside.Strange[0].Name)
		}
		return nil, beside, &compute.Error{
			Kind: compute.ErrInvalid,
			Err:  fmt.Errorf("%s: there is neither sources/ nor bundles/ nor projects/ in it", dir), Hint: hint,
		}
	}
	return things, beside, nil
}

// Beside is what a directory has that is not applied.
type Beside struct {
	Left    []string // configuration that cannot be applied
	Strange []Strange
}

// Strange is a directory that may be a misnamed sources, bundles or projects.
type Strange struct {
	Name  string // of the directory
	Meant string // sources, bundles or projects
	// a thing in it that would be applied under the right name; "": only the name is similar
	Thing string
}

// nearName is how many letters of a directory's name may differ. With two, resources would be taken
// for sources.
const nearName = 1

// strange looks at the other directories. One that contains things is reported whatever its name
// is, and one with a similar name too.
func (r *reading) strange() (out []Strange) {
	entries, _ := r.list(".") // errors were reported, or it may not be read
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || name == "jobs" || slices.ContainsFunc(kinds, func(k kind) bool { return k.dir == name }) {
			continue
		}
		if info, err := r.root.Stat(name); err != nil || !info.IsDir() {
			continue
		}
		s := Strange{Name: name}
		for _, k := range kinds {
			if s.Thing == "" && nearest.Distance(strings.ToLower(name), k.dir) <= nearName {
				s.Meant = k.dir
			}
			found, _ := fs.Glob(r.root.FS(), escaped(name)+"/*/"+k.file)
			if len(found) > 0 && s.Thing == "" {
				s.Meant, s.Thing = k.dir, strings.TrimSuffix(found[0], "/"+k.file)
			}
		}
		if s.Meant != "" {
			out = append(out, s)
		}
	}
	return out
}

// escaped quotes a name for use in a pattern of files.
func escaped(name string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(name)
}

// reading is the state of one ReadDir.
type reading struct {
	root *os.Root
	dir  string
	size int64
	many int
}

func (r *reading) wrong(path string, err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err
	}
	return &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("%s: %w", filepath.Join(r.dir, path), err)}
}

func (r *reading) list(path string) ([]fs.DirEntry, error) {
	return fs.ReadDir(r.root.FS(), path)
}

// files reads the files of a thing below a path.
func (r *reading) files(top, below string) (out []api.ThingFile, err error) {
	at := strings.TrimSuffix(top+"/"+below, "/")
	entries, err := r.list(at)
	if err != nil {
		return nil, r.wrong(at, err)
	}
	for _, e := range entries {
		name := e.Name()
		// Kubernetes mounts a ConfigMap with such entries
		if name == ".git" || strings.HasPrefix(name, "..") {
			continue
		}
		path := strings.TrimPrefix(below+"/"+name, "/")
		if e.IsDir() {
			more, err := r.files(top, path)
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
			continue
		}
		f, err := r.file(top+"/"+path, path)
		if err != nil {
			return nil, r.wrong(top+"/"+path, err)
		}
		out = append(out, f)
	}
	return out, nil
}

// file reads one file, without waiting for the other end of a named pipe.
func (r *reading) file(path, name string) (f api.ThingFile, err error) {
	in, err := r.root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return f, err
	}
	defer in.Close()
	info, err := in.Stat()
	switch {
	case err != nil:
		return f, err
	case !info.Mode().IsRegular():
		return f, errors.New("is neither a file nor a directory")
	}
	data, err := io.ReadAll(io.LimitReader(in, maxObject+1))
	if err != nil {
		return f, err
	}
	if r.size += int64(len(data)); r.size > maxSet {
		return f, fmt.Errorf("with it the directory holds more than %d MiB", maxSet>>20)
	}
	if r.many++; r.many > maxObjects {
		return f, fmt.Errorf("with it the directory holds more than %d files", maxObjects)
	}
	return newFile(name, info.Mode(), data), nil
}
