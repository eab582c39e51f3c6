package image

import (
	"cmp"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/text/nearest"
)

// offered is how many names an error offers at most.
const offered = 3

// Meant puts before a hint the names that the user may have meant by typed. They are the names
// whose repository is most like it, with the tags most like it first. If none is like it Meant
// returns the hint as it is.
func Meant(typed string, names []string, hint string) string {
	repo, tag := apart(typed)
	type candidate struct {
		name       string
		repo, tags int // letters to change
	}
	var all []candidate
	for _, n := range names {
		r, t := apart(n)
		mine, its := unlike(repo, r)
		if d := nearest.Distance(mine, its); n != typed && d <= max(1, len(mine)/3) {
			all = append(all, candidate{shown(n), d, nearest.Distance(tag, t)})
		}
	}
	if len(all) == 0 {
		return hint
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.repo, b.repo), cmp.Compare(a.tags, b.tags), strings.Compare(a.name, b.name))
	})
	var some []string
	for _, c := range slices.Compact(all) {
		if c.repo == all[0].repo && len(some) < offered {
			some = append(some, c.name)
		}
	}
	text := "did you mean " + strings.Join(some, " or ") + "?"
	if hint != "" {
		text += " If not: " + hint
	}
	return text
}

// shown is a name without the default parts.
func shown(name string) string {
	for _, prefix := range []string{"index.docker.io/", "docker.io/"} {
		name = strings.TrimPrefix(name, prefix)
	}
	return strings.TrimPrefix(name, "library/")
}

// apart splits a name into the part before its tag, or digest, and that.
func apart(name string) (repo, tag string) {
	name = strings.TrimPrefix(shown(name), "localhost/") // podman's place for built images
	name, digest, _ := strings.Cut(name, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[:i], name[i+1:]
	}
	return name, digest
}

// unlike leaves out the leading parts that two repositories have in common, but for the last: a
// user that types a registry wants one of its images.
func unlike(a, b string) (string, string) {
	for {
		x, restA, ok := strings.Cut(a, "/")
		y, restB, also := strings.Cut(b, "/")
		if !ok || !also || x != y {
			return a, b
		}
		a, b = restA, restB
	}
}

// near is Meant for the local images.
func (s *Store) near(typed, hint string) string {
	_, names, err := s.read()
	if err != nil {
		return hint // its fault is reported elsewhere
	}
	var all []string
	for _, n := range names {
		all = append(all, n.Name)
	}
	return Meant(typed, all, hint)
}
