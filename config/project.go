package config

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode"

	"github.com/hostler-project/hostler/policy"
	"github.com/hostler-project/hostler/text/nearest"
	"github.com/hostler-project/hostler/text/units"
)

// Project groups users, quotas and leases of a controller: projects/NAME/project.conf.
type Project struct {
	Name    string
	Root    string // the root's path
	File    string
	Applied bool // it was applied, and is in no file of the user's

	Members map[string]string // roles of users: viewer, user or operator
	Groups  map[string]string // the same for groups of the identity provider

	Weight    float64       // its share next to other projects; default 1
	Priority  *int          // the highest priority of its requests; nil: any
	Quota     Quota         // of the project
	UserQuota Quota         // of each of its users
	Limits    policy.Limits // narrows what sources let its requests choose
	Sources   []string      // the sources limited to projects that include this one
	Shadowed  []string      // files that define the same name and do not count
	Err       error         // why it cannot be used, and so has no members; nil: it can
}

// Quota limits how much may be leased at once. A zero field: no limit.
type Quota struct {
	Count  int
	Cores  float64
	Memory int64   // bytes
	Cost   float64 // for an hour, by the sources' prices

	Partitions, Shared int // of a SlapOS master: partitions with an instance, and shared instances
}

// memberRoles are the roles of a project's members.
var memberRoles = []string{"viewer", "user", "operator"}

// projectKeys holds the keys of a project.conf by section; nil: any.
var projectKeys = map[string][]string{
	"": append([]string{"weight", "highest-priority"}, limitKeys...), "members": nil, "groups": nil, "quota": quotaKeys,
	"user-quota": quotaKeys,
}

var quotaKeys = []string{"count", "cores", "memory", "cost", "partitions", "shared-instances"}

// Project returns the project of a name, or an *Error with the nearest name.
func (c *Config) Project(name string) (*Project, error) {
	var names []string
	for _, p := range c.Projects {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return nil, &Error{Key: "project " + name, Msg: "there is no such project", Nearest: nearest.Near(name, names)}
}

// projects reads the projects of one root. A tree's are ignored, as its author could join them.
func (g *loader) projects(r *Root, p *rootDir) {
	entries, err := p.list("projects")
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			g.warn(&Error{File: r.Path + "/projects", Err: withoutPath(err)})
		}
		return
	}
	if r.Tree {
		g.warn(&Error{File: r.Path + "/projects", Msg: "does not count: projects are not read from trees of files"})
		return
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		file := filepath.Join(r.Path, "projects", e.Name(), "project.conf")
		if i := slices.IndexFunc(g.Projects, func(o *Project) bool { return o.Name == e.Name() }); i >= 0 {
			g.Projects[i].Shadowed = append(g.Projects[i].Shadowed, file)
			continue
		}
		g.Projects = append(g.Projects, readProject(r, p, e.Name(), file))
	}
}

// readProject reads a project.conf; errors go to Err.
func readProject(r *Root, p *rootDir, name, file string) *Project {
	out := &Project{
		Name: name, Root: r.Path, File: file, Applied: r.Kind == AppliedKind, Members: map[string]string{},
		Groups: map[string]string{}, Weight: 1,
	}
	fail := func(e *Error) {
		if out.Err == nil {
			out.Err, out.Members, out.Groups = e, nil, nil
		}
	}
	if !projectName(name) {
		fail(&Error{
			File: filepath.Dir(file),
			Msg: fmt.Sprintf(
				"%q cannot be a project's name: letters, digits and . _ - that begin with a letter or a digit, 63 at most",
				name,
			),
		})
		return out
	}
	data, err := p.read(filepath.Join("projects", name, "project.conf"), maxFile)
	if err != nil {
		if errors.Is(err, syscall.ENOTDIR) {
			file, err = filepath.Dir(file), errors.New("is not a directory with a project.conf")
		}
		fail(&Error{File: file, Err: withoutPath(err)})
		return out
	}
	entries, err := parse(file, data, false, false)
	if err != nil {
		e, _ := errors.AsType[*Error](err)
		fail(e)
		return out
	}
	for _, e := range entries {
		if err := out.setKey(e); err != nil {
			err.File, err.Line, err.Key = e.File, e.Line, e.Key
			fail(err)
		}
	}
	return out
}

// projectName reports whether a project may have a name.
func projectName(name string) bool {
	plain := func(c rune) bool {
		return c < unicode.MaxASCII && (unicode.IsLetter(c) || unicode.IsDigit(c)) || strings.ContainsRune("._-", c)
	}
	return name != "" && len(name) <= 63 && !strings.ContainsAny(name[:1], "._-") &&
		!strings.ContainsFunc(name, func(c rune) bool { return !plain(c) })
}

// setKey sets the field of one key.
func (p *Project) setKey(e entry) *Error {
	section := strings.ReplaceAll(e.section, "_", "-")
	known, ok := projectKeys[section]
	if !ok {
		var names []string
		for n := range projectKeys {
			if n != "" {
				names = append(names, "["+n+"]")
			}
		}
		return &Error{Msg: fmt.Sprintf("is in the unknown section [%s]", e.section), Nearest: nearest.Near("["+e.section+"]", names)}
	}
	key := strings.ReplaceAll(e.Key, "_", "-")
	if known != nil && !slices.Contains(known, key) {
		return &Error{Msg: "unknown key", Nearest: nearest.Near(key, known)}
	}
	var err error
	switch section {
	case "members":
		err = member(p.Members, e.Key, e.Text)
	case "groups":
		err = member(p.Groups, e.Key, e.Text)
	case "quota":
		err = p.Quota.setLimit(key, e.Text)
	case "user-quota":
		err = p.UserQuota.setLimit(key, e.Text)
	default:
		if key == "weight" {
			p.Weight, err = positive(e.Text, "a weight")
			break
		}
		if slices.Contains(limitKeys, key) {
			err = takeLimit(&p.Limits, key, e.Text)
			break
		}
		n, bad := strconv.Atoi(e.Text)
		if bad != nil {
			err = fmt.Errorf("%q is not a whole number", e.Text)
		}
		p.Priority = &n
	}
	if err != nil {
		return &Error{Err: err}
	}
	return nil
}

// member gives a user or a group a role in the project. It refuses admin, which is a role in the
// whole controller.
func member(of map[string]string, name, role string) error {
	switch {
	case role == "admin":
		return errors.New("an administrator is one of the whole controller: admins in [auth] of hostler.conf has them")
	case !slices.Contains(memberRoles, role):
		return fmt.Errorf("%q is none of %s", role, strings.Join(memberRoles, ", "))
	}
	of[name] = role
	return nil
}

func whole(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("%q is not a whole number above 0; leave it out for no limit", text)
	}
	return n, nil
}

// setLimit sets one limit of the quota.
func (q *Quota) setLimit(key, text string) (err error) {
	switch key {
	case "count":
		q.Count, err = whole(text)
	case "partitions":
		q.Partitions, err = whole(text)
	case "shared-instances":
		q.Shared, err = whole(text)
	case "cores":
		q.Cores, err = positive(text, "a number of cores")
	case "memory":
		q.Memory, err = units.ParseSize(text)
		if err == nil && q.Memory <= 0 {
			err = fmt.Errorf("%q is not above 0; leave it out for no limit", text)
		}
	case "cost":
		q.Cost, err = positive(text, "a price for an hour")
	}
	return err
}

func positive(text, what string) (float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n > 0) || math.IsInf(n, 0) {
		return 0, fmt.Errorf("%q is not %s, a number above 0", text, what)
	}
	return n, nil
}

// checkProjects warns of sources for unknown projects, and adds sources to their projects.
func (g *loader) checkProjects() {
	for _, s := range g.Sources {
		at := s.Values["projects"]
		for _, name := range s.Projects {
			p, err := g.Project(name)
			if near, ok := errors.AsType[*Error](err); ok {
				// Another user of a shared configuration may have no projects. The source then
				// works for that user only.
				g.warn(&Error{
					File: at.File, Line: at.Line, Source: s.Name, Key: "projects",
					Msg: fmt.Sprintf("there is no project %s", name), Nearest: near.Nearest,
				})
				continue
			}
			p.Sources = append(p.Sources, s.Name)
		}
	}
}
