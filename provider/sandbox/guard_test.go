//go:build linux

package sandbox_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sandbox"
)

// runHere are the names by which programs of this machine run what a directory holds.
var runHere = []string{
	".git", ".hg", ".jj", ".husky", ".githooks", ".pre-commit-config.yaml", ".hostler", ".crcache",
	".envrc", ".direnv", ".mise.toml", "mise.toml", ".vscode", ".idea", ".zed", ".vs", ".fleet",
	".devcontainer", ".devcontainer.json", ".exrc", ".nvimrc", ".nvim.lua", ".dir-locals.el",
	".gdbinit", ".lldbinit", ".claude", ".mcp.json", ".cursor", ".codex", ".gemini", ".windsurf",
}

// TestGuarded: of a directory that is shared to be written to, a sandbox neither makes, changes,
// removes nor replaces what programs of this machine run, unless the key `writable` names it. The
// page names each.
func TestGuarded(t *testing.T) { guarded(t) }

func TestGuardedAsUser(t *testing.T) {
	if asUser(t) {
		guarded(t)
	}
}

func guarded(t *testing.T) {
	dir := ours(t)
	p := open(t, sandbox.Options{Dir: t.TempDir(), Mounts: writable(dir)})
	for _, line := range strings.Fields(attack(t, p)) {
		t.Errorf("the sandbox could: %s", line)
	}
	for _, name := range runHere {
		if _, err := os.Lstat(filepath.Join(dir, "none", name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left behind: %v", name, err)
		}
	}
	p = open(t, sandbox.Options{Dir: t.TempDir(), Mounts: writable(ours(t)), Writes: runHere})
	did := strings.Fields(attack(t, p))
	for _, name := range runHere { // else nothing is proved
		for _, act := range []string{"made:none/", "changed:file/", "filled:dir/", "replaced:dir/"} {
			if !slices.Contains(did, act+name) {
				t.Errorf("with writable, not %s%s", act, name)
			}
		}
	}
}

// ours makes a directory with all of the names at three places: there is nothing, a file, or a
// directory.
func ours(t *testing.T) string {
	t.Helper()
	dir := homeDir(t)
	for _, name := range runHere {
		err := errors.Join(os.MkdirAll(filepath.Join(dir, "none"), 0o777), os.MkdirAll(filepath.Join(dir, "file"), 0o777),
			os.MkdirAll(filepath.Join(dir, "dir", name), 0o777), os.WriteFile(filepath.Join(dir, "file", name), []byte("mine\n"), 0o666),
			os.WriteFile(filepath.Join(dir, "dir", name, "config"), []byte("mine\n"), 0o666))
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// writable are the keys for those places.
func writable(dir string) (out []string) {
	for _, place := range []string{"none", "file", "dir"} {
		out = append(out, filepath.Join(dir, place)+":/shared/"+place+":rw")
	}
	return out
}

// attack has a sandbox try to write each of the names, and returns what it could.
func attack(t *testing.T, p *sandbox.Provider) string {
	t.Helper()
	return try(t, p, `exec 2>/dev/null; cd /shared; for n in `+strings.Join(runHere, " ")+`; do
mkdir none/$n && echo made:none/$n; (echo x >none/$n/x) && echo filled:none/$n; (echo x >none/$n) && echo written:none/$n
rmdir none/$n && echo removed:none/$n
(echo x >>file/$n) && echo changed:file/$n; mv file/$n file/was && echo replaced:file/$n
(echo x >dir/$n/x) && echo filled:dir/$n; (echo x >>dir/$n/config) && echo changed:dir/$n; mv dir/$n dir/was$n && echo replaced:dir/$n
done; :`)
}

// try has a sandbox run a script, and returns what it prints.
func try(t *testing.T, p *sandbox.Provider, script string) string {
	t.Helper()
	if _, err := p.Create(t.Context(), compute.Spec{ID: "guarded"}); err != nil {
		t.Fatal(err)
	}
	defer gone(t, p, "guarded")
	c, err := p.Connect(t.Context(), "guarded")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var out bytes.Buffer
	exit, err := c.Run(t.Context(), &compute.Command{Args: []string{"/bin/sh", "-c", script}, Stdout: &out, Stderr: &out})
	if err != nil || exit.Status() != 0 {
		t.Fatalf("exit = %v, err = %v: out = %s; want no error and exit.Status() == 0", exit, err, out.String())
	}
	return out.String()
}

// TestGuardedFurtherDown: so it is with the repositories further down, with the directories on the
// way to them, and with the directories that the configuration of one names for its hooks.
func TestGuardedFurtherDown(t *testing.T) { guardedDown(t) }

func TestGuardedFurtherDownAsUser(t *testing.T) {
	if asUser(t) {
		guardedDown(t)
	}
}

func guardedDown(t *testing.T) {
	const script = `exec 2>/dev/null; cd /shared; (echo x >>a/b/.git/config) && echo changed
(echo x >a/b/.git/hooks/post-checkout) && echo filled; mv a/b/.git a/b/was && echo renamed
mv a/b a/was && echo renamed-parent; mv a was && echo renamed-top; (echo x >>sub/.git) && echo changed-file
(rm sub/.git) && echo removed-file; mv sub was2 && echo renamed-sub; (echo x >tools/hooks/pre-commit) && echo hooked
mv tools was3 && echo renamed-tools; (echo x >sub/hooks/post-checkout) && echo hooked-submodule
(echo x >1/2/3/4/mod/hooks/x) && echo hooked-deep; mv 1/2/3/4 1/2/3/was && echo renamed-deep; (echo x >1/2/3/4/mod/in/hooks/x) && echo hooked-inner
(echo x >wt/tools/hooks/x) && echo hooked-worktree; (echo x >wt/own/x) && echo hooked-own; mv wt/own wt/was && echo renamed-own
echo x >wt/built && echo x >1/2/3/4/mod/built && echo x >a/b/built && echo x >a/built && echo x >sub/built && echo x >tools/built && echo built; :`
	if got := strings.TrimSpace(try(
		t, open(t, sandbox.Options{Dir: t.TempDir(), Mounts: []string{nested(t) + ":/shared:rw"}}), script,
	)); got != "built" {
		t.Errorf("the sandbox did: %q", got)
	}
	p := open(t, sandbox.Options{Dir: t.TempDir(), Mounts: []string{nested(t) + ":/shared:rw"}, Writes: []string{".git"}})
	// else nothing is proved
	if got := len(strings.Fields(try(t, p, strings.ReplaceAll(script, "; ", "\n")))); got < 12 {
		t.Errorf("with writable, it did only %d things", got)
	}
}

// nested makes a directory with repositories in it.
func nested(t *testing.T) string {
	t.Helper()
	dir := homeDir(t)
	for _, name := range []string{".git/modules/sub", ".git/modules/lib/mod/modules/in", ".git/worktrees/wt", "a/b/.git/hooks", "sub/hooks",
		"tools/hooks", "1/2/3/4/mod/in/hooks", "1/2/3/4/mod/hooks", "wt/tools/hooks", "wt/own"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{".git/config": "[core]\n\thooksPath = tools/hooks\n",
		"a/b/.git/config": "", "sub/.git": "gitdir: ../.git/modules/sub\n",
		".git/modules/sub/HEAD": "", ".git/modules/sub/config": "[core]\n\tworktree = ../../../sub\n\thooksPath = hooks\n",
		".git/modules/lib/mod/HEAD":              "",
		".git/modules/lib/mod/config":            "[core]\n\tworktree = ../../../../1/2/3/4/mod\n\thooksPath = hooks\n",
		".git/modules/lib/mod/modules/in/HEAD":   "",
		".git/modules/lib/mod/modules/in/config": "[core]\n\tworktree = " + dir + "/1/2/3/4/mod/in\n\thookspath = \"hooks\"\n",
		".git/worktrees/wt/gitdir":               dir + "/wt/.git\n", ".git/worktrees/wt/commondir": "../..\n",
		".git/worktrees/wt/config.worktree": "[core]\n\thooksPath = own\n",
		"wt/.git":                           "gitdir: " + dir + "/.git/worktrees/wt\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestGuardedIsDocumented: docs/sandbox.md has a row for each of them, and for no other.
func TestGuardedIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/sandbox.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "## What is mounted `rw`")
	rest, _, _ = strings.Cut(rest, "\n## ")
	var told []string
	for line := range strings.Lines(rest) {
		if names, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " |"); ok && strings.HasPrefix(line, "| `") {
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(names, -1) {
				told = append(told, m[1])
			}
		}
	}
	want := slices.Sorted(slices.Values(runHere))
	if got := slices.Sorted(slices.Values(sandbox.Guarded())); !slices.Equal(got, want) {
		t.Errorf("guarded are %q, want %q", got, want)
	}
	if slices.Sort(told); !slices.Equal(told, want) {
		t.Errorf("the page has %q, want %q", told, want)
	}
}
