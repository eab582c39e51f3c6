package cloudcmd

import (
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/term"
)

// wholeFlag is a size with a default unit, as in wr.
type wholeFlag struct {
	term.SizeFlag
	unit int64
}

func (f *wholeFlag) Set(s string) error {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 && n < 1<<30 {
		f.Bytes = n * f.unit
		return nil
	}
	return f.SizeFlag.Set(s)
}

// bareFlag is a duration with a default unit, as in wr.
type bareFlag struct {
	term.DurationFlag
	unit time.Duration
}

func (f *bareFlag) Set(s string) error {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 && n < 1<<30 {
		f.Value, f.Given = time.Duration(n)*f.unit, true
		return nil
	}
	return f.DurationFlag.Set(s)
}

// flags declares the options about the source that deploy writes.
func (s *cloudSource) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	const mib, gib = 1 << 20, 1 << 30
	s.ram, s.disk = wholeFlag{term.SizeFlag{Bytes: 2 * gib}, mib}, wholeFlag{term.SizeFlag{Bytes: gib}, gib}
	s.keepalive, s.confirmDead = bareFlag{term.DurationFlag{Value: 2 * time.Minute, Given: true}, time.Second}, bareFlag{unit: time.Minute}
	f.StringVarP(&s.os, "os", "o", "", "write a source of servers with the image of this `NAME`, id or beginning of a name: the newest")
	f.StringVarP(&s.user, "username", "u", "", "`WHO` logs in to them (what the image says)")
	f.VarP(&s.ram, "os-ram", "r", "the least memory of each; a number alone is MiB")
	f.VarP(&s.disk, "os-disk", "d", "the least disk of each; a number alone is GiB")
	f.StringVarP(&s.flavor, "flavor", "f", "", "only flavors whose names match `REGEX`")
	f.StringVar(
		&s.sets, "flavor-sets", "",
		"classes of hardware: `F1,F2;F3,F4`, regular expressions of flavors; where one has no room the next is tried",
	)
	f.BoolVar(&s.listed, "flavor-order-listed", false, "try them in the order given, not the cheapest first")
	f.VarP(&s.keepalive, "keepalive", "k", "one that nobody uses goes after `D`; 0: never; a number alone is seconds")
	f.Var(
		&s.confirmDead, "auto-confirm-dead",
		"keep one that failed for a person to look at, and destroy it after `D`; 0: never; a number alone is minutes (destroy it at once)",
	)
	f.IntVarP(&s.max, "max-servers", "m", 0, "never more than `N` servers; 0: no limit")
	f.IntVar(&s.spawns, "max-spawns", 10, "make `N` of them at a time; 0: no limit")
	f.StringVarP(&s.script, "script", "s", "", "run this `FILE` on each when it has booted")
	f.StringVarP(&s.goodbye, "destroy-script", "y", "", "run this `FILE` on each before it goes")
	f.StringSliceVarP(
		&s.files, "config-files", "c", nil,
		"put `FILES` on each, for --username: LOCAL or LOCAL:REMOTE, absolute paths or below ~/",
	)
	f.BoolVar(&s.floating, "floating-ip", false, "give each a floating IP, by which it is reached")
	_ = cmd.MarkFlagFilename("script")
	_ = cmd.MarkFlagFilename("destroy-script")
	_ = cmd.RegisterFlagCompletionFunc("os", cobra.NoFileCompletions)
}
