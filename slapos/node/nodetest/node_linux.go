package nodetest

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/proto"
)

// FirstUser is the user and the group of the first partition where we are root; those of the next
// ones follow. A node ends all that runs as such a user, so that the tests of another package,
// which run beside, have others: this process' and those of the processes that it starts.
var FirstUser = users()

// users returns the first user number of this process and of those it starts.
func users() int {
	const key = "HOSTLER_TEST_FIRST_USER"
	if n, err := strconv.Atoi(os.Getenv(key)); err == nil {
		return n
	}
	n := 20000 + os.Getpid()%450*100
	_ = os.Setenv(key, strconv.Itoa(n))
	return n
}

// Node is a computer with partitions and a supervisor. The test brings the master.
type Node struct {
	Work     string // the directory of all of it; all users may look into it
	Root     string // below it, the directories of the instances
	Software string // and of releases

	Supervisor  *supervise.Supervisor
	Supervision supervise.Options

	t     testing.TB
	ids   []string
	mu    sync.Mutex
	lines []string
}

// IDs are the names of so many partitions: p0, p1, ...
func IDs(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprint("p", i))
	}
	return ids
}

// newNode makes one until the test ends.
func newNode(t testing.TB, ids ...string) *Node {
	t.Helper()
	work, err := os.MkdirTemp("", "hostler-node-") // a test's own directory is its user's alone
	Do(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(work) })
	n := &Node{t: t, ids: ids, Work: work, Root: filepath.Join(work, "inst"), Software: filepath.Join(work, "soft")}
	Do(t, os.Chmod(work, 0o755), os.Mkdir(n.Root, 0o755), os.Mkdir(n.Software, 0o755))
	for _, id := range ids {
		Do(t, os.Mkdir(n.At(id), 0o750))
		n.Give(id)
	}
	n.Supervision = supervise.Options{
		Dir: filepath.Join(t.TempDir(), "sup"), First: 20 * time.Millisecond, Last: 100 * time.Millisecond,
		Settled: time.Hour,
	}
	n.Supervise()
	t.Cleanup(func() {
		_ = n.Supervisor.Stop(context.Background(), "all")
		_ = n.Supervisor.Close()
	})
	return n
}

// Supervise starts the supervisor by Supervision; where one was there, it is to be closed.
func (n *Node) Supervise() {
	n.t.Helper()
	var err error
	n.Supervisor, err = supervise.New(n.Supervision)
	Do(n.t, err)
}

// At is a path below Root.
func (n *Node) At(name ...string) string {
	return filepath.Join(append([]string{n.Root}, name...)...)
}

// User is who a partition belongs to: its user and its group.
func (n *Node) User(id string) int {
	if os.Getuid() != 0 {
		return os.Getuid()
	}
	return FirstUser + slices.Index(n.ids, id)
}

// Give gives a file below Root to a partition's user. The path begins with the partition's name.
func (n *Node) Give(name ...string) {
	n.t.Helper()
	id, _, _ := strings.Cut(filepath.Join(name...), "/")
	if os.Getuid() == 0 {
		Do(n.t, os.Lchown(n.At(name...), n.User(id), n.User(id)))
	}
}

// Put writes a file of a partition as its user would, with its directories.
func (n *Node) Put(id, name, text string, mode os.FileMode) {
	n.t.Helper()
	up := id
	for part := range strings.SplitSeq(filepath.Dir(name), "/") {
		up = filepath.Join(up, part)
		if err := os.Mkdir(n.At(up), 0o750); err == nil {
			n.Give(up)
		}
	}
	Do(n.t, os.WriteFile(n.At(id, name), []byte(text), mode), os.Chmod(n.At(id, name), mode))
	n.Give(id, name)
}

// Ours writes a file below Root that is the node's.
func (n *Node) Ours(name, text string) {
	n.t.Helper()
	Do(n.t, os.MkdirAll(filepath.Dir(n.At(name)), 0o755), os.WriteFile(n.At(name), []byte(text), 0o644))
}

// Read is a file below Root; "" where there is none.
func (n *Node) Read(name ...string) string {
	text, _ := os.ReadFile(n.At(name...))
	return string(text)
}

// There fails the test if files below Root are missing, and Gone if they are there.
func (n *Node) There(names ...string) {
	n.t.Helper()
	for _, name := range names {
		if _, err := os.Lstat(n.At(name)); err != nil {
			n.t.Error(err)
		}
	}
}

// Gone is the other of There.
func (n *Node) Gone(names ...string) {
	n.t.Helper()
	for _, name := range names {
		if _, err := os.Lstat(n.At(name)); !errors.Is(err, fs.ErrNotExist) {
			n.t.Errorf("%s is there still (%v)", name, err)
		}
	}
}

// State is how a program, GROUP:NAME, is; nothing where there is none.
func (n *Node) State(name string) supervise.Status {
	all, err := n.Supervisor.Status(n.t.Context(), name)
	if err != nil || len(all) != 1 {
		return supervise.Status{}
	}
	return all[0]
}

// Runs starts a program of the shell in a group of its own making.
func (n *Node) Runs(group, name, script string) {
	n.t.Helper()
	_, err := n.Supervisor.Put(
		n.t.Context(),
		supervise.Group{
			Name: group,
			Programs: []supervise.Program{{
				Name: name, Command: []string{"/bin/sh", "-c", script}, Dir: "/", Env: []string{"PATH=/bin:/usr/bin"},
			}},
		},
	)
	Do(n.t, err, n.Supervisor.Start(n.t.Context(), group))
}

// Note takes what the node says, as fmt.Sprintf does.
func (n *Node) Note(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, fmt.Sprintf(format, args...))
}

// Said is the output since the last call of Hush, line by line.
func (n *Node) Said() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.lines, "\n")
}

// Hush begins what Said has anew.
func (n *Node) Hush() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = nil
}

// Says fails the test if the output lacks a text.
func (n *Node) Says(texts ...string) {
	n.t.Helper()
	for _, text := range texts {
		if log := n.Said(); !strings.Contains(log, text) {
			n.t.Errorf("the log lacks %q:\n%s", text, log)
		}
	}
}

// Lay makes a release as a build leaves it: files by their names; those that start with #! are
// programs.
func (n *Node) Lay(url string, files map[string]string) (dir string) {
	n.t.Helper()
	sum := md5.Sum([]byte(url))
	dir = filepath.Join(n.Software, hex.EncodeToString(sum[:]))
	for name, text := range files {
		mode := os.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		Do(n.t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755), os.WriteFile(filepath.Join(dir, name), []byte(text), mode))
	}
	return dir
}

// Rig is a node with a master of ours, which knows it and its partitions as the computer Computer.
type Rig struct {
	testing.TB
	*Master
	*Node
}

// New makes a rig with so many partitions.
func New(t testing.TB, partitions int) *Rig { return NewOf(t, IDs(partitions)...) }

// NewOf makes a rig whose partitions have these names.
func NewOf(t testing.TB, ids ...string) *Rig {
	t.Helper()
	r := &Rig{TB: t, Master: NewMaster(t, nil), Node: newNode(t, ids...)}
	c := &proto.Configuration{Computer: Computer}
	for i, id := range ids {
		c.Partitions = append(
			c.Partitions,
			proto.ConfiguredPartition{
				ID: id, Interface: "tap",
				Addresses: []proto.ConfiguredAddress{{IP: fmt.Sprintf("10.0.%d.%d", i/256, i%256), Netmask: "255.255.255.255"}},
			},
		)
	}
	Do(t, r.Computers.Format(t.Context(), access.Anybody, c))
	return r
}

// Until waits until something is so.
func (r *Rig) Until(what string, so func() bool) {
	r.Helper()
	Until(r.TB, what, so, r.Said)
}

// Release makes a release that is built, and is wanted.
func (r *Rig) Release(url string, files map[string]string) (dir string) {
	r.Helper()
	dir = r.Lay(url, files)
	Do(r, r.Client.Supply(r.Context(), url, Computer, proto.Available))
	return dir
}

// Light makes a lighter release, whose program is a shell script.
func (r *Rig) Light(url, script string) (dir string) {
	r.Helper()
	return r.Release(url, map[string]string{".hostler-release": "{}", ".completed": "now", "instance": "#!/bin/sh\n" + script})
}

// Service is a script's lines that leave a service.
func Service(name, script string) string {
	return "mkdir -p etc/service\ncat >etc/service/" + name + " <<'END'\n#!/bin/sh\n" + script + "\nEND\nchmod 755 etc/service/" + name + "\n"
}
