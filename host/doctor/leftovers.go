package doctor

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// namedMost is how many instances of another installation doctor names in one line.
const namedMost = 10

// checkOthers lists instances below a state directory that another installation made. Its state was
// mostly moved or lost, so only doctor finds them.
func checkOthers(state, installation string) []compute.Finding {
	type place struct{ dir, installation string }
	found := map[place][]string{}
	dir := filepath.Join(state, "instances", "*", "computers")
	// chroots; fakes
	for _, pattern := range []string{filepath.Join(dir, "instances", "*", "owner"), filepath.Join(dir, "*.computer.json")} {
		files, _ := filepath.Glob(pattern) // the pattern is in order
		for _, file := range files {
			var marker struct{ Installation, ID string }
			data, err := os.ReadFile(file)
			if err != nil || json.Unmarshal(data, &marker) != nil || marker.Installation == "" || marker.Installation == installation {
				continue
			}
			at := filepath.Dir(file)
			if filepath.Base(file) == "owner" {
				at = filepath.Dir(at)
			}
			p := place{at, marker.Installation}
			found[p] = append(found[p], marker.ID)
		}
	}
	var out []compute.Finding
	places := slices.SortedFunc(maps.Keys(found), func(a, b place) int {
		return strings.Compare(a.dir+"\x00"+a.installation, b.dir+"\x00"+b.installation)
	})
	for _, p := range places {
		ids := found[p]
		slices.Sort(ids)
		more := ""
		if n := len(ids) - namedMost; n > 0 {
			ids, more = ids[:namedMost], fmt.Sprintf(" and %d more", n)
		}
		out = append(out, Finding("warn", "leftovers", fmt.Sprintf(
			"in %s another installation, %s, has %s%s", p.dir, p.installation, strings.Join(ids, " "), more,
		),
			"bring its state.db back to unmake them, or end what runs there, unmount and remove them by hand"))
	}
	return out
}
