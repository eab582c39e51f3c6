package nodecmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/node/standalone"
)

// standaloneView is `slapos standalone --json`, printed once everything answers.
type standaloneView struct {
	Directory     string   `json:"directory"`
	Configuration string   `json:"configuration"`
	Program       string   `json:"program"`
	Master        string   `json:"master_url"`
	Computer      string   `json:"computer"`
	Partitions    []string `json:"partitions"`
}

func NewStandalone(s *session.Session) *cobra.Command {
	o := &standaloneOptions{}
	cmd := &cobra.Command{
		Use:   "standalone DIR [-- COMMAND...]",
		Short: "Have a whole SlapOS in a directory, without root: to try it out, and for tests",
		Long: `Have a master, a node and its supervisor in a directory, as an ordinary user, until a signal comes; or while a command runs, whose exit status is the result. The command, and who calls bin/slapos of
the directory, speaks to that master. When it ends all ends that was started; the directory stays, and the next start goes on with it, on the same port.

DIR is empty or not there, or one of before, where what the options do not say is as it was then. The master listens on this machine alone, and does not identify its clients. All partitions have the same addresses, or each one of its own
where an option names the first with the length of its prefix, as 127.0.1.1/24. Those that are more than --partitions are removed with all that is in them.

With --instance-only no software is built or removed: releases are below --software-root already. It stays so.

Exit status: that of the command; or 0 ended by a signal, 1 failed, 2 usage, 10 it runs in this directory already.`,
		Example: "  hostler slapos standalone ~/try\n  hostler slapos standalone /tmp/s --partitions 3 -- ./test.sh",
		Args: func(cmd *cobra.Command, args []string) error {
			if at := cmd.ArgsLenAtDash(); at >= 0 {
				o.words = args[at:]
				args = args[:at]
				if len(o.words) == 0 {
					return fault.Invalid("", "there is no command after --")
				}
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.RunE(func(ctx context.Context, args []string) error {
				return runStandalone(ctx, s, o, args[0], cmd.Flags().Changed)
			})(cmd, args)
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Partitions, "partitions", 10, "how many partitions: `N`")
	f.StringVar(&o.Base, "base-name", "slappart", "partitions are called `NAME` and a number")
	f.StringVar(&o.Computer, "computer-id", "local", "the computer is called `ID`")
	f.StringVar(&o.ipv4, "ipv4", "127.0.0.1", "the partitions have the address `ADDR`; with /LENGTH each has its own from there on")
	f.StringVar(&o.ipv6, "ipv6", "::1", "and the address `ADDR`, or ADDR/LENGTH; \"\" is none")
	f.StringVar(&o.Buildout, "buildout", "", "the program `FILE` bootstraps releases; buildout on PATH unless it is said")
	f.BoolVar(&o.InstanceOnly, "instance-only", false, "no software is built or removed")
	f.StringVar(&o.Software, "software-root", "", "releases are in `DIR`; soft in the directory unless it is said")
	_ = cmd.MarkFlagFilename("buildout")
	_ = cmd.MarkFlagDirname("software-root")
	f.BoolVar(&o.manual, "manual", false, "no pass is made by itself: slapos node software and slapos node instance make them")
	return cmd
}

// standView is what there is, for --json.
func standView(all *standalone.Standalone) standaloneView {
	return standaloneView{
		Directory: all.Dir, Configuration: all.At(standalone.Config), Program: all.At(standalone.Wrapper),
		Master: all.Master, Computer: all.Computer(), Partitions: all.Names(),
	}
}
