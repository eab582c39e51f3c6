package deploycmd

import (
	"cmp"
	"errors"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/deploy"
)

// name sets the nodes' names and the variant of each. In a matrix, names have the values, and a
// number if two were equal.
func (d *deploying) name() error {
	o := d.opt
	d.madeUp, d.by = o.name == "", map[string]*variant{}
	makeUp := func() string {
		return deploy.RandomName(cmp.Or(o.prefix, d.settings.NamePrefix, deploy.DefaultPrefix), nil)
	}
	base := o.name
	if d.madeUp {
		base = makeUp()
	}
	if err := deploy.CheckName(base); err != nil {
		return err
	}
	if len(o.matrix) == 0 {
		names := deploy.Numbered(base, o.count)
		for i := 0; i < len(names); i++ {
			if d.madeUp && o.count > 1 {
				names[i] = makeUp()
			}
			if d.by[names[i]] != nil {
				i-- // already made up
				continue
			}
			d.by[names[i]] = d.all[0]
		}
		d.names = names
		return nil
	}
	var words [][]string
	for _, v := range d.all {
		words = append(words, v.of)
	}
	combined, err := deploy.Combined(base, words)
	if err != nil {
		return err
	}
	for i, name := range combined {
		for _, numbered := range deploy.Numbered(name, o.count) {
			if d.by[numbered] != nil {
				return fault.Invalid("choose values that differ in their letters and digits", "--matrix: two nodes would be %s", numbered)
			}
			d.names = append(d.names, numbered)
			d.by[numbered] = d.all[i]
		}
	}
	for _, name := range d.names {
		if err := deploy.CheckName(name); err != nil {
			var e *compute.Error
			if errors.As(err, &e) {
				e.Hint = "a shorter name, or an alias of [deploy.images] for an image"
			}
			return err
		}
	}
	return nil
}
