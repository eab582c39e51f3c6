package enter

import (
	"encoding/binary"
	"errors"
)

// The descriptors that the first process is born with.
const (
	controlFD = 3 // a seqpacket socket: the plan with its descriptors comes in, an Answer goes out
	ProgramFD = 4 // its own program, not needed any more
	firstFD   = 5 // what else there is, if there is: held open as long as it lives
)

// MaxPlan is the largest plan, in bytes: below what a socket takes at once by default, and enough
// for a root that lists some thousands of entries beside the mounts of an ordinary user's machine.
const MaxPlan = 192 << 10

// Plan says what a sandbox looks like from inside. The first descriptor that comes with it is the
// listening socket to serve on; the fields name others by their place, counted from 1.
type Plan struct {
	Hostname string
	Scratch  string // a directory of the host's to mount on, out of sight of all others
	Size     int64  // bytes that may be written to the root; 0: no limit of ours
	Shm      int64  // bytes of /dev, with /dev/shm
	Disk     Tree   // the directory that what is written goes to; zero: to memory
	// descriptor of the sandbox's control group, for those of its runs; 0: none
	Group int
	// a directory, of which layers are parts, to be copied before it is used: a user with the right
	// to remove it could show what it hides
	Mask string
	// descriptor of the file that records this sandbox: the sandbox ends when that file is removed;
	// 0: none
	Record int
	// descriptors to be kept open to the end: they keep secrets hidden and guarded names in place
	Holds   []int
	Pieces  []Piece           // what the root is made of, in order
	Files   map[string]string // contents of files in it that are the sandbox's own, by path
	Env     map[string]string // of every command
	Dir     string            // where commands start
	NProc   int64             // most processes, where no control group counts them; 0: as it is
	PIDs    int64             // most processes and threads
	PTYs    int64             // most terminals; 0: as many as the machine has
	AIO     bool              // contexts of asynchronous input and output may be made
	Shared  bool              // it has the user id of somebody outside, an ordinary user
	Nesting bool              // name spaces and mounts of the user's own are allowed inside
	Without []string          // defences that are off; tests alone ask for that

	early  bool   // prepare was done
	clone3 bool   // user name spaces cannot be made, whatever the system call
	lacks  []Lack // what could not be had
}

// Piece is a part of the root.
type Piece struct {
	At   string // where, from the new root
	Kind Kind   // what
	// of an overlay: the top first; of a bind: one, or none for what is at its place already
	Layers   []Tree
	Writable bool   // bind
	Optional bool   // where it cannot be had, an empty directory will do
	Target   string // link
	Mode     int64  // dir
}

// Kind is a kind of Piece.
type Kind string

// The kinds of Piece.
const (
	Overlay Kind = "overlay" // layers with a private one for what is written
	Bind    Kind = "bind"    // a tree as it is
	Dir     Kind = "dir"     // an empty directory
	Link    Kind = "link"    // a symbolic link
)

// Tree is a directory or file of the host's.
type Tree struct {
	FD   int    // a mount of it that came with the plan; 0: Path
	Path string // of the host's
}

// Answer is what the first process says when its plan is done, or cannot be.
type Answer struct {
	Step  string // what failed
	Error string // why; "": the sandbox is ready
	Errno int    // the kernel's word for it; 0: not the kernel's
	Lacks []Lack // what could not be had and did not have to be; the first of them
}

// Lack is a piece of the root that is an empty directory instead.
type Lack struct {
	At  string // where
	Why string
}

// How many lacks are told, and with how many characters each, so that an answer is small.
const (
	maxLacks = 20
	maxLack  = 300
)

// A plan is read once by a process that has just begun, where a millisecond counts: it travels as
// its fields in order, strings and lists with their lengths before them. Both ends are of one
// build.

// coder writes or reads fields in order: what one method does for both cannot get out of step.
type coder struct {
	b    []byte
	read bool
	bad  bool
}

// int writes or reads a varint. A damaged one sets bad, and nothing more is read.
func (c *coder) int(p *int64) {
	if !c.read {
		c.b = binary.AppendVarint(c.b, *p)
		return
	}
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.b, c.bad = nil, true
		return
	}
	c.b, *p = c.b[n:], v
}

func (c *coder) small(p *int) {
	v := int64(*p)
	c.int(&v)
	*p = int(v)
}

func (c *coder) bool(p *bool) {
	var v int64
	if *p {
		v = 1
	}
	c.int(&v)
	*p = v == 1
}

// string writes or reads a text with its length in bytes before it.
func (c *coder) string(p *string) {
	n := len(*p)
	c.small(&n)
	if !c.read {
		c.b = append(c.b, *p...)
		return
	}
	if n < 0 || n > len(c.b) {
		c.b, c.bad = nil, true
		return
	}
	*p, c.b = string(c.b[:n]), c.b[n:]
}

// list handles a list's length, and each of its elements.
func list[T any](c *coder, p *[]T, each func(*T)) {
	n := len(*p)
	c.small(&n)
	if c.read {
		if n < 0 || n > len(c.b) {
			c.b, c.bad = nil, true
			return
		}
		*p = nil
		if n > 0 {
			*p = make([]T, n)
		}
	}
	for i := range *p {
		each(&(*p)[i])
	}
}

// words writes or reads a map as a list of pairs, in no order. Reading never leaves the map nil.
func (c *coder) words(p *map[string]string) {
	type pair struct{ k, v string }
	var all []pair
	for k, v := range *p {
		all = append(all, pair{k, v})
	}
	list(c, &all, func(e *pair) { c.string(&e.k); c.string(&e.v) })
	if c.read {
		*p = make(map[string]string, len(all))
		for _, e := range all {
			(*p)[e.k] = e.v
		}
	}
}

func (c *coder) tree(t *Tree) {
	c.small(&t.FD)
	c.string(&t.Path)
}

// plan encodes or decodes all fields of a plan, in the order of the protocol.
func (c *coder) plan(p *Plan) {
	c.string(&p.Hostname)
	c.string(&p.Scratch)
	c.int(&p.Size)
	c.int(&p.Shm)
	c.tree(&p.Disk)
	c.small(&p.Group)
	c.small(&p.Record)
	list(c, &p.Holds, c.small)
	c.string(&p.Mask)
	list(c, &p.Pieces, func(e *Piece) {
		c.string(&e.At)
		c.string((*string)(&e.Kind))
		list(c, &e.Layers, c.tree)
		c.bool(&e.Writable)
		c.bool(&e.Optional)
		c.string(&e.Target)
		c.int(&e.Mode)
	})
	c.words(&p.Files)
	c.words(&p.Env)
	c.string(&p.Dir)
	c.int(&p.NProc)
	c.int(&p.PIDs)
	c.int(&p.PTYs)
	c.bool(&p.AIO)
	c.bool(&p.Shared)
	c.bool(&p.Nesting)
	list(c, &p.Without, c.string)
}

func (c *coder) answer(a *Answer) {
	c.string(&a.Step)
	c.string(&a.Error)
	c.small(&a.Errno)
	list(c, &a.Lacks, func(e *Lack) { c.string(&e.At); c.string(&e.Why) })
}

// Bytes is the plan as it travels.
func (p *Plan) Bytes() []byte {
	c := &coder{}
	c.plan(p)
	return c.b
}

// errForm: the other side is of another build, or no agent at all.
var errForm = errors.New("what came is not well formed")

// readPlan is the inverse of Bytes.
func readPlan(b []byte) (*Plan, error) {
	p, c := &Plan{}, &coder{b: b, read: true}
	c.plan(p)
	if c.bad || len(c.b) > 0 {
		return nil, errForm
	}
	return p, nil
}

func (a *Answer) bytes() []byte {
	c := &coder{}
	c.answer(a)
	return c.b
}

// ReadAnswer reads what the first process said. It may be a hostile one's.
func ReadAnswer(b []byte) (Answer, error) {
	a, c := Answer{}, &coder{b: b, read: true}
	c.answer(&a)
	if c.bad || len(c.b) > 0 {
		return Answer{}, errForm
	}
	return a, nil
}
