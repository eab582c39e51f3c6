package proxycmd

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
)

// tables writes what is to be shown.
func (v *shownView) tables(b *bytes.Buffer, o *showOptions) error {
	var computers, software, partitions, shared, params, network, waiting [][]string
	for _, c := range v.Computers {
		computers = append(computers, []string{c.Computer, c.Address, c.Netmask, fmt.Sprint(c.Partitions)})
	}
	for _, r := range v.Software {
		software = append(software, []string{r.Computer, r.State, r.Release})
	}
	for _, p := range v.Partitions {
		partitions = append(partitions, []string{p.Computer, p.Partition, p.State, p.Title, p.Root, p.Type, p.Release})
		for _, name := range slices.Sorted(maps.Keys(p.Parameters)) {
			params = append(params, []string{p.Computer, p.Partition, name, p.Parameters[name]})
		}
	}
	for _, n := range v.Shared {
		shared = append(shared, []string{n.Reference, n.Computer, n.Partition, n.Type})
	}
	for _, a := range v.Network {
		network = append(network, []string{a.Computer, a.Partition, a.Interface, a.Address, a.Netmask})
	}
	for _, n := range v.Waiting {
		waiting = append(waiting, []string{n.Title, n.Root, n.State, n.Type, n.Release, n.Reason})
	}
	for _, t := range []struct {
		wanted bool
		title  string
		header []string
		rows   [][]string
	}{
		{o.computers, "Computers", []string{"COMPUTER", "ADDRESS", "NETMASK", "PARTITIONS"}, computers},
		{o.software, "Software", []string{"COMPUTER", "STATE", "RELEASE"}, software},
		{o.partitions, "Partitions", []string{"COMPUTER", "PARTITION", "STATE", "TITLE", "ROOT", "TYPE", "RELEASE"}, partitions},
		{o.shared, "Shared instances", []string{"REFERENCE", "COMPUTER", "PARTITION", "TYPE"}, shared},
		{o.params, "Parameters", []string{"COMPUTER", "PARTITION", "NAME", "VALUE"}, params},
		{o.networks, "Addresses", []string{"COMPUTER", "PARTITION", "INTERFACE", "ADDRESS", "NETMASK"}, network},
		{len(waiting) > 0, "Without a place", []string{"TITLE", "ROOT", "STATE", "TYPE", "RELEASE", "REASON"}, waiting},
	} {
		if !t.wanted {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(b, "%s: %d\n", t.title, len(t.rows))
		if len(t.rows) == 0 {
			continue
		}
		if err := term.Table(b, t.header, t.rows); err != nil {
			return err
		}
	}
	return nil
}

// paged prints a text: on a terminal by $PAGER, where that is set.
func paged(ctx context.Context, s *session.Session, text []byte) error {
	out, ok := s.App.Out.(*os.File)
	pager := os.Getenv("PAGER")
	if !ok || !term.IsTerminal(out) || pager == "" {
		_, err := s.App.Out.Write(text)
		return err
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", pager)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), out, s.App.Err
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("$PAGER: %w", err)
	}
	return nil
}
