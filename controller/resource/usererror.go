package resource

import (
	"regexp"
	"slices"
	"sync"
)

// inFile matches the place in an error's text: a file made of an object while it is checked
// (sources/web/source.conf:3: source web: ), or as the controller's mirror shows it.
var inFile = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(
		`(^|[\s(])(?:\S*/applied/\S*/)?(sources|bundles|projects)/([^/\s]+)/(source|bundle|project)\.conf(:\d+)?: (?:(source|bundle|project) (\S+): )?`,
	)
})

// userError rewrites an error's text for users who have objects and not these files. It names the
// object in place of the file. The line is kept if whole says that the object contains the file.
// Paths of real files stay.
func userError(text string, whole func(kind, name string) bool) string {
	return inFile().ReplaceAllStringFunc(text, func(at string) string {
		p := inFile().FindStringSubmatch(at)
		lead, dir, name, kind, line := p[1], p[2], p[3], p[4], p[5]
		if dir != kind+"s" || p[6] != "" && (p[6] != kind || p[7] != name) {
			return at
		}
		where := lead + kind + " " + name + ": "
		if whole(kind, name) {
			where += kind + ".conf" + line + ": "
		}
		return where
	})
}

// hasFile reports whether an object contains its file as text, and not key by key.
func (s *applySet) hasFile(kind, name string) bool {
	i := slices.Index(applied, kind)
	return i >= 0 && slices.ContainsFunc(alive(s.kinds[i]), func(o *Thing) bool { return o.Name == name && o.Spec.Conf == nil })
}
