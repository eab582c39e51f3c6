package resource

import (
	"regexp"
	"slices"
	"sync"
)

// inFile is where an error says that something is: in the file that is made of an object, as it is
// while it is looked at (sources/web/source.conf:3: source web: ), or as the controller shows what
// was applied.
var inFile = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(
		`(^|[\s(])(?:\S*/applied/\S*/)?(sources|bundles|projects)/([^/\s]+)/(source|bundle|project)\.conf(:\d+)?: (?:(source|bundle|project) (\S+): )?`,
	)
})

// shown is an error's text for who has objects and no such files: it names the object, and the key
// that follows says where in it. Of one that has the file itself, as whole tells, the line is told
// too. Files that there are stay.
func shown(text string, whole func(kind, name string) bool) string {
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

// whole tells whether an object has its file as it is, and not key by key.
func (s *set) whole(kind, name string) bool {
	i := slices.Index(applied, kind)
	return i >= 0 && slices.ContainsFunc(alive(s.kinds[i]), func(o *Thing) bool { return o.Name == name && o.Spec.Conf == nil })
}
