package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/text/nearest"
)

// Job is a file jobs/NAME.conf of a root: the command that `hostler job NAME` runs.
type Job struct {
	Name string
	File string
	Tree bool  // its root came with a tree
	Err  error // it is broken, or waits for approval; nil: neither

	Words     []string      // the words of run; empty: Shell is given
	Shell     string        // for sh -c
	Source    string        // "": the default one
	Env       []string      // NAME or NAME=VALUE
	JUnit     []string      // patterns of test reports
	Artifacts []string      // patterns of files to bring back
	Require   []string      // patterns of files that must be brought back
	Timeout   time.Duration // 0: none
	Keep      bool
	Shards    int    // 0: a single run
	Sync      string // of [sync]: "yes", "no", "dir"; "": yes
	Root      string // of [sync]: the directory to send
	Large     bool   // of [sync]
}

// jobKeys are the keys at the top of a job's file.
type jobKeys struct {
	Run       string        `conf:"run"`
	Shell     string        `conf:"shell"`
	Source    string        `conf:"source"`
	Env       []string      `conf:"env"`
	JUnit     []string      `conf:"junit"`
	Artifacts []string      `conf:"artifacts"`
	Require   []string      `conf:"require"`
	Timeout   time.Duration `conf:"timeout"`
	Keep      bool          `conf:"keep"`
	Shards    int           `conf:"shards"`
}

// jobSync are the keys of its section [sync].
type jobSync struct {
	Sync  string `conf:"sync"`
	Root  string `conf:"root"`
	Large bool   `conf:"large"`
}

// mostShards is the largest number of shards of a run.
const mostShards = 1000

// jobs reads the jobs of a root.
func (g *loader) jobs(r *Root, p *rootDir) {
	entries, err := p.list("jobs")
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			g.warn(&Error{File: filepath.Join(r.Path, "jobs"), Err: withoutPath(err)})
		}
		return
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".conf")
		if !ok || name == "" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "-") {
			continue
		}
		at := filepath.Join("jobs", e.Name())
		j := &Job{Name: name, File: filepath.Join(r.Path, at), Tree: r.Tree}
		data, err := p.read(at, maxFile)
		if err != nil {
			j.Err = &Error{File: j.File, Err: withoutPath(err)}
		} else {
			j.Err = j.read(data)
		}
		if r.Tree {
			g.trees[r.Path].jobs = append(g.trees[r.Path].jobs, j)
		}
		if !slices.ContainsFunc(g.Jobs, func(other *Job) bool { return other.Name == name }) {
			g.Jobs = append(g.Jobs, j)
		}
	}
}

// read parses a job's file.
func (j *Job) read(data []byte) error {
	entries, err := parse(j.File, data, false, false)
	if err != nil {
		return err
	}
	top, sync := map[string]string{}, map[string]string{}
	lines := map[string]int{}
	for _, e := range entries {
		switch e.section {
		case "":
			top[e.Key] = e.Text
		case "sync":
			sync[e.Key] = e.Text
		default:
			return &Error{
				File: j.File, Line: e.Line, Key: e.Key,
				Msg: fmt.Sprintf("unknown section [%s]; a job has keys at the top, and [sync]", e.section),
			}
		}
		lines[e.section+"\x00"+foldKey(e.Key)] = e.Line
	}
	place := func(section string) func(string) (string, int) {
		return func(key string) (string, int) { return j.File, lines[section+"\x00"+foldKey(key)] }
	}
	var k jobKeys
	s := jobSync{Sync: "yes"}
	if err := Decode(top, place(""), &k); err != nil {
		return err
	}
	if err := Decode(sync, place("sync"), &s); err != nil {
		return err
	}
	bad := func(section, key, format string, args ...any) error {
		_, line := place(section)(key)
		return &Error{File: j.File, Line: line, Key: key, Msg: fmt.Sprintf(format, args...)}
	}
	switch {
	case k.Run == "" && k.Shell == "":
		return &Error{File: j.File, Msg: "has neither run nor shell: there is nothing to run"}
	case k.Run != "" && k.Shell != "":
		return bad("", "shell", "given beside run: one of them")
	case k.Shards < 0 || k.Shards > mostShards:
		return bad("", "shards", "not from 1 to %d", mostShards)
	case k.Timeout < 0:
		return bad("", "timeout", "less than none")
	case !slices.Contains([]string{"yes", "no", "dir"}, s.Sync):
		return bad("sync", "sync", "is yes, no or dir")
	}
	if k.Run != "" {
		if j.Words, err = splitWords(k.Run); err != nil {
			return bad("", "run", "%v", err)
		}
		if len(j.Words) == 0 {
			return bad("", "run", "has no word")
		}
	}
	j.Shell, j.Source, j.Env, j.JUnit, j.Artifacts, j.Require = k.Shell, k.Source, k.Env, k.JUnit, k.Artifacts, k.Require
	j.Timeout, j.Keep, j.Shards, j.Sync, j.Root, j.Large = k.Timeout, k.Keep, k.Shards, s.Sync, s.Root, s.Large
	return nil
}

// Job returns the job of a name from the first root that has one.
func (c *Config) Job(name string) (*Job, error) {
	var names []string
	for _, j := range c.Jobs {
		if j.Name == name {
			return j, j.Err
		}
		names = append(names, j.Name)
	}
	return nil, &Error{Key: name, Msg: "no job of this name", Nearest: nearest.Near(name, names), Err: fs.ErrNotExist}
}

// splitWords splits a line as a shell does with quotes and backslashes, and expands nothing. An
// unquoted character that a shell would act on is an error, so that nobody relies on it.
func splitWords(line string) (words []string, err error) {
	var b strings.Builder
	in := false // inside a word
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case ' ', '\t', '\n':
			if in {
				words, in = append(words, b.String()), false
				b.Reset()
			}
		case '\'':
			end := strings.IndexByte(line[i+1:], '\'')
			if end < 0 {
				return nil, errors.New("a ' has no end")
			}
			b.WriteString(line[i+1 : i+1+end])
			i, in = i+1+end, true
		case '"':
			in = true
			for i++; ; i++ {
				if i >= len(line) {
					return nil, errors.New(`a " has no end`)
				}
				if line[i] == '"' {
					break
				}
				if line[i] == '\\' && i+1 < len(line) && strings.IndexByte("$`\"\\", line[i+1]) >= 0 {
					i++
				} else if line[i] == '$' || line[i] == '`' {
					return nil, fmt.Errorf(
						"no shell reads it, so %c in it does nothing: quote it by ', or use shell in place of run",
						line[i],
					)
				}
				b.WriteByte(line[i])
			}
		case '\\':
			if i++; i >= len(line) {
				return nil, errors.New(`a \ has nothing behind it`)
			}
			b.WriteByte(line[i])
			in = true
		case '|', '&', ';', '<', '>', '(', ')', '$', '`', '*', '?':
			return nil, fmt.Errorf("no shell reads it, so %c does nothing: quote it, or use shell in place of run", c)
		default:
			b.WriteByte(c)
			in = true
		}
	}
	if in {
		words = append(words, b.String())
	}
	return words, nil
}
