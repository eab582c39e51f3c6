package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/cgroup"
	"github.com/hostler-project/hostler/provider/sandbox/mask"
)

// examine finds out what sandboxes can do on this machine. It makes one in a directory of its own
// below o.Dir and runs commands in it. o needs what Open needs.
func examine(ctx context.Context, o Options) []compute.Finding {
	out := examineLife(ctx, o)
	if out[0].Result == "fail" || out[0].Result == "skip" {
		out = append(out, examineKernel()...)
	}
	if dir, err := mask.Place("/", o.Runtime); err != nil {
		out = append(out, compute.Finding{Result: "warn", What: "sandbox: secrets",
			Detail: "a sandbox of this machine's own root cannot be made: " + err.Error(),
			Hint:   "use another image than host, or a kernel from 6.6 on"})
	} else {
		out = append(out, compute.Finding{Result: "ok", What: "sandbox: secrets", Detail: "hidden by a layer in " + dir})
	}
	return append(out, cgroup.Examine(ctx)...)
}

// examineLife makes a sandbox, runs a command in it, and ends it.
func examineLife(ctx context.Context, o Options) []compute.Finding {
	f := compute.Finding{What: "sandbox"}
	fail := func(err error) []compute.Finding {
		f.Result, f.Detail, f.Hint = "fail", err.Error(), compute.Hint(err)
		var e *compute.Error
		if errors.As(err, &e) && e.Err != nil {
			f.Detail = e.Err.Error()
		}
		if f.Hint == advice {
			f.Hint = "" // it says to run doctor, which is running
		}
		return []compute.Finding{f}
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return fail(err)
	}
	dir, err := os.MkdirTemp(o.Dir, "examine-*")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	o.Dir, o.Source, o.Network, o.Ports, o.Mounts = dir, "doctor", "none", nil, nil
	p, err := Open(ctx, slog.New(slog.DiscardHandler), o)
	if err != nil {
		return fail(err)
	}
	id := compute.ID("doctor-" + strconv.Itoa(os.Getpid()))
	begun := time.Now()
	_, err = p.Create(ctx, compute.Spec{ID: id})
	defer func() { _ = p.Destroy(context.WithoutCancel(ctx), id) }()
	if err != nil {
		return fail(err)
	}
	c, err := p.Connect(ctx, id)
	if err != nil {
		return fail(err)
	}
	defer c.Close()
	exit, err := c.Run(ctx, &compute.Command{Args: []string{"/bin/sh", "-c", ":"}})
	if err == nil && exit.Status() != 0 {
		err = fmt.Errorf("a command in it ended with %d", exit.Status())
	}
	if err != nil {
		return fail(err)
	}
	f.Result, f.Detail = "ok", fmt.Sprintf("made, and a command run in it, in %v", time.Since(begun).Round(100*time.Microsecond))
	if !p.root {
		f.Detail += "; as an ordinary user it has one user, and images keep no owners"
	}
	out := []compute.Finding{f}
	for _, l := range p.lacks.all() {
		out = append(out, compute.Finding{Result: "warn", What: "sandbox: files",
			Detail: l.At + " is empty in sandboxes of this machine's own root: " + l.Why,
			Hint:   "use an image, or have the directory on another file system; docs/sandbox.md says which"})
	}
	return out
}

// The kernel settings that keep ordinary users from making sandboxes, and the values they need.
var settings = []struct{ file, want, why string }{
	{"/proc/sys/kernel/unprivileged_userns_clone", "1", "ordinary users may make no user name spaces"},
	{
		"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "0",
		"AppArmor takes the capabilities from user name spaces of ordinary users",
	},
}

// overlayHint is the hint for a kernel without the overlay file system.
const overlayHint = "modprobe overlay; or a kernel with CONFIG_OVERLAY_FS, or a source of another type"

// examineKernel looks for the reasons why sandboxes do not work.
func examineKernel() []compute.Finding {
	var out []compute.Finding
	add := func(detail, hint string) {
		out = append(out, compute.Finding{Result: "warn", What: "sandbox: kernel", Detail: detail, Hint: hint})
	}
	for _, name := range []string{"user", "mnt", "pid", "uts", "ipc", "net"} {
		if _, err := os.Stat("/proc/self/ns/" + name); errors.Is(err, fs.ErrNotExist) {
			add("this kernel has no name spaces of the kind "+name, "a kernel with CONFIG_NAMESPACES and all below it")
		}
	}
	if b, err := os.ReadFile("/proc/sys/user/max_user_namespaces"); err == nil && strings.TrimSpace(string(b)) == "0" {
		add("no user name spaces are allowed", "sysctl user.max_user_namespaces=15000")
	}
	if os.Geteuid() != 0 {
		for _, s := range settings {
			if b, err := os.ReadFile(s.file); err == nil && strings.TrimSpace(string(b)) != s.want {
				add(s.why, "as root: sysctl "+strings.ReplaceAll(strings.TrimPrefix(s.file, "/proc/sys/"), "/", ".")+"="+s.want)
			}
		}
	}
	fd, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err == nil {
		_ = unix.Close(fd)
	}
	missing := errors.Is(err, unix.ENODEV)
	if b, err := os.ReadFile("/proc/filesystems"); err == nil && !strings.Contains(string(b), "\toverlay\n") {
		missing = true
	}
	if missing {
		add("this kernel has no overlay file system", overlayHint)
	}
	var st unix.Statfs_t
	if unix.Statfs("/proc", &st) == nil {
		if all, err := mask.Mounts(); err == nil {
			for _, m := range all {
				if m.Path != "/proc" && below(m.Path, "/proc") && m.Kind != "binfmt_misc" && m.Kind != "autofs" {
					add("parts of /proc are covered ("+m.Path+"), so the kernel lets nobody mount a whole one: this is a container",
						"run hostler outside of it, or start the container with its /proc unmasked")
					break
				}
			}
		}
	}
	if _, err := os.Stat(filepath.Join("/proc/self/ns", "cgroup")); err != nil {
		add("this kernel has no name spaces of control groups", "Linux from 4.6 on")
	}
	return out
}
