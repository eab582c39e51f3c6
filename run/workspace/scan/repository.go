package scan

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// History says how much of a repository goes along with its work tree.
type History string

// The values of History.
const (
	// the checked-out commit and that of the default branch of origin, without their ancestors
	HeadOnly    History = "head"
	FullHistory History = "full" // all commits of branches and tags
)

// Repository makes a git directory for a copy of a tree, in an empty directory: a pack of its
// commits, its index and its branches. The other side only puts it at .git. It has no remotes, and
// none of the settings of the repository here, which may have credentials. Repository returns the
// files as entries below ".git". Git makes them without any network. Made again from the same
// commits and index, all files but the pack's own are the same.
//
// The tree must be a git tree whose root is the top. A repository without a commit is an error of
// kind ErrInvalid.
func Repository(ctx context.Context, tree *Tree, how History, dir string) ([]Entry, error) {
	if how != HeadOnly && how != FullHistory {
		return nil, refused("", "--git=%s: neither head nor full", how)
	}
	from, err := gitDir(tree.Root)
	if err != nil || !tree.Git {
		return nil, refused("leave --git out, or --root", "--git: %s is not the top of a git work tree", tree.Root)
	}
	m := &maker{ctx: ctx, root: tree.Root, from: from, dir: dir}
	head, err := m.ask(nil, "rev-parse", "--verify", "-q", "HEAD^{commit}")
	if err != nil {
		return nil, refused("commit first, or leave --git out", "--git: %s has no commit", tree.Root)
	}
	m.head = strings.TrimSpace(head)
	for _, step := range []func(History) error{m.skeleton, m.refs, m.pack, m.index} {
		if err := step(how); err != nil {
			return nil, err
		}
	}
	return m.entries()
}

// maker is one call of Repository.
type maker struct {
	ctx             context.Context
	root, from, dir string
	head            string   // the commit that is checked out
	tips            []string // commits to send without their ancestors
}

// ask runs git in the tree.
func (m *maker) ask(in []byte, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(m.ctx, gitPatience)
	defer cancel()
	cmd := gitCommand(ctx, m.root, args...)
	var out, said bytes.Buffer
	cmd.Stdin = bytes.NewReader(in)
	cmd.Stdout, cmd.Stderr = &bounded{w: &out, left: gitWords}, &bounded{w: &said, left: 4 << 10, cut: true}
	if args[0] == "update-index" {
		cmd.Env = append(cmd.Env, "GIT_INDEX_FILE="+filepath.Join(m.dir, "index"))
	}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		return "", gitFailed(m.root, err, said.String())
	}
	return out.String(), nil
}

func (m *maker) write(name, text string) error {
	file := filepath.Join(m.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// skeleton writes the files that every git directory has.
func (m *maker) skeleton(History) error {
	format, err := m.ask(nil, "rev-parse", "--show-object-format")
	if err != nil {
		return err
	}
	config := "[core]\n\trepositoryformatversion = 0\n\tbare = false\n"
	if format = strings.TrimSpace(format); format != "sha1" {
		config = "[core]\n\trepositoryformatversion = 1\n\tbare = false\n[extensions]\n\tobjectFormat = " + format + "\n"
	}
	if err := m.write("config", config); err != nil {
		return err
	}
	at := m.head + "\n"
	if branch, err := m.ask(nil, "symbolic-ref", "-q", "HEAD"); err == nil {
		at = "ref: " + branch
	}
	return m.write("HEAD", at)
}

// refs writes the branch of HEAD and the default branch of origin, or all branches and tags.
func (m *maker) refs(how History) error {
	all, err := m.ask(nil, "for-each-ref", "--format=%(objectname) %(refname) %(symref)", "refs/heads", "refs/tags", "refs/remotes")
	if err != nil {
		return err
	}
	branch, _ := m.ask(nil, "symbolic-ref", "-q", "HEAD")
	base, _ := m.ask(nil, "symbolic-ref", "-q", "refs/remotes/origin/HEAD")
	wanted := []string{strings.TrimSpace(branch), strings.TrimSpace(base)}
	packed := "# pack-refs with: sorted \n"
	m.tips = []string{m.head}
	for line := range strings.Lines(all) {
		words := strings.Fields(line)
		// with three words it is a symbolic ref
		if len(words) != 2 || how == HeadOnly && !slices.Contains(wanted, words[1]) {
			continue
		}
		packed += words[0] + " " + words[1] + "\n"
		m.tips = append(m.tips, words[0])
	}
	return m.write("packed-refs", packed)
}

// pack writes the objects of the commits and of the index.
func (m *maker) pack(how History) error {
	args := []string{"rev-list", "--objects"}
	shallow := ""
	if how == HeadOnly {
		args = append(args, "--no-walk")
		lines, err := m.ask(nil, append([]string{"rev-list", "--no-walk=unsorted", "--parents"}, m.tips...)...)
		if err != nil {
			return err
		}
		for line := range strings.Lines(lines) {
			if words := strings.Fields(line); len(words) > 1 && !strings.Contains(shallow, words[0]) {
				shallow += words[0] + "\n"
			}
		}
	} else if text, err := m.ask(nil, "rev-parse", "--is-shallow-repository"); err == nil && strings.TrimSpace(text) == "true" {
		file, err := m.ask(nil, "rev-parse", "--path-format=absolute", "--git-path", "shallow")
		if err != nil {
			return err
		}
		text, err := os.ReadFile(strings.TrimSuffix(file, "\n"))
		if err != nil {
			return err
		}
		shallow = string(text)
	}
	objects, err := m.ask(nil, append(args, m.tips...)...)
	if err != nil {
		return err
	}
	var names strings.Builder
	for line := range strings.Lines(objects) {
		names.WriteString(strings.Fields(line)[0] + "\n")
	}
	staged, err := m.ask(nil, "ls-files", "-z", "--stage")
	if err != nil {
		return err
	}
	for _, line := range fields([]byte(staged)) {
		// not those of a submodule
		if words := strings.Fields(line); len(words) > 2 && words[0] != "160000" && strings.Trim(words[1], "0") != "" {
			names.WriteString(words[1] + "\n")
		}
	}
	if shallow != "" {
		if err := m.write("shallow", shallow); err != nil {
			return err
		}
	}
	for _, dir := range []string{"objects/pack", "objects/info", "refs/heads", "refs/tags"} {
		if err := os.MkdirAll(filepath.Join(m.dir, dir), 0o755); err != nil {
			return err
		}
	}
	_, err = m.ask(
		[]byte(names.String()), "-c", "pack.writeReverseIndex=false", "pack-objects", "-q", "--threads=1",
		filepath.Join(m.dir, "objects/pack/pack"),
	)
	return err
}

// index writes the index without the attributes of local files.
func (m *maker) index(History) error {
	staged, err := m.ask(nil, "ls-files", "-z", "--stage")
	if err != nil {
		return err
	}
	if _, err = m.ask([]byte(staged), "update-index", "-z", "--index-info"); err != nil {
		return err
	}
	marked, err := m.ask(nil, "ls-files", "-z", "-t", "--cached")
	if err != nil {
		return err
	}
	var hidden strings.Builder // paths that should not be on disk are not missing
	for _, line := range fields([]byte(marked)) {
		if path, ok := strings.CutPrefix(line, "S "); ok {
			hidden.WriteString(path + "\x00")
		}
	}
	if hidden.Len() > 0 {
		_, err = m.ask([]byte(hidden.String()), "update-index", "-z", "--skip-worktree", "--stdin")
	}
	return err
}

// entries lists the files that were made.
func (m *maker) entries() ([]Entry, error) {
	s := &scanner{}
	root, err := openRoot(m.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	s.fd = int(root.Fd())
	var sights []foundPath
	err = filepath.WalkDir(m.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == m.dir {
			return err
		}
		rel, err := filepath.Rel(m.dir, path)
		sights = append(sights, foundPath{Entry: Entry{Path: filepath.ToSlash(rel)}})
		return err
	})
	if err == nil {
		err = s.statAll(m.ctx, sights)
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(sights, func(a, b foundPath) int { return strings.Compare(a.Path, b.Path) })
	var files []int
	for i := range sights {
		if sights[i].what == lookFile {
			files = append(files, i)
		}
	}
	if err := s.hash(m.ctx, sights, files); err != nil {
		return nil, err
	}
	var out []Entry
	for i := range sights {
		e := sights[i].Entry
		if e.Kind == Dir && s.parentOf(sights[i+1:], e.Path) {
			continue
		}
		if e.Kind == File {
			e.Mode, e.ModTime = 0o644, 0 // so that they are the same each time
			if err := os.Chtimes(filepath.Join(m.dir, filepath.FromSlash(e.Path)), time.Time{}, time.Unix(0, 0)); err != nil {
				return nil, err
			}
		}
		e.Path = ".git/" + e.Path
		if err := e.Check(); err != nil {
			return nil, &compute.Error{Op: "sync", Kind: compute.ErrFailed, Err: fmt.Errorf("--git: %w", err)}
		}
		out = append(out, e)
	}
	return out, nil
}
