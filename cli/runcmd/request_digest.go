package runcmd

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/run"
)

// notAsked are options of run that do not change what is requested.
var notAsked = []string{"key", "report", "verbose", "quiet", "wait", "priority"}

// digest identifies what a run is asked to do, except its standard input and its tree.
func (o *runOptions) digest(opt *run.Options) string {
	h := sha256.New()
	add := func(words ...string) {
		fmt.Fprintln(h, len(words))
		for _, w := range words {
			fmt.Fprintf(h, "%d %s\n", len(w), w)
		}
	}
	wd, _ := os.Getwd()
	add(opt.Name, wd, string(opt.Script))
	add(opt.Args...)
	add(slices.DeleteFunc(slices.Clone(o.given), func(w string) bool {
		option, _, _ := strings.Cut(strings.TrimPrefix(w, "--"), "=")
		return slices.Contains(notAsked, option) || option == "env"
	})...)
	for _, e := range o.env {
		if !strings.Contains(e, "=") { // its value here goes along
			if value, ok := os.LookupEnv(e); ok {
				e += "=" + value
			}
		}
		add(e)
	}
	names := slices.Sorted(maps.Keys(opt.Env.Set)) // secrets' values may change
	add(names...)
	for _, n := range names {
		if !slices.Contains(opt.Env.Hide, opt.Env.Set[n]) {
			add(opt.Env.Set[n])
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
