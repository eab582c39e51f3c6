package sandbox

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/provider/sandbox/enter"
)

// plan composes the plan for the first process.
func (m *making) plan(ctx context.Context) (*enter.Plan, error) {
	p := m.p
	if err := m.listen(); err != nil {
		return nil, err
	}
	if p.root {
		ns, err := m.space("user")
		if err != nil {
			return nil, err
		}
		m.t.users = int(ns.Fd())
		defer func() {
			_ = ns.Close()
			m.t.users = -1
		}()
	}
	id, err := machineID()
	if err != nil {
		return nil, err
	}
	plan := &enter.Plan{
		Hostname: hostname(m.own.ID), Scratch: "/tmp", Size: p.groups.disk(m.own), NProc: int64(m.pids), Shm: m.shm(),
		PIDs: int64(p.groups.limits(m.own).pids), PTYs: p.groups.ptys(), AIO: p.o.AIO, Shared: !p.root, Nesting: p.o.Nesting,
		Without: p.o.Without,
		Files:   map[string]string{"/etc/hostname": hostname(m.own.ID) + "\n", "/etc/machine-id": id + "\n", "/etc/hosts": hosts(m.own)},
		Env:     m.base.Env, Dir: m.base.Dir,
	}
	if m.group > 0 {
		m.t.fds = append(m.t.fds, m.group)
		plan.Group, m.group = len(m.t.fds), 0
	}
	// a path leads to no other file
	record, err := unix.Openat(int(m.home.Fd()), "life", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	m.t.fds = append(m.t.fds, record)
	plan.Record = len(m.t.fds)
	if plan.Disk, err = m.layer(ctx); err != nil {
		return nil, err
	}
	if tree, ok := HostRoot(m.own.Image); ok {
		hidden, herr := p.masks.make(ctx, tree)
		if herr != nil {
			return nil, herr
		}
		if hidden.held >= 0 {
			m.t.fds = append(m.t.fds, hidden.held)
			if p.root { // an ordinary user's sandbox copies it
				plan.Holds = append(plan.Holds, len(m.t.fds))
			}
		}
		plan.Pieces, err = m.t.hostPieces(hidden, p.o.Home)
		p.masks.configFiles(hidden, plan.Files)
		plan.Env["PATH"] = hidden.path(os.Getenv("PATH"))
		if !p.root {
			plan.Mask = hidden.Layer // in a place that is cleared when its user logs out
		}
	} else {
		plan.Pieces, err = m.t.imagePieces(m.base)
	}
	if err != nil {
		return nil, err
	}
	if p.o.Tree != "" {
		if err := p.masks.checkTree(ctx, p.shares[len(p.shares)-1], p.root); err != nil {
			return nil, err
		}
	}
	if p.o.without("layer") {
		bare(plan.Pieces)
	}
	shared, err := m.sharePieces(p.shares, p.o.State)
	plan.Pieces, plan.Holds = append(plan.Pieces, shared...), append(plan.Holds, m.holds...)
	return plan, err
}

// shm returns how many bytes may be written to /dev/shm.
func (l limits) shm() int64 {
	if l.memory == 0 {
		return 64 << 20
	}
	return min(64<<20, l.memory/4)
}

// hosts returns a sandbox's /etc/hosts. Without its own name, programs that ask for it wait for a
// name server. With the host's files it has the host's names too.
func hosts(own instanceRecord) string {
	text := "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
	if _, ok := HostRoot(own.Image); ok {
		if b, err := os.ReadFile("/etc/hosts"); err == nil && len(b) < mostHosts {
			text = strings.TrimRight(string(b), "\n") + "\n"
		}
	}
	return text + "127.0.1.1\t" + hostname(own.ID) + "\n"
}

// mostHosts is the largest list of hosts that goes along with a plan, in bytes: some users block
// half of the world by theirs.
const mostHosts = 16 << 10

func machineID() (string, error) {
	var b [16]byte
	_, err := rand.Read(b[:])
	return hex.EncodeToString(b[:]), err
}

// hostname turns an instance's name into a host's: at most 63 letters, digits and hyphens.
func hostname(id string) string {
	out := []byte(id)
	for i, c := range out {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9') {
			out[i] = '-'
		}
	}
	return string(out[:min(len(out), 63)])
}
