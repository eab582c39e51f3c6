//go:build linux

package sandbox_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/sandbox"
)

func TestBounds(t *testing.T) {
	for _, c := range []struct {
		o    sandbox.Options
		says string
	}{
		{sandbox.Options{Disk: 1 << 10}, "disk = 1K: at least 1M"},
		{sandbox.Options{Disk: -1}, "disk = -1: at least 1M"},
		{sandbox.Options{Memory: 1536 << 10}, "memory = 1.5M: at least 32M"},
		{sandbox.Options{Memory: -1}, "memory = -1: at least"},
		{sandbox.Options{Memory: 1 << 60}, "memory = 1E: at most"},
		{sandbox.Options{Cores: -0.5}, "cores = -0.5: more than 0"},
		{sandbox.Options{Cores: 100_000}, "that this machine has"},
		{sandbox.Options{PIDs: 31}, "pids = 31: at least 64"},
		{sandbox.Options{PIDs: -1}, "pids = -1: at least 64"},
	} {
		c.o.Source, c.o.Installation, c.o.Dir, c.o.Agent = "suite", mine(), t.TempDir(), built
		_, err := sandbox.Open(t.Context(), slog.New(slog.DiscardHandler), c.o)
		if !errors.Is(err, compute.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("got %v, want %q", err, c.says)
		}
	}
}

// TestPaths: the paths of a source's keys are refused where they would show what no key is for, or
// mean something else than they look like.
func TestPaths(t *testing.T) {
	base := homeDir(t)
	home, state, link := filepath.Join(base, "you"), filepath.Join(base, "state"), filepath.Join(base, "you", "link")
	if err := errors.Join(os.MkdirAll(home, 0o755), os.MkdirAll(state, 0o755), os.Symlink(state, link)); err != nil {
		t.Fatal(err)
	}
	show := func(p ...string) sandbox.Options { return sandbox.Options{Show: p} }
	hide := func(p ...string) sandbox.Options { return sandbox.Options{Hide: p} }
	mounts := func(p ...string) sandbox.Options { return sandbox.Options{Mounts: p} }
	write := func(p ...string) sandbox.Options { return sandbox.Options{Writes: p} }
	for _, c := range []struct {
		o    sandbox.Options
		says string // "": it is right
	}{
		{show("/"), "show = /: it is the whole machine"},
		{show("/usr/.//"), ""},
		{show("//"), "the whole machine"},
		{show("~"), "show = ~: it has your whole home in it"},
		{show("~/."), "your whole home"},
		{show(home + "/"), "your whole home"},
		{show(base), "your whole home"},
		{show("~/x", "~/.ssh"), ""},
		{show("~other/x"), "neither an absolute path"},
		{show("x"), "neither an absolute path"},
		{show(" "), "it is empty"},
		{show("~/a/../.."), "a part .."},
		{show("~/a..b"), ""},
		{show("~/a\x1b[31m"), "control character"},
		{show("/srv/a\nb"), "control character"},
		{show("/proc/self"), "/proc is the sandbox's own"},
		{show("/sys"), "/sys is the sandbox's own"},
		{show("/dev/shm/x"), "/dev is the sandbox's own"},
		{show("/device"), ""},
		{show(state), "is hostler's own"},
		{show(state + "/leases.db"), "is hostler's own"},
		{show("~/.config/hostler"), "is hostler's own"},
		{show("~/.local/state/hostler/x"), "is hostler's own"},
		{show("/etc/hostler/tokens"), "is hostler's own"},
		{show("~/.config"), ""},
		{sandbox.Options{Show: []string{"~/x/"}, Hide: []string{"~/x"}}, "the key hide names it too"},
		{sandbox.Options{Show: []string{"~/x/y"}, Hide: []string{"~/x"}}, ""},
		{hide("x"), "hide = \"x\": it is neither"},
		{hide("~/../x"), "a part .."},
		{hide("/srv/a\tb"), "control character"},
		{hide(""), "it is empty"},
		{mounts("/proc:/host"), "tells of and changes all of this machine"},
		{mounts("/sys/kernel:/x:rw"), "tells of and changes"},
		{mounts("/dev:/x"), "tells of and changes"},
		{mounts("/dev/shm:/x"), ""},
		{mounts("/srv/../etc:/x"), "a part .."},
		{mounts("/srv/a\x07:/x"), "control character"},
		{write(".git", ".envrc"), ""},
		{write("src"), "nothing keeps a sandbox from writing that"},
		{write("./.git"), "nothing keeps"},
		{write("a\x1b"), `"a\x1b"`},
	} {
		c.o.Home, c.o.State = home, []string{state}
		err := c.o.Check()
		var key *provider.KeyError
		switch {
		case c.says == "" && err != nil:
			t.Errorf("c.o.Show = %q c.o.Hide = %q c.o.Mounts = %q: err = %v", c.o.Show, c.o.Hide, c.o.Mounts, err)
		case c.says == "":
		case !errors.Is(err, compute.ErrInvalid) || !errors.As(err, &key) || !strings.Contains(err.Error(), c.says):
			t.Errorf("got %v, want %q", err, c.says)
		case compute.Hint(err) == "" && !strings.Contains(c.says, "tells of"):
			t.Errorf("%v: no hint", err)
		}
	}
	for _, c := range []struct {
		o    sandbox.Options
		says string
	}{{show("~/link"), "is hostler's own"}, {mounts("/proc/self/root/dev:/x"), "tells of"}} {
		// links are followed when a sandbox is made
		c.o.Home, c.o.State, c.o.Dir = home, []string{state}, t.TempDir()
		c.o.Source, c.o.Installation, c.o.Agent = "suite", mine(), built
		p, err := sandbox.Open(t.Context(), slog.New(slog.DiscardHandler), c.o)
		if err == nil {
			_, err = p.Create(t.Context(), compute.Spec{ID: "wrong"})
			gone(t, p, "wrong")
		}
		if !errors.Is(err, compute.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("got %v, want %q", err, c.says)
		}
	}
}

// TestFullAtOnce makes one whose own layer has no room for what belongs there. Nobody who gives
// something back helps, so it must not be waited for.
func TestFullAtOnce(t *testing.T) {
	p := open(t, sandbox.Options{Dir: t.TempDir()})
	p.SetDisk(4 << 10)
	_, err := p.Create(t.Context(), compute.Spec{ID: "full"})
	defer func() { _ = p.Destroy(t.Context(), "full") }()
	if !errors.Is(err, compute.ErrFailed) || errors.Is(err, compute.ErrNoCapacity) || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("got %v, want that there is no space left", err)
	}
}
