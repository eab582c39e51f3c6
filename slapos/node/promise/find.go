package promise

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/hostler-project/hostler/slapos/node/home"
)

const (
	pluginDir = "etc/plugin"
	scriptDir = "etc/promise"
)

// foundPromise is a promise as it is found.
type foundPromise struct {
	title, name string
	file        string // in the partition
	plugin      bool
	mtime       time.Time
	state       state
	last        *Result // nil: there is none that can be read
	failed      bool    // now, whether that is an anomaly or not
}

// find lists the promises of a partition, plugins first, each kind by name. Other files are
// reported to log.
func find(d *home.Dir, log func(string, ...any)) ([]foundPromise, error) {
	var all []foundPromise
	plugins, err := d.List(pluginDir, maxNames)
	scripts, more := d.List(scriptDir, maxNames)
	if err := errors.Join(err, more); err != nil {
		return nil, err
	}
	for i, name := range append(plugins, scripts...) {
		p := foundPromise{name: name, plugin: i < len(plugins), title: Title(name), file: path.Join(scriptDir, name)}
		if p.plugin {
			if !strings.HasSuffix(name, ".py") || strings.HasPrefix(name, "__init__") {
				continue
			}
			if first := []rune(name)[0]; first != '_' && !unicode.IsLetter(first) {
				log("the plugin %q is passed over: its name must begin with a letter or _", name)
				continue
			}
			p.file = path.Join(pluginDir, name)
		} else if !d.Executable(p.file) {
			log("the promise %q is passed over: it is no executable file", name)
			continue
		}
		about, err := d.Stat(p.file)
		if err != nil {
			continue // gone
		}
		p.mtime = about.ModTime()
		all = append(all, p)
	}
	return all, nil
}

// Title is a promise's name without its extension, which its files have too. Leading dots begin no
// extension.
func Title(name string) string {
	rest := strings.TrimLeft(name, ".")
	if i := strings.LastIndexByte(rest, '.'); i > 0 {
		return name[:len(name)-len(rest)+i]
	}
	return name
}

// due says whether a promise is to run now, by its stored state.
func (p *foundPromise) due(now time.Time, mode Mode, force bool) bool {
	s := &p.state
	if !s.known || !s.of(p) {
		return true
	}
	if mode == Anomaly && !s.Anomaly || mode == Test && !s.Tested {
		return false
	}
	until := s.next().Sub(now)
	return force || p.last == nil || until <= 0 || until > s.period() // the clock was set back
}

// countsIn says whether what a promise that is not run now said last counts in a mode.
func (p *foundPromise) countsIn(mode Mode) bool {
	return p.last != nil && (mode == Anomaly && p.state.Anomaly || mode == Test && p.state.Tested)
}

// interpreter is the command line of a software release's Python. It is that of the first line of
// its bin/buildout. If that is a shell, the second line has it, as with a path that is too long for
// a first line.
func interpreter(software string) ([]string, error) {
	d, err := home.Open(software)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	text, err := d.Read("bin/buildout", 1<<20)
	if err != nil {
		return nil, err
	}
	first, rest, _ := strings.Cut(string(text), "\n")
	line, ok := strings.CutPrefix(first, "#!")
	words := strings.Fields(line)
	if ok && len(words) > 0 && words[0] == "/bin/sh" {
		second, _, _ := strings.Cut(rest, "\n")
		words = strings.Fields(strings.NewReplacer("'", " ", `"`, " ").Replace(second))
		if len(words) < 2 || words[0] != "exec" {
			words = nil
		} else {
			words = words[1:2]
		}
	}
	if !ok || len(words) == 0 || !filepath.IsAbs(words[0]) {
		return nil, fmt.Errorf("the first lines of %s name no interpreter", filepath.Join(software, "bin/buildout"))
	}
	return words, nil
}
