package vm

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/provider/vm/initrd"
	"github.com/hostler-project/hostler/provider/vm/qcow"
	"github.com/hostler-project/hostler/provider/vm/qemu"
	"github.com/hostler-project/hostler/provider/vm/qmp"
	"github.com/hostler-project/hostler/provider/vm/seed"
)

// newUUID returns a random UUID, of version 4.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// hostname turns an instance's name into a host's.
func hostname(id string) string {
	s := strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return '-'
	}, id)
	return cmp.Or(strings.Trim(s[:min(len(s), 63)], "-"), "vm")
}

// imageError is the error for a base that cannot be used, which the user can mend.
func imageError(key, path string, err error) error {
	return &compute.Error{
		Op: "vm.Create", Kind: compute.ErrInvalid, Err: fmt.Errorf("%s %s: %w", key, path, err),
		Hint: "set " + key + " to a file that is there and can be read",
	}
}

// up starts an instance's qemu, unless that was done already. The instance's lock is held.
func (p *launcher) up(ctx context.Context, own *instanceRecord) error {
	id := compute.ID(own.ID)
	if own.Stage != begun && own.Stage != starting {
		return nil
	}
	if own.Stage == starting {
		if err := strays(ctx, p.p.mark(id)); err != nil {
			return err
		}
	}
	q, err := p.p.accel.program(ctx)
	if err != nil {
		return err
	}
	for key, path := range map[string]string{"kernel": own.Kernel, "initrd": own.Initrd} {
		if path == "" {
			continue
		}
		if f, err := os.Open(path); err != nil {
			return imageError(key, path, err)
		} else {
			_ = f.Close()
		}
	}
	below, err := qcow.Inspect(own.Image)
	if err == nil {
		err = alone(own.Image)
	}
	if err != nil {
		return imageError("image", own.Image, err)
	}
	own.Disk = max(own.Disk, below.Size)
	if own.Accel, err = p.p.accel.accelerator(ctx, q, own); err != nil {
		return err
	}
	for try := 1; ; try++ {
		if p.p.o.Warm {
			err = p.p.templates.upWarm(ctx, q, own, below)
		} else {
			err = p.upCold(ctx, q, own, below)
		}
		if !taken(err) || try == 5 {
			return err
		}
	}
}

// upCold starts an instance that boots.
func (p *launcher) upCold(ctx context.Context, q qemu.Program, own *instanceRecord, below qcow.Disk) (err error) {
	id := compute.ID(own.ID)
	home := p.p.home(id)
	if err := p.p.at("disk"); err != nil {
		return err
	}
	own.Template = "" // from an earlier attempt
	if err := qcow.Overlay(filepath.Join(home, "disk.qcow2"), own.Image, below, own.Disk); err != nil {
		return err
	}
	if own.Ports, own.SSH, err = p.forwards(ctx); err != nil {
		return err
	}
	if err := p.p.at("seed"); err != nil {
		return err
	}
	s, err := p.seed(own, home)
	if err != nil {
		return err
	}
	if err := s.Write(filepath.Join(home, "seed.iso")); err != nil {
		return err
	}
	m := machine{name: own.ID, uuid: own.UUID, own: own, seed: filepath.Join(home, "seed.iso"), sandbox: q.Sandbox}
	if m.boot, err = p.bootFiles(own); err != nil {
		return err
	}
	if err := p.start(ctx, q, own, m); err != nil {
		return err
	}
	return p.p.record(own, booting)
}

// start records that qemu will be started, and starts it.
func (p *launcher) start(ctx context.Context, q qemu.Program, own *instanceRecord, m machine) (err error) {
	id := compute.ID(own.ID)
	own.Process = proc.Process{}
	if err := p.p.record(own, starting); err != nil {
		return err
	}
	if err := p.p.at("qemu"); err != nil {
		return err
	}
	if own.Process, err = p.run(ctx, q, p.p.home(id), p.p.mark(id), m); err != nil {
		_ = strays(context.WithoutCancel(ctx), p.p.mark(id))
		return err
	}
	return p.p.at("started")
}

// run starts the qemu of a machine whose files are in a directory.
func (p *launcher) run(ctx context.Context, q qemu.Program, dir, mark string, m machine) (run proc.Process, err error) {
	if m.below == nil {
		if m.below, err = p.p.images.layers(m.own); err != nil {
			return run, err
		}
	}
	h := &qemu.Handed{Dir: dir}
	defer h.Close()
	c := &cell{q: q, mark: mark, handed: h, args: p.args(m, h), network: p.p.o.Network == "user", cores: m.own.Cores, memory: m.own.Memory}
	return p.launch(ctx, c)
}

// boot is what qemu needs where it boots a kernel directly.
type boot struct{ kernel, initrd, append string }

// bootFiles returns the kernel, the initrd with the agent in it, made once for all, and the command
// line.
func (p *launcher) bootFiles(own *instanceRecord) (b boot, err error) {
	if own.Kernel == "" {
		return b, nil
	}
	if b.kernel, err = p.p.images.readable(own.Kernel); err != nil {
		return b, err
	}
	b.append = p.p.o.Append
	if own.Accel == "tcg" && !strings.Contains(b.append, "randomize_va_space") {
		// translated code is found again by its address, and a program with the same addresses
		// starts three times as fast
		b.append += " norandmaps"
	}
	if own.Accel == "tcg" && p.p.o.Machine == "microvm" && !strings.Contains(b.append, "tsc_early_khz") {
		// It has no timer to measure the clock's rate by while the emulating machine is busy, and
		// without any clock the kernel hangs.
		if khz := p.p.tickRate(); khz > 0 {
			b.append += fmt.Sprintf(" tsc_early_khz=%d", khz)
		}
	}
	if p.p.o.Access == "ssh" || own.Initrd == "" {
		if own.Initrd != "" {
			b.initrd, err = p.p.images.readable(own.Initrd)
		}
		return b, err
	}
	agent, err := p.agent()
	if err != nil {
		return b, err
	}
	key, err := digest(1, own.Initrd, agent.path)
	if err != nil {
		return b, err
	}
	b.initrd = filepath.Join(p.p.o.Dir, "boot", key)
	if now := time.Now(); os.Chtimes(b.initrd, now, now) != nil {
		if err := initrd.Atomically(b.initrd, func(name string) error { return initrd.WriteInitrd(name, own.Initrd, agent.path) }); err != nil {
			return b, err
		}
		unused(filepath.Dir(b.initrd), 7*24*time.Hour)
	}
	b.append += " rdinit=/hostler/init"
	return b, os.Chmod(b.initrd, 0o644) // for qemu's own user: nobody else gets to the directory
}

// unused deletes the files in a directory that were not used for age.
func unused(dir string, age time.Duration) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if fi, err := e.Info(); err == nil && time.Since(fi.ModTime()) > age {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// guestProgram is the agent that goes into the machine.
type guestProgram struct {
	path  string
	words []string
}

func (p *launcher) agent() (guestProgram, error) {
	fail := func(err error) (guestProgram, error) {
		return guestProgram{}, &compute.Error{
			Op: "vm.Create", Kind: compute.ErrUnavailable, Err: err, Hint: "build hostler with make, or set agent = ssh",
		}
	}
	if p.p.o.Agent == nil {
		return fail(errors.New("there is no program to put into the machine"))
	}
	found, err := p.p.o.Agent(runtime.GOARCH)
	if err != nil {
		return fail(err)
	}
	if len(found.Args) > 0 && p.p.o.Kernel != "" {
		return fail(errors.New("the small program for machines is not built into this hostler"))
	}
	return guestProgram{found.Path, found.Args}, nil
}

// seed composes an instance's seed, and makes the keys for it.
func (p *launcher) seed(own *instanceRecord, home string) (s seed.Seed, err error) {
	s = seed.Seed{ID: own.UUID, Hostname: hostname(own.ID), User: p.p.o.User}
	if p.p.o.Seed != "" {
		if s.Extra, err = os.ReadFile(p.p.o.Seed); err != nil {
			return s, imageError("seed", p.p.o.Seed, err)
		}
	}
	if p.p.o.Access == "ssh" {
		return s, p.sshSeed(&s, own, home)
	}
	if own.Kernel == "" || own.Initrd == "" {
		agent, err := p.agent()
		if err != nil {
			return s, err
		}
		s.Program, s.Words = agent.path, agent.words
	}
	return s, nil
}

// Check reports whether a machine's qemu lives and has no trouble. It wakes nothing.
func (p *Provider) Check(ctx context.Context, id compute.ID) error {
	own, err := p.homes.Read(id)
	if err != nil {
		return fault("Check", id, err)
	}
	if own.Stage == begun || own.Stage == starting {
		return &compute.Error{Op: "vm.Check", ID: id, Kind: compute.ErrNotReady, Err: errors.New("it is being made")}
	}
	if own.Stage == stopped {
		return &compute.Error{Op: "vm.Check", ID: id, Kind: compute.ErrUnavailable, Err: errors.New("it is shut down")}
	}
	if ok, err := own.Alive(); err != nil {
		return fault("Check", id, err)
	} else if !ok {
		return p.dead("Check", id)
	}
	p.trim(id)
	return p.trouble(ctx, "Check", id)
}

// trouble asks qemu for its state and returns what is wrong; nil: nothing.
func (p *Provider) trouble(ctx context.Context, op string, id compute.ID) error {
	m, err := p.monitor(ctx, id)
	status := ""
	if err == nil {
		status, err = m.Status(ctx)
		_ = m.Close()
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return fault(op, id, ctx.Err())
	case err != nil:
		if own, gone := p.homes.Read(id); gone == nil {
			if ok, gone := own.Alive(); gone == nil && !ok { // it ended just now
				return p.dead(op, id)
			}
		}
		return &compute.Error{
			Op: "vm." + op, ID: id, Kind: compute.ErrLost, Err: fmt.Errorf("its qemu does not answer: %w", err),
			Hint: "discard it",
		}
	case status == "io-error":
		return &compute.Error{Op: "vm." + op, ID: id, Kind: compute.ErrNoCapacity,
			Err:  errors.New("it was halted, as its disk could not be written to"),
			Hint: "make room where " + p.o.Dir + " is"}
	case status != "running" && status != "paused" && status != "prelaunch" && status != "inmigrate":
		return &compute.Error{
			Op: "vm." + op, ID: id, Kind: compute.ErrLost, Err: fmt.Errorf("its qemu says that it is %s", status),
			Hint: "discard it",
		}
	}
	return nil
}

// monitor opens a conversation with an instance's qemu.
func (p *Provider) monitor(ctx context.Context, id compute.ID) (*qmp.Monitor, error) {
	return qmp.Open(ctx, p.home(id))
}

// How much of a console's output is kept.
const (
	consoleMost = 4 << 20
	consoleKept = 1 << 20
)

// Console returns the last of what a machine said on its serial console, at most 1 MiB.
func (p *Provider) Console(_ context.Context, id compute.ID) (string, error) {
	if _, err := p.homes.Read(id); err != nil {
		return "", fault("Console", id, err)
	}
	p.trim(id)
	b, err := tail(filepath.Join(p.home(id), "console.log"))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return string(b), fault("Console", id, err)
}

// tail reads the last of a file.
func tail(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b := make([]byte, min(fi.Size(), consoleKept))
	n, err := f.ReadAt(b, fi.Size()-int64(len(b)))
	if n < len(b) && err != nil {
		return nil, err
	}
	return b, nil
}

// trim cuts a console's log that has become long: qemu appends without a limit.
func (p *Provider) trim(id compute.ID) {
	path := filepath.Join(p.home(id), "console.log")
	if fi, err := os.Stat(path); err != nil || fi.Size() < consoleMost {
		return
	}
	b, err := tail(path)
	if err == nil && os.Truncate(path, 0) == nil {
		if f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0); err == nil {
			_, _ = f.Write(b)
			_ = f.Close()
		}
	}
}

// Stop shuts a machine down: it presses the power button, and after grace tells qemu to quit. It
// kills a qemu that does not quit.
func (p *Provider) Stop(ctx context.Context, id compute.ID, grace time.Duration) error {
	l, own, err := p.rehearser.lock(ctx, id)
	if err != nil {
		return fault("Stop", id, err)
	}
	defer l.Close()
	q, err := own.Open()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault("Stop", id, err)
	}
	if err == nil {
		defer q.Close()
		for _, step := range []struct {
			command string
			wait    time.Duration
		}{{"system_powerdown", grace}, {"quit", 5 * time.Second}} {
			m, err := p.monitor(ctx, id)
			if err != nil {
				break
			}
			err = m.Do(ctx, step.command, nil, nil)
			_ = m.Close()
			if err == nil && q.Wait(ctx, step.wait) == nil {
				break
			}
		}
		if err := q.Kill(ctx); err != nil {
			return fault("Stop", id, err)
		}
	}
	own.Process = proc.Process{}
	if err := p.ungroup(ctx, p.mark(id)); err != nil {
		return fault("Stop", id, err)
	}
	return fault("Stop", id, p.record(&own, stopped))
}

// Start boots a machine that was shut down, with its disk as it was then.
func (p *Provider) Start(ctx context.Context, id compute.ID) error {
	l, own, err := p.rehearser.lock(ctx, id)
	if err != nil {
		return fault("Start", id, err)
	}
	defer l.Close()
	if own.Stage != stopped {
		return nil
	}
	q, err := p.accel.program(ctx)
	if err != nil {
		return err
	}
	m := machine{name: own.ID, uuid: own.UUID, own: &own, sandbox: q.Sandbox, seed: p.launcher.seedOf(own)}
	if m.boot, err = p.launcher.bootFiles(&own); err != nil {
		return fault("Start", id, err)
	}
	was := own
	own.Parted = false
	if err := p.launcher.start(ctx, q, &own, m); err != nil {
		own.Process = proc.Process{}
		_ = p.homes.Write(was) // or the next Create would make its disk anew
		return fault("Start", id, err)
	}
	return fault("Start", id, p.record(&own, booting))
}

// seedOf is where an instance's seed is.
func (p *launcher) seedOf(own instanceRecord) string {
	if own.Template != "" {
		return filepath.Join(p.p.o.Dir, "templates", own.Template, "seed.iso")
	}
	return filepath.Join(p.p.home(compute.ID(own.ID)), "seed.iso")
}
