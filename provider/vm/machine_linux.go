package vm

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/compute"

	"github.com/hostler-project/hostler/provider/vm/qemu"
)

// machine describes a machine for qemu's command line.
type machine struct {
	name string
	uuid string
	own  *instanceRecord
	boot
	memory  string // the file that is its memory; "": memory of the process
	shared  bool   // writes to memory go to the file
	restore bool   // wait for a saved state, and stay paused with it
	seed    string // a disk beside the first
	sandbox bool   // this qemu knows how to give up rights
	below   []qemu.Layer
}

// seccomp are the system calls that qemu gives up.
const seccomp = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

// args returns qemu's command line. The files it names are handed over, or shown in qemu's root.
func (p *launcher) args(m machine, h *qemu.Handed) []string {
	own := m.own
	kind := p.p.o.Machine
	if kind == "auto" {
		kind = "q35"
	}
	bus, options := "pci", ",vmport=off"
	if kind == "microvm" {
		bus, options = "device", ",rtc=on"
	}
	a := []string{
		"-name", "hostler-" + quote(m.name), "-uuid", m.uuid, "-machine", kind + ",memory-backend=ram" + options, "-m",
		strconv.FormatInt(own.Memory>>20, 10) + "M",
		"-smp", strconv.Itoa(own.Cores), "-nodefaults", "-no-user-config", "-display", "none", "-msg", "timestamp=on",
	}
	if own.Accel == "kvm" {
		// not every kernel lets a guest see this one
		a = append(a, "-accel", "kvm", "-cpu", "host,-arch-capabilities")
	} else {
		// Without a size, translated code alone can take more than a gigabyte. Wide vectors cost
		// more than narrow ones where they are emulated.
		a = append(a, "-accel", "tcg,tb-size=128", "-cpu", "max,-avx,-avx2")
	}
	if m.memory == "" {
		a = append(a, "-object", fmt.Sprintf("memory-backend-ram,id=ram,size=%d", own.Memory))
	} else {
		share := "off"
		if m.shared {
			share = "on"
		}
		a = append(
			a, "-object",
			fmt.Sprintf("memory-backend-file,id=ram,size=%d,mem-path=%s,share=%s", own.Memory, quote(h.Show(m.memory, true)), share),
		)
	}
	if m.sandbox {
		a = append(a, "-sandbox", seccomp)
	}
	if own.Kernel != "" {
		a = append(a, "-kernel", h.Show(m.kernel, false), "-append", m.append)
		if m.initrd != "" {
			a = append(a, "-initrd", h.Show(m.initrd, false))
		}
	}
	h.Disks(m.seed, m.below)
	disk, seed := h.Throttle(p.p.o.IO, int64(p.p.o.IOPS))
	h.Args = append(
		h.Args, "-device", "virtio-blk-"+bus+",drive="+disk, "-device", "virtio-blk-"+bus+",drive="+seed, "-device",
		"virtio-rng-"+bus, "-device", "virtio-serial-"+bus,
	)
	h.Lines()
	a = append(a, h.Args...)
	rom := ""
	if bus == "pci" {
		rom = ",romfile=" // nothing is booted from the network
	}
	if link, ok := strings.CutPrefix(p.p.o.Network, "tap:"); ok {
		a = append(a, "-netdev", "tap,id=net,fd="+h.Tap(link))
	} else if p.p.o.Network == "user" {
		net := "user,id=net"
		if may, err := p.p.o.egress(); err != nil || may.None() {
			net += ",restrict=on"
		}
		for _, f := range own.Ports {
			outside, inside, _ := strings.Cut(f, ":")
			inside, proto, _ := strings.Cut(inside, "/")
			net += fmt.Sprintf(",hostfwd=%s:127.0.0.1:%s-:%s", proto, outside, inside)
		}
		a = append(a, "-netdev", net)
	}
	if p.p.o.Network != "none" {
		a = append(a, "-device", "virtio-net-"+bus+",netdev=net,mac="+mac(m.name)+rom)
	}
	if m.restore {
		a = append(a, "-S", "-incoming", "defer")
	}
	return a
}

// quote quotes a value in qemu's lists, where a comma is written twice.
func quote(s string) string { return strings.ReplaceAll(s, ",", ",,") }

// mac derives an address in qemu's range from a name.
func mac(name string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	n := h.Sum32()
	return fmt.Sprintf("52:54:00:%02x:%02x:%02x", byte(n>>16), byte(n>>8), byte(n))
}

// forwards returns the forwarded ports, HOST:GUEST/PROTOCOL. It finds free ports of this machine
// where none was named.
func (p *launcher) forwards(ctx context.Context) (out []string, ssh int, err error) {
	words := p.p.o.Ports
	if p.p.o.Access == "ssh" {
		words = append([]string{"22"}, words...)
	}
	for i, w := range words {
		outside, inside, proto, err := forward(w)
		if err != nil {
			return nil, 0, err
		}
		if outside == 0 {
			if outside, err = free(ctx, proto); err != nil {
				return nil, 0, err
			}
		}
		if i == 0 && p.p.o.Access == "ssh" {
			ssh = outside
		}
		out = append(out, fmt.Sprintf("%d:%d/%s", outside, inside, proto))
	}
	return out, ssh, nil
}

// forward reads [PORT:]PORT[/udp].
func forward(word string) (outside, inside int, proto string, err error) {
	ports, proto, _ := strings.Cut(word, "/")
	if proto == "" {
		proto = "tcp"
	}
	a, b, two := strings.Cut(ports, ":")
	if !two {
		a, b = "", a
	}
	number := func(s string) int {
		n, e := strconv.ParseUint(s, 10, 16)
		if e != nil || n == 0 {
			err = fmt.Errorf("ports = %s: not [PORT:]PORT[/udp]", word)
		}
		return int(n)
	}
	if two {
		outside = number(a)
	}
	inside = number(b)
	if proto != "tcp" && proto != "udp" {
		err = fmt.Errorf("ports = %s: neither tcp nor udp", word)
	}
	return outside, inside, proto, err
}

// free finds a port of this machine that no program has. Another program may take it before qemu
// does: then qemu says so, and Create tries others.
func free(ctx context.Context, proto string) (int, error) {
	var lc net.ListenConfig
	if proto == "udp" {
		c, err := lc.ListenPacket(ctx, "udp4", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		defer c.Close()
		return c.LocalAddr().(*net.UDPAddr).Port, nil
	}
	l, err := lc.Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// taken reports whether qemu refused because another program had a port.
func taken(err error) bool {
	return err != nil && strings.Contains(err.Error(), "host forwarding rule")
}

// dead returns the error for an instance whose qemu has ended.
func (p *Provider) dead(op string, id compute.ID) error {
	return &compute.Error{Op: "vm." + op, ID: id, Kind: compute.ErrLost,
		Err:  compute.Ended(errors.New("its qemu has ended: it crashed, was killed, or the machine shut itself down")),
		Hint: "discard it; its console.log and qemu.log have what was said last"}
}
