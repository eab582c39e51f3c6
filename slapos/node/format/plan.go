package format

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/hostler-project/hostler/compute"
)

// resource is the file in a partition that describes it.
const resource = ".slapos-resource"

// shell is the one of all users that are made.
const shell = "/bin/sh"

// planner makes a plan.
type planner struct {
	o    *Options
	d    *Definition
	was  *Computer
	m    *machine
	book addressPool
	ours map[netip.Addr]bool // addresses that an earlier run chose

	c     *Computer
	steps []step
	err   error
}

// plan makes a computer's description and the missing steps, to be taken in order. It goes by
// options, a definition (nil: none), the description by an earlier run (nil: there was none) and
// the machine's state. random returns a number below n.
func plan(o *Options, d *Definition, was *Computer, m *machine, random func(n int) int) (*Computer, []step, error) {
	if err := o.Check(); err != nil {
		return nil, nil, err
	}
	if d == nil {
		d = &Definition{}
	}
	if was == nil {
		was = &Computer{}
	}
	p := &planner{
		o: o, d: d, was: was, m: m, book: addressPool{map[netip.Addr]bool{}, map[netip.Addr]bool{}, random},
		ours: map[netip.Addr]bool{},
	}
	if n := len(was.Partitions); n > o.Partitions {
		return nil, nil, &compute.Error{Op: "format.Plan", Kind: compute.ErrConflict,
			Err:  fmt.Errorf("there are %d partitions, and partition_amount is %d: none is taken away", n, o.Partitions),
			Hint: "set partition_amount to " + strconv.Itoa(n) + " or more"}
	}
	p.describe()
	p.network()
	if p.err != nil {
		return nil, nil, p.err
	}
	p.record()
	p.users()
	p.directories()
	if o.AlterNetwork {
		p.links()
	}
	p.resources()
	return p.c, p.steps, p.err
}

func (p *planner) do(s step) { p.steps = append(p.steps, s) }

func (p *planner) fail(format string, args ...any) {
	if p.err == nil {
		p.err = &compute.Error{Op: "format.Plan", Kind: compute.ErrConflict, Err: fmt.Errorf(format, args...)}
	}
}

// before is what an earlier run made of a partition.
func (p *planner) before(i int) Partition {
	if i < len(p.was.Partitions) {
		return p.was.Partitions[i]
	}
	return Partition{}
}

// describe writes what needs no choice.
func (p *planner) describe() {
	o := p.o
	c := &Computer{Reference: o.Computer, PublicIPv4: o.PublicIPv4, IPv6Interface: o.IPv6Interface,
		IPv6Range: o.IPv6Range, SoftwareUser: o.SoftwareUser, SoftwareRoot: o.SoftwareRoot,
		InstanceRoot: o.InstanceRoot, StorageHome: o.StorageHome, TapGateway: o.TapGateway, TapIPv6: o.TapIPv6,
		Platform: o.Platform, Version: o.Version,
		Interface: Interface{Name: o.Interface, IPv6Name: o.interface6(), PrefixShift: o.PrefixShift}}
	if o.IPv4Network.IsValid() {
		c.Interface.IPv4Network = o.IPv4Network.String()
	}
	if p.d.SoftwareUser != "" {
		c.SoftwareUser = p.d.SoftwareUser
	}
	seen, users := map[string]bool{}, map[string]bool{}
	for _, name := range names(o, p.d) {
		if seen[name.dir] {
			p.fail("two partitions have the directory %s", name.dir)
		}
		seen[name.dir], users[name.user] = true, true
		part := Partition{Reference: filepath.Base(name.dir), Path: name.dir, Capabilities: p.d.Partitions[len(c.Partitions)].Capabilities,
			User:   User{Name: name.user, Shell: shell, Home: name.dir, Groups: []string{c.SoftwareUser}},
			Limits: p.d.Partitions[len(c.Partitions)].Limits.withDefaults(o.Limits)}
		for _, storage := range p.m.Storage {
			part.Storage = append(part.Storage, filepath.Join(storage, part.Reference))
		}
		c.Partitions = append(c.Partitions, part)
	}
	if o.AlterUser && len(users) != len(c.Partitions) {
		p.fail("two partitions have the same user: with alter_user each has its own")
	}
	if o.AlterUser && users[c.SoftwareUser] {
		p.fail("%s builds the software, and cannot have a partition too", c.SoftwareUser)
	}
	p.c = c
}

// withDefaults is the limits with unset ones taken from deft.
func (l Limits) withDefaults(deft Limits) Limits {
	if l.Memory == 0 {
		l.Memory = deft.Memory
	}
	if l.CPU == 0 {
		l.CPU = deft.CPU
	}
	if l.PIDs == 0 {
		l.PIDs = deft.PIDs
	}
	return l
}

// name is what a partition is called.
type name struct{ dir, user string }

// names returns the directory and the user of each partition. The definition's own, where set,
// replace the numbered ones.
func names(o *Options, d *Definition) []name {
	out := make([]name, o.Partitions)
	for i := range out {
		n := strconv.Itoa(i)
		dir, user := o.PartitionBase+n, o.UserBase+n
		if d != nil && d.Partitions[i].Path != "" {
			dir = d.Partitions[i].Path
		}
		if d != nil && d.Partitions[i].User != "" {
			user = d.Partitions[i].User
		}
		out[i] = name{filepath.Join(o.InstanceRoot, dir), user}
	}
	return out
}

// record writes the description before the first of its steps, so that half-done work is known as
// ours.
func (p *planner) record() {
	if p.o.Certificates != "" {
		// each partition's user opens its own key there, by name, and lists nothing
		p.directory(p.o.Certificates, 0o711, "")
	}
	state, err := stateText(p.c)
	if err != nil {
		p.err = err
		return
	}
	if was, there := p.m.Files[p.o.State]; !bytes.Equal(was, state) {
		if there {
			p.do(archiveState{p.o.State})
		}
		p.do(putFile{p.o.State, state, 0o644})
	}
	p.file(p.o.JSON, indented(p.c.Dictionary()))
	p.file(p.o.DefinitionOut, p.c.definition())
}

func (p *planner) file(path string, data []byte) {
	if path != "" && !bytes.Equal(p.m.Files[path], data) {
		p.do(putFile{path, data, 0o644})
	}
}

// users makes the missing users, and corrects ours.
func (p *planner) users() {
	if !p.o.AlterUser {
		return
	}
	p.user(User{Name: p.c.SoftwareUser, Shell: shell, Home: p.c.SoftwareRoot}, p.c.SoftwareUser == p.o.SoftwareUser)
	for i := range p.c.Partitions {
		u := p.c.Partitions[i].User
		p.user(u, u.Name == p.o.UserBase+strconv.Itoa(i))
	}
}

// user makes a user, or changes an existing one if its name is ours (ourName). A user of another
// name is made, but never changed.
func (p *planner) user(u User, ourName bool) {
	account, there := p.m.Users[u.Name]
	group, grouped := p.m.Groups[u.Name]
	known := slices.ContainsFunc(p.was.Partitions, func(w Partition) bool { return w.User.Name == u.Name })
	switch {
	case there && (account.UID == 0 || account.GID == 0), grouped && group.GID == 0:
		p.fail("%s is root by its uid or gid, and cannot have a partition or build software", u.Name)
		return
	case there && !ourName:
		return
	case there && account.Home != u.Home && !known:
		p.fail(
			"there is a user %s with the home %s who is not of our making: choose another user_base_name or software_user",
			u.Name, account.Home,
		)
		return
	}
	if !grouped {
		p.do(command{[]string{"groupadd", "-r", u.Name}})
	}
	if !there {
		argv := []string{"useradd", "-d", u.Home, "-g", u.Name, "-s", u.Shell, "-r"}
		for _, g := range u.Groups {
			argv = append(argv, "-G", g)
		}
		p.do(command{append(argv, u.Name)}) // locked, as it gets no password
		return
	}
	argv := []string{"usermod", "-d", u.Home, "-g", u.Name, "-s", u.Shell}
	wrong := account.Home != u.Home || account.Shell != u.Shell || !grouped || account.GID != group.GID
	for _, g := range u.Groups {
		if in := p.m.Groups[g]; !slices.Contains(in.Members, u.Name) {
			wrong = true
		}
		argv = append(argv, "-aG", g)
	}
	if wrong {
		p.do(command{append(argv, u.Name)})
	}
	if !account.Locked {
		p.do(command{[]string{"passwd", "-l", u.Name}})
	}
}

// directories makes the missing directories, and sets their owners.
func (p *planner) directories() {
	owner := func(name string) string {
		if p.o.AlterUser {
			return name
		}
		return ""
	}
	p.directory(p.c.InstanceRoot, 0o755, "")
	p.directory(p.c.SoftwareRoot, 0o755, owner(p.c.SoftwareUser))
	for _, part := range p.c.Partitions {
		p.directory(part.Path, 0o750, owner(part.User.Name))
		for _, storage := range part.Storage {
			p.directory(storage, 0o750, owner(part.User.Name))
		}
	}
}

// directory makes sure of a directory. Without an owner, a directory of another user is left as it
// is.
func (p *planner) directory(path string, perm fs.FileMode, owner string) {
	entry, there := p.m.Paths[path]
	switch {
	case !there:
		p.do(makeDir{path, perm, owner})
	case !entry.Mode.IsDir():
		p.fail("%s is no directory, and it is not ours to take away", path)
	case owner != "":
		user, ok := p.m.Users[owner]
		group, grouped := p.m.Groups[owner]
		if !grouped {
			group.GID = user.GID
		}
		if !ok || entry.UID != user.UID || entry.GID != group.GID || entry.Mode.Perm() != perm {
			p.do(own{path, perm, owner})
		}
	case entry.Mode.Perm() != perm && entry.UID == p.m.UID:
		p.do(own{path, perm, ""})
	}
}

// resources writes each partition's own description into it.
func (p *planner) resources() {
	for i := range p.c.Partitions {
		part := &p.c.Partitions[i]
		if data := indented(part.Dictionary()); !bytes.Equal(p.m.Files[filepath.Join(part.Path, resource)], data) {
			p.do(putInto{part.Path, resource, data})
		}
	}
}
