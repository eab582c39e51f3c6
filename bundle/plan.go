package bundle

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/hostler-project/hostler/compute"
)

// Set has all bundles by name.
type Set map[string]*Definition

// Var is a variable for all bundles of a plan.
type Var struct {
	Name, Value string
	Literal     bool // a plain value, even if it looks like a reference to a secret
	// it is for any bundle, so it is no error if none uses it
	Standing bool
}

// PlanOptions say what a plan is made for. The zero value is good.
type PlanOptions struct {
	Vars []Var    // override the bundles' and includes' values; the later of two wins
	Keys []string // lines for authorized_keys before those of the bundles
	// Secret looks up a value that is a reference; ok is false if it is none. nil: no value is a
	// reference.
	Secret func(ctx context.Context, value string) (secret string, ok bool, err error)
	// GoTemplate expands templates of the type go-template; nil: they are refused.
	GoTemplate GoTemplate
}

// Plan has the wanted bundles and their includes in order, with their variables. Apply brings a
// computer to it. A Plan is safe for concurrent use.
type Plan struct {
	Warnings []string // oddities that break nothing

	parts   []*part
	keys    []string
	secrets []string // values that are never shown
	wants   []string // the variables of PlanOptions that bundles use
	asks    bool     // facts of the computer are needed
	tools   []string // programs that conditions ask about
	byGo    GoTemplate
}

// part is one bundle of a plan.
type part struct {
	*Definition
	vars    map[string]string
	secret  map[string]bool // the variables that are secret
	keys    []string
	scripts map[string]string // by name
	files   map[string]*content
}

// content is that of a file, which is read when it is needed.
type content struct {
	fs   fs.FS
	name string
	mode fs.FileMode
	text string // the expanded text of a template

	once sync.Once
	size int64
	sum  [sha256.Size]byte
	crc  uint32
	err  error
}

// Bundles returns the bundles of the plan in order, with the digests of their definitions, where
// known.
func (p *Plan) Bundles() (out []Part) {
	for _, b := range p.parts {
		out = append(out, Part{b.Name, b.Digest})
	}
	return out
}

// Secret reports whether the plan has secrets. A computer that it was applied to may hold them.
func (p *Plan) Secret() bool { return len(p.secrets) > 0 }

// Wants returns the names of the variables of PlanOptions that bundles use.
func (p *Plan) Wants() []string { return slices.Clone(p.wants) }

// Part names a bundle of a plan.
type Part struct {
	Name   string `json:"name"`
	Digest string `json:"digest,omitempty"`
}

// Plan joins the named bundles. It finds all errors before a computer is made: unknown names and
// variables, circles of includes, unreadable files and templates that cannot be expanded. Example
// facts stand in for the computer's.
func (s Set) Plan(ctx context.Context, names []string, opt PlanOptions) (*Plan, error) {
	p := &Plan{byGo: opt.GoTemplate}
	g := planner{set: s, plan: p, byName: map[string]*part{}}
	for _, n := range names {
		if err := g.add(n, "", nil); err != nil {
			return nil, err
		}
	}
	used := map[string]bool{}
	for _, b := range p.parts {
		if err := p.read(b); err != nil {
			return nil, err
		}
		if err := g.variables(ctx, b, opt); err != nil {
			return nil, err
		}
		for _, a := range b.Args {
			used[a.Name] = true
		}
	}
	for _, b := range p.parts {
		for _, text := range b.texts() {
			for _, v := range opt.Vars {
				used[v.Name] = used[v.Name] || strings.Contains(text, v.Name)
			}
		}
	}
	for _, v := range opt.Vars {
		switch {
		case used[v.Name] && !slices.Contains(p.wants, v.Name):
			p.wants = append(p.wants, v.Name)
		case !used[v.Name] && !v.Standing && len(p.parts) > 0:
			return nil, p.unused(v.Name)
		}
	}
	for _, k := range opt.Keys {
		if err := publicKey(k); err != nil {
			return nil, &compute.Error{Kind: compute.ErrInvalid, Err: err}
		}
		p.keys = append(p.keys, k)
	}
	if _, err := p.Render(exampleFacts()); err != nil {
		return nil, err
	}
	p.findConflicts()
	return p, nil
}

// unused is the error about a variable that no bundle uses. Its name may be mistyped, or its bundle
// missing.
func (p *Plan) unused(name string) error {
	known := []string{"node_name", "node_shortname"}
	for _, b := range p.parts {
		for _, a := range b.Args {
			known = append(known, a.Name)
		}
	}
	return &compute.Error{
		Kind: compute.ErrInvalid,
		Err:  fmt.Errorf("variable %q is used by none of the bundles%s", name, suggestion(name, known)),
		Hint: "hostler bundle show BUNDLE lists its arguments",
	}
}

// exampleFacts returns facts of a computer that has all of them.
func exampleFacts() Facts {
	f := Facts{}
	for _, n := range FactNames {
		f[n] = "1"
	}
	f["os"] = "linux"
	return f
}

// planner is the state of one call of Plan.
type planner struct {
	set    Set
	plan   *Plan
	byName map[string]*part
	chain  []string
	given  []struct{ bundle, arg, value, by string }
}

// add appends a bundle after its includes.
func (g *planner) add(name, place string, args []Arg) error {
	d := g.set[name]
	if d == nil {
		err := fmt.Errorf("there is no bundle %q%s", name, suggestion(name, slices.Collect(maps.Keys(g.set))))
		if place == "" {
			return &compute.Error{Kind: compute.ErrNotFound, Err: err, Hint: "hostler bundle list shows which there are"}
		}
		return at(place, "", "include", err)
	}
	if d.Err != nil {
		return d.Err
	}
	if i := slices.Index(g.chain, name); i >= 0 {
		return at(
			place, "", "include",
			fmt.Errorf("the bundles include each other in a circle: %s", strings.Join(append(slices.Clone(g.chain[i:]), name), " > ")),
		)
	}
	for _, a := range args {
		if !slices.ContainsFunc(d.Args, func(o Arg) bool { return o.Name == a.Name }) {
			var known []string
			for _, o := range d.Args {
				known = append(known, o.Name)
			}
			return at(a.at, "", a.Name, fmt.Errorf("bundle %s has no argument of that name%s", name, suggestion(a.Name, known)))
		}
		for _, o := range g.given {
			if o.bundle == name && o.arg == a.Name && o.value != a.Value {
				return at(a.at, "", a.Name, fmt.Errorf("bundle %s got another value of it at %s, and is there once", name, o.by))
			}
		}
		g.given = append(g.given, struct{ bundle, arg, value, by string }{name, a.Name, a.Value, a.at})
	}
	if g.byName[name] != nil {
		return nil
	}
	g.chain = append(g.chain, name)
	for _, i := range d.Include {
		if err := g.add(i.Name, i.at, i.Args); err != nil {
			return err
		}
	}
	g.chain = g.chain[:len(g.chain)-1]
	b := &part{
		Definition: d, vars: map[string]string{}, secret: map[string]bool{}, scripts: map[string]string{},
		files: map[string]*content{},
	}
	g.byName[name] = b
	g.plan.parts = append(g.plan.parts, b)
	return nil
}

// variables sets what a bundle's templates see, except the variables that stand for the computer.
func (g *planner) variables(ctx context.Context, b *part, opt PlanOptions) error {
	set := func(name, value, place string, literal bool) error {
		b.vars[name] = value
		delete(b.secret, name)
		if opt.Secret == nil || literal {
			return nil
		}
		secret, ok, err := opt.Secret(ctx, value)
		if err != nil {
			return at(place, b.Name, name, err)
		}
		if ok {
			b.vars[name], b.secret[name] = secret, true
			if secret != "" {
				g.plan.secrets = append(g.plan.secrets, secret)
			}
		}
		return nil
	}
	values := map[string]Arg{}
	for _, a := range b.Args {
		values[a.Name] = a
	}
	for _, o := range g.given {
		if o.bundle == b.Name {
			values[o.arg] = Arg{Name: o.arg, Value: o.value, at: o.by}
		}
	}
	literal := map[string]bool{}
	texts := b.texts()
	for _, v := range opt.Vars {
		if _, arg := values[v.Name]; v.Standing && !arg &&
			!slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, v.Name) }) {
			continue // an unused secret is not looked up
		}
		values[v.Name] = Arg{Name: v.Name, Value: v.Value}
		literal[v.Name] = v.Literal
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		a := values[name]
		if a.Required {
			return &compute.Error{
				Kind: compute.ErrInvalid,
				Err:  fmt.Errorf("%s: bundle %s needs a value for its argument %s", a.at, b.Name, name),
				Hint: "give it with -t " + name + "=VALUE",
			}
		}
		if err := set(name, a.Value, a.at, literal[name]); err != nil {
			return err
		}
	}
	return nil
}

var toolFacts = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\.facts\.tool\.([\w-]+)`) })

// read reads a bundle's keys and texts, and checks that its files can be read.
func (p *Plan) read(b *part) error {
	for _, name := range b.Pubkeys {
		text, err := readText(b.Content, path.Join("pubkeys", name))
		if err != nil {
			return at(b.File, b.Name, "pubkeys/"+name, err)
		}
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
				continue
			}
			if err := publicKey(line); err != nil {
				return at(b.File, b.Name, "pubkeys/"+name, err)
			}
			b.keys = append(b.keys, line)
		}
	}
	conditions := slices.Clone(b.When)
	for _, s := range b.Scripts {
		text, err := readText(b.Content, path.Join("scripts", s.Name))
		if err != nil {
			return at(s.at, b.Name, "scripts/"+s.Name, err)
		}
		b.scripts[s.Name] = text
		conditions = append(conditions, s.When...)
	}
	for _, f := range b.Files {
		c := &content{fs: b.Content, name: path.Join("files", f.Source)}
		b.files[f.Path] = c
		r, err := c.open()
		if err == nil {
			err = r.Close()
		}
		if err == nil && f.Template {
			c.text, err = readText(b.Content, c.name)
		}
		if err != nil {
			return at(f.at, b.Name, c.name, err)
		}
		conditions = append(conditions, f.When...)
	}
	for _, text := range b.texts() {
		if typ, _ := templateType(text); typ == "go-template" && strings.Contains(text, "facts") {
			p.asks = true
			for _, m := range toolFacts().FindAllStringSubmatch(text, -1) {
				p.tools = append(p.tools, m[1])
			}
		}
	}
	for _, c := range conditions {
		p.asks = p.asks || slices.Contains(inside, c.Fact)
		if tool, ok := strings.CutPrefix(c.Fact, "tool."); ok {
			p.tools = append(p.tools, tool)
		}
	}
	return nil
}

// texts returns everything that may be a template.
func (b *part) texts() (out []string) {
	for _, s := range b.Scripts {
		out = append(out, b.scripts[s.Name])
	}
	for _, f := range b.Files {
		if f.Template {
			out = append(out, b.files[f.Path].text)
		}
	}
	return out
}

// findConflicts warns of paths that several bundles write.
func (p *Plan) findConflicts() {
	by := map[string]string{}
	for _, b := range p.parts {
		for _, f := range b.Files {
			if first, ok := by[f.Path]; ok {
				p.Warnings = append(
					p.Warnings,
					fmt.Sprintf("%s: bundle %s has it, and bundle %s after it, which counts", f.Path, first, b.Name),
				)
			}
			by[f.Path] = b.Name
		}
	}
}

// publicKey refuses a line that cannot be one of authorized_keys.
func publicKey(line string) error {
	switch {
	case strings.Contains(line, "PRIVATE KEY"):
		return errors.New("is a private key; the public one belongs here")
	case strings.ContainsFunc(line, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }):
		return errors.New("a public key has a control character in it")
	}
	for _, word := range strings.Fields(line) {
		if strings.HasPrefix(word, "ssh-") || strings.HasPrefix(word, "ecdsa-") || strings.HasPrefix(word, "sk-") {
			return nil
		}
	}
	return fmt.Errorf("%.40q is no public key as in authorized_keys", line)
}

// readText reads a regular file that is small enough to be a text.
func readText(f fs.FS, name string) (string, error) {
	r, err := openRegular(f, name)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, MaxText+1))
	if err == nil && len(b) > MaxText {
		err = errors.New("is larger than 16 MiB, and should be a text")
	}
	return string(b), err
}

// openRegular opens a regular file. It refuses devices and pipes before opening could block.
func openRegular(f fs.FS, name string) (fs.File, error) {
	info, err := fs.Stat(f, name)
	if err != nil {
		return nil, bare(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is not a regular file")
	}
	r, err := f.Open(name)
	if err != nil {
		return nil, bare(err)
	}
	return r, nil
}

// open opens the file and records its mode.
func (c *content) open() (fs.File, error) {
	r, err := openRegular(c.fs, c.name)
	if err != nil {
		return nil, err
	}
	info, err := r.Stat()
	if err != nil {
		r.Close()
		return nil, bare(err)
	}
	c.mode = info.Mode().Perm()
	return r, nil
}

// measure reads the file once for its digests.
func (c *content) measure() error {
	c.once.Do(func() {
		var r fs.File
		if r, c.err = c.open(); c.err != nil {
			return
		}
		defer r.Close()
		h, k := sha256.New(), &cksum{}
		c.size, c.err = io.Copy(io.MultiWriter(h, k), r)
		c.sum, c.crc = sumOf(h), k.sum()
	})
	return c.err
}

func sumOf(h hash.Hash) (out [sha256.Size]byte) {
	copy(out[:], h.Sum(nil))
	return out
}

// cksum is the checksum of POSIX's cksum, which every system has.
type cksum struct {
	crc  uint32
	size uint64
}

var cksumTable = sync.OnceValue(func() (t [256]uint32) {
	for i := range t {
		c := uint32(i) << 24
		for range 8 {
			if c&(1<<31) != 0 {
				c = c<<1 ^ 0x04C11DB7
			} else {
				c <<= 1
			}
		}
		t[i] = c
	}
	return t
})

func (k *cksum) add(b byte) { k.crc = k.crc<<8 ^ cksumTable()[byte(k.crc>>24)^b] }

func (k *cksum) Write(p []byte) (int, error) {
	t, c := cksumTable(), k.crc
	for _, b := range p {
		c = c<<8 ^ t[byte(c>>24)^b]
	}
	k.crc, k.size = c, k.size+uint64(len(p))
	return len(p), nil
}

func (k *cksum) sum() uint32 {
	end := *k
	for n := k.size; n > 0; n >>= 8 {
		end.add(byte(n))
	}
	return ^end.crc
}
