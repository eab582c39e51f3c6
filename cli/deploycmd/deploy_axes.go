package deploycmd

import (
	"slices"
	"strings"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
)

// axis is one option --matrix.
type axis struct {
	key    string
	values []string
}

// axes reads --matrix KEY=V1,V2.
func axes(words []string) (out []axis, err error) {
	for _, w := range words {
		key, list, ok := strings.Cut(w, "=")
		if key == "size" {
			key = "flavor"
		}
		switch {
		case !ok || key == "":
			return nil, fault.Invalid("--matrix image=debian-12,debian-13", "--matrix %s: not KEY=VALUE,VALUE", term.Line(w))
		case slices.ContainsFunc(out, func(x axis) bool { return x.key == key }):
			return nil, fault.Invalid("say all values in one: --matrix "+key+"=A,B", "--matrix %s: given twice", term.Line(key))
		}
		x := axis{key: key}
		for v := range strings.SplitSeq(list, ",") {
			v = strings.TrimSpace(v)
			if v == "" || slices.Contains(x.values, v) {
				return nil, fault.Invalid("", "--matrix %s: a value is empty or there twice", term.Line(w))
			}
			x.values = append(x.values, v)
		}
		out = append(out, x)
	}
	return out, nil
}
