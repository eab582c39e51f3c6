package applied

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/text/unified"
)

const diffSize = 1 << 20 // bytes; larger files are not compared by line

// difference returns a unified diff of a thing's labels and files; "": no difference. was or now
// may be nil. Private keys are not shown.
func difference(was, now *api.AppliedThing) string {
	var out strings.Builder
	t, old, new := now, map[string]api.ThingFile{}, map[string]api.ThingFile{}
	var oldLabels, newLabels string
	if was != nil {
		t, oldLabels = was, labelText(was.Labels)
		for _, f := range was.Files {
			old[f.Path] = f
		}
	}
	if now != nil {
		newLabels = labelText(now.Labels)
		for _, f := range now.Files {
			new[f.Path] = f
		}
	}
	if t == nil {
		return ""
	}
	top := objectPath(t.Kind, t.Name)
	if oldLabels != newLabels {
		out.WriteString(header(top+" (labels)", oldLabels != "", newLabels != "") + unified.Diff(oldLabels, newLabels))
	}
	paths := maps.Clone(old)
	maps.Copy(paths, new)
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		a, had := old[p]
		b, has := new[p]
		path := top + "/" + p
		if had && has && modeOf(a) != modeOf(b) {
			fmt.Fprintf(&out, "%s: mode %04o to %04o\n", path, modeOf(a), modeOf(b))
		}
		x, y := fileData(a), fileData(b)
		switch {
		case had && has && bytes.Equal(x, y):
		case isKey(x) || isKey(y):
			fmt.Fprintf(&out, "%s: (a private key is in it, so it is not shown)\n", path)
		case !isText(x) || !isText(y):
			fmt.Fprintf(&out, "%s: (binary, %d bytes to %d)\n", path, len(x), len(y))
		default:
			out.WriteString(header(path, had, has) + unified.Diff(string(x), string(y)))
		}
	}
	return out.String()
}

// header returns the two lines above the hunks of a file.
func header(path string, had, has bool) string {
	from, to := "a/"+path, "b/"+path
	if !had {
		from = "/dev/null"
	}
	if !has {
		to = "/dev/null"
	}
	return "--- " + from + "\n+++ " + to + "\n"
}

func isKey(data []byte) bool { return bytes.Contains(data, []byte("PRIVATE KEY-----")) }

func isText(data []byte) bool {
	return len(data) <= diffSize && utf8.Valid(data) && bytes.IndexByte(data, 0) < 0
}

// labelText formats labels as sorted lines KEY=VALUE.
func labelText(all map[string]string) string {
	var out strings.Builder
	for _, key := range slices.Sorted(maps.Keys(all)) {
		out.WriteString(key + "=" + all[key] + "\n")
	}
	return out.String()
}
