//go:build linux

package network

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// setting returns the file of the forwarding setting of an interface, "" for the machine's.
// /proc/sys/net shows the name space of the process that opens it.
func setting(name string) string {
	if name == "" {
		return "/proc/sys/net/ipv4/ip_forward"
	}
	return "/proc/sys/net/ipv4/conf/" + name + "/forwarding"
}

func forwards(name string) bool {
	b, err := os.ReadFile(setting(name))
	return err == nil && strings.TrimSpace(string(b)) != "0"
}

func setForwarding(name string, on string) error { return os.WriteFile(setting(name), []byte(on), 0) }

// forwarding lets the answers to sandboxes pass: the interfaces that lead to gateways must forward.
// It first records those that it switches on.
func (n *Network) forwarding(s *socket) error {
	if forwards("") {
		return nil
	}
	uplinks := n.uplinks
	out, err := s.out()
	if err != nil {
		return err
	}
	if out != 0 && !slices.Contains(uplinks, out) {
		uplinks = append(slices.Clone(uplinks), out)
	}
	for _, index := range uplinks {
		l, ok, err := s.linkAt(index)
		if err != nil {
			return err
		}
		if !ok || strings.ContainsAny(l.name, "/\n") || forwards(l.name) {
			continue
		}
		memo, err := n.memo()
		if err != nil {
			return err
		}
		if !slices.Contains(memo, l.name) {
			if err := replace(n.memoFile(), strings.Join(append(memo, l.name), "\n")+"\n"); err != nil {
				return err
			}
		}
		if err := setForwarding(l.name, "1"); err != nil {
			return fmt.Errorf("let %s forward: %w", l.name, err)
		}
	}
	return nil
}

func (n *Network) memoFile() string { return filepath.Join(n.o.Dir, "forwarding") }

// memo returns the interfaces that forward because of us.
func (n *Network) memo() ([]string, error) {
	text, err := os.ReadFile(n.memoFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return strings.Fields(string(text)), err
}

// restore undoes forwarding, unless another installation has sandboxes or the whole machine was
// made to forward since.
func (n *Network) restore(t *table) error {
	names, err := n.memo()
	if err != nil || len(names) == 0 {
		return err
	}
	others, err := t.others()
	if err != nil || len(others) > 0 {
		return err // the next Sweep may undo it
	}
	if !forwards("") {
		for _, name := range names {
			if err := setForwarding(name, "0"); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("let %s no longer forward: %w", name, err)
			}
		}
	}
	return os.Remove(n.memoFile())
}

// forget lets the kernel forget the connections of an address, so that the next sandbox with the
// address hears nothing of them. Kernels that cannot choose refuse. Then the connections end by
// their time-outs, and addresses are chosen at random, so reuse is not soon.
func forget(addr netip.Addr) {
	s, err := dial(unix.NETLINK_NETFILTER)
	if err != nil {
		return
	}
	defer s.close()
	const (
		ctDelete = unix.NFNL_SUBSYS_CTNETLINK<<8 | 2 // IPCTNL_MSG_CT_DELETE
		// CTA_TUPLE_ORIG, CTA_TUPLE_REPLY
		tupleOrig, tupleReply = 1, 2
		// CTA_FILTER, CTA_FILTER_FLAG(CTA_IP_SRC)
		filter, ipSource    = 25, 1
		tupleIP, ipv4Source = 1, 1 // CTA_TUPLE_IP, CTA_IP_V4_SRC
		// CTA_FILTER_ORIG_FLAGS, CTA_FILTER_REPLY_FLAGS
		origFlags, replyFlags_ = 1, 2
	)
	for _, way := range []struct{ tuple, orig, reply int }{{tupleOrig, ipSource, 0}, {tupleReply, 0, ipSource}} {
		r := nl.NewNetlinkRequest(ctDelete, 0)
		r.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_INET, Version: nl.NFNETLINK_V0})
		tuple := nl.NewRtAttr(way.tuple|unix.NLA_F_NESTED, nil)
		tuple.AddRtAttr(tupleIP|unix.NLA_F_NESTED, nil).AddRtAttr(ipv4Source, addr.AsSlice())
		r.AddData(tuple)
		f := nl.NewRtAttr(filter|unix.NLA_F_NESTED, nil)
		f.AddRtAttr(origFlags, nl.Uint32Attr(uint32(way.orig)))
		f.AddRtAttr(replyFlags_, nl.Uint32Attr(uint32(way.reply)))
		r.AddData(f)
		_, _ = s.do(r)
	}
}
