package root

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hostler-project/hostler/cli"
)

// otherPrograms are the commands with another program's options. In these, the last of several
// values may count.
var otherPrograms = []string{"slapos", "cloud", "deploy", "list", "destroy", "director"}

// onceEach makes options with one value refuse a second, different one, in the command that the
// words name. In `-s pods -s boxes`, it is unclear which was meant.
func onceEach(root *cobra.Command, args []string) {
	cmd, _, err := root.Find(args)
	if err != nil {
		return // which is told when the line is read
	}
	for c := cmd; c.HasParent(); c = c.Parent() {
		if c.Parent() == root && slices.Contains(otherPrograms, c.Name()) {
			return
		}
	}
	if own, _, _ := cli.CutWords(args, "--"); slices.Contains(own, "--help") || slices.Contains(own, "-h") {
		return // by their own types it is known what they are without a word
	}
	given := map[string]*saidOnce{} // -s may stand before the verb and after it
	wrap := func(f *pflag.Flag) {
		_, several := f.Value.(pflag.SliceValue)
		_, done := f.Value.(*onceFlag)
		if several || done || f.NoOptDefVal != "" || slices.Contains([]string{"bool", "count", "func", "stringToString"}, f.Value.Type()) {
			return
		}
		if given[f.Name] == nil {
			given[f.Name] = &saidOnce{}
		}
		f.Value = &onceFlag{f.Value, given[f.Name]}
	}
	cmd.Flags().VisitAll(wrap)
	root.PersistentFlags().VisitAll(wrap)
	root.Flags().VisitAll(wrap)
}

// saidOnce is a value, once it was said.
type saidOnce struct {
	said bool
	text string
}

// onceFlag is an option that takes one value.
type onceFlag struct {
	pflag.Value
	given *saidOnce
}

// Set takes the value, and the same again.
func (f *onceFlag) Set(s string) error {
	if f.given.said && f.given.text != s {
		return fmt.Errorf("it takes one value, and %q was given before", f.given.text)
	}
	*f.given = saidOnce{true, s}
	return f.Value.Set(s)
}
