package runcmd

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/run/workspace"
	"github.com/hostler-project/hostler/run/workspace/scan"
	"github.com/hostler-project/hostler/run/worktree"
)

// treeFlags are run's options for the working tree.
type treeFlags struct {
	sync  string // "": none; "yes"; "dir": as a plain directory
	root  string
	large bool
	git   string // "": nothing of .git; head; full
	plan  bool
}

func (o *treeFlags) flags(cmd *cobra.Command) {
	o.shape(cmd)
	cmd.Flags().BoolVar(&o.plan, "plan", false, "show what --sync would send, and to which computer; do nothing")
}

// shape declares the options that say what is sent.
func (o *treeFlags) shape(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.root, "root", "", "send `DIR`, and not all of the git work tree")
	f.BoolVar(&o.large, "large", false, "send more than 200,000 files or 20G")
	f.StringVar(&o.git, "git", "", "send a git repository too: `HOW`=head has the commit that is checked out, full all of them")
	_ = cmd.RegisterFlagCompletionFunc("git", cobra.FixedCompletions([]string{"head", "full"}, cobra.ShellCompDirectiveNoFileComp))
	f.StringVar(&o.sync, "sync", "", "send the working tree first; `HOW`=dir: all that is in the directory, whatever git says")
	f.Lookup("sync").NoOptDefVal = "yes"
	_ = cmd.MarkFlagDirname("root")
	_ = cmd.RegisterFlagCompletionFunc("sync", cobra.FixedCompletions([]string{"dir"}, cobra.ShellCompDirectiveNoFileComp))
}

// syncing is the section [sync] of hostler.conf.
type syncing struct {
	Exclude []string `conf:"exclude"` // patterns of files not to send, after .hostlerignore
	Include []string `conf:"include"` // patterns of files to send although git ignores them
	// "head" or "full" sends a repository along; "" sends none
	Git   string `conf:"git"`
	Modes string `conf:"modes"` // "x", the default: 0644 or 0755; "full": all permissions

	Copies     int           `conf:"copies"`           // copies on a computer; 0: 50
	CopiesSize int64         `conf:"copies-size,size"` // bytes of all copies; 0: 50 GiB
	CopiesIdle time.Duration `conf:"copies-idle"`      // time without use; 0: 30 days
}

// readSyncing reads the section [sync].
func readSyncing(a *cli.App) (s syncing, err error) {
	cfg, err := a.Host.Configuration()
	if err != nil {
		return s, err
	}
	section := cfg.Sections["sync"]
	settings := map[string]string{}
	for key, v := range section {
		settings[key] = v.Text
	}
	err = config.Decode(settings, func(key string) (string, int) { v := section[key]; return v.File, v.Line }, &s)
	if err == nil && !slices.Contains([]string{"", "x", "full"}, s.Modes) {
		v := section["modes"]
		err = &config.Error{File: v.File, Line: v.Line, Key: v.Key, Msg: fmt.Sprintf("%q is neither x nor full", v.Text)}
	}
	if err == nil && !slices.Contains(histories, s.Git) {
		v := section["git"]
		err = &config.Error{File: v.File, Line: v.Line, Key: v.Key, Msg: fmt.Sprintf("%q is neither head nor full", v.Text)}
	}
	for key, n := range map[string]int64{"copies": int64(s.Copies), "copies_idle": int64(s.CopiesIdle)} {
		if v := section[key]; err == nil && n < 0 {
			err = &config.Error{File: v.File, Line: v.Line, Key: v.Key, Msg: fmt.Sprintf("%q is less than nothing", v.Text)}
		}
	}
	return s, host.ConfigError(err)
}

// limits returns how many unused copies stay.
func (s *syncing) limits() workspace.Limits {
	return workspace.Limits{Copies: s.Copies, Bytes: s.CopiesSize, Idle: s.CopiesIdle}
}

// newTree finds the working tree.
func newTree(a *cli.App, o *treeFlags) (*worktree.Tree, error) {
	s, err := readSyncing(a)
	if err != nil {
		return nil, err
	}
	scan.SpareFirstCollection()
	opt := worktree.Options{Limits: s.limits()}
	if opt.Scan, opt.Git, err = s.scanOptions(o); err != nil {
		return nil, err
	}
	if opt.Cache, err = host.CacheDir(); err != nil {
		return nil, err
	}
	return worktree.New(opt)
}

// histories are the values for how much of a repository goes along.
var histories = []string{"", string(scan.HeadOnly), string(scan.FullHistory)}

// scanOptions returns the options of a scan around the current directory, and how much of its
// repository goes along.
func (s *syncing) scanOptions(o *treeFlags) (opt scan.Options, git scan.History, err error) {
	if o.sync != "" && o.sync != "yes" && o.sync != "dir" {
		return opt, "", fault.Invalid("", "--sync=%s: not dir", o.sync)
	}
	if !slices.Contains(histories, o.git) {
		return opt, "", fault.Invalid("", "--git=%s: neither head nor full", o.git)
	}
	opt = scan.Options{
		Root: o.root, Plain: o.sync == "dir", Large: o.large, Exclude: s.Exclude, Include: s.Include,
		FullModes: s.Modes == "full",
	}
	if dir, err := host.CacheDir(); err == nil {
		opt.Cache = filepath.Join(dir, "trees")
	}
	return opt, scan.History(cmp.Or(o.git, s.Git)), nil
}
