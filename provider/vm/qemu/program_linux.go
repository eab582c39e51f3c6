package qemu

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/vm/jail"
)

// Program is a qemu.
type Program struct {
	Path    string   `json:"path"`
	Version string   `json:"version"` // "7.2.22 (Debian ...)"
	Sandbox bool     `json:"sandbox"` // it can give up rights by seccomp
	Needs   []string `json:"needs"`   // its firmware, libraries and modules
}

// Ask asks a qemu for its version and abilities.
func Ask(ctx context.Context, path string) (q Program, err error) {
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	first, _, _ := strings.Cut(string(out), "\n")
	_, version, ok := strings.Cut(first, "version ")
	if err != nil || !ok {
		return q, &compute.Error{
			Op: "vm.Create", Kind: compute.ErrUnavailable,
			Err: fmt.Errorf("%s does not tell its version: %v %.100s", path, err, first),
		}
	}
	q = Program{Path: path, Version: version}
	q.Sandbox = exec.CommandContext(ctx, path, "-sandbox", "on,obsolete=deny", "--version").Run() == nil
	if err := ctx.Err(); err != nil {
		return q, err
	}
	// what it finds beside itself is beside its file
	if q.Path, err = filepath.EvalSymlinks(path); err == nil {
		q.Needs, err = needs(ctx, q.Path)
	}
	if err != nil {
		return q, &compute.Error{
			Op: "vm.Create", Kind: compute.ErrUnavailable, Err: err,
			Hint: "set qemu to the program itself, not to a script that starts it",
		}
	}
	return q, nil
}

// Shown lists the files that qemu needs of this machine: itself, its libraries and modules, and its
// firmware.
func (q Program) Shown() (all []jail.Mount) {
	// qemu tests file locks on os.DevNull
	for _, path := range append([]string{q.Path, os.DevNull}, q.Needs...) {
		all = append(all, jail.Mount{Path: path})
	}
	return all
}

// needs finds what a program needs besides itself.
func needs(ctx context.Context, path string) ([]string, error) {
	loader, err := interpreter(path)
	if err != nil || loader == "" {
		return nil, err
	}
	seen, out := map[string]bool{}, []string{}
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	said, err := exec.CommandContext(ctx, path, "-L", "help").Output()
	if err != nil {
		return nil, fmt.Errorf("%s -L help: %w", path, err)
	}
	for line := range strings.Lines(string(said)) {
		if dir := filepath.Clean(strings.TrimSpace(line)); filepath.IsAbs(dir) && exists(dir) {
			add(dir)
		}
	}
	add(loader)
	if exists("/etc/ld.so.cache") {
		add("/etc/ld.so.cache")
	}
	objects := []string{path}
	libraries, err := linked(ctx, loader, path)
	if err != nil {
		return nil, err
	}
	for _, l := range libraries {
		modules := filepath.Join(filepath.Dir(l), "qemu")
		if more, _ := filepath.Glob(filepath.Join(modules, "accel-*.so")); len(more) > 0 && !seen[modules] {
			add(modules)
			// qemu has the one name, the loader the other
			if real, err := filepath.EvalSymlinks(modules); err == nil {
				add(real)
			}
			objects = append(objects, more...)
		}
	}
	for _, o := range objects {
		libraries, err := linked(ctx, loader, o)
		if err != nil {
			return nil, err
		}
		for _, l := range libraries {
			add(l)
		}
	}
	return out, nil
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// linked lists the libraries of a program or a module.
func linked(ctx context.Context, loader, path string) (all []string, err error) {
	said, err := exec.CommandContext(ctx, loader, "--list", path).Output()
	if err != nil {
		return nil, fmt.Errorf("%s --list %s: %w", loader, path, err)
	}
	for line := range strings.Lines(string(said)) {
		if i := strings.IndexByte(line, '/'); i >= 0 {
			name, _, _ := strings.Cut(line[i:], " (")
			all = append(all, strings.TrimSpace(name))
		}
	}
	return all, nil
}

// interpreter is what loads a program's libraries; "": it has none.
func interpreter(path string) (string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return "", fmt.Errorf("%s is no program by itself: %w", path, err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			b, err := io.ReadAll(p.Open())
			return string(bytes.TrimRight(b, "\x00")), err
		}
	}
	return "", nil
}
