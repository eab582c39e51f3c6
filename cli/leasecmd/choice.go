package leasecmd

import (
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
)

// Choice says what to make an instance of, where that differs from its source. The zero value
// changes nothing.
type Choice struct{ Image, Flavor, Location string }

// Flags declares the options of a choice. short is the letter of --image; "" for none.
func (c *Choice) Flags(a *cli.App, cmd *cobra.Command, short string) {
	f := cmd.Flags()
	f.StringVarP(&c.Image, "image", short, "", "make it of the image `NAME`: an id, a name, or the beginning of one")
	f.StringVar(&c.Flavor, "flavor", "", "make it of the size `NAME`: an id, a name, or the beginning of one")
	f.StringVar(&c.Location, "location", "", "make it at `NAME`: an id, a name, or the beginning of one")
	_ = cmd.RegisterFlagCompletionFunc("image", a.CompleteImages)
	_ = cmd.RegisterFlagCompletionFunc("flavor", cobra.NoFileCompletions)
	_ = cmd.RegisterFlagCompletionFunc("location", cobra.NoFileCompletions)
}
