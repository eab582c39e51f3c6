package oldconfig

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/hostler-project/hostler/compute"
)

// keysBundle is the bundle that has the public keys which every node got.
const keysBundle = "pubkeys"

// Write makes a configuration directory: hostler.conf, bundles/NAME, and files with secrets that
// only the user may read. It returns the files' names. If a file exists already, it writes nothing
// and returns an error.
func (c *Config) Write(dir string) ([]string, error) {
	conv := c.Convert()
	w := &writing{dir: dir}
	w.bundles(c, &conv)
	conf := w.conf(&conv)
	w.add("hostler.conf", conf, "", 0o644)
	if w.err != nil {
		return nil, w.err
	}
	for _, f := range w.files {
		if _, err := os.Lstat(filepath.Join(dir, f.name)); err == nil {
			return nil, &compute.Error{
				Kind: compute.ErrConflict, Err: fmt.Errorf("%s is there already", filepath.Join(dir, f.name)),
				Hint: "choose another directory",
			}
		}
	}
	var out []string
	for _, f := range w.files {
		if err := f.write(dir); err != nil {
			return out, &compute.Error{Kind: compute.ErrFailed, Err: err}
		}
		out = append(out, filepath.Join(dir, f.name))
	}
	return out, nil
}

// writing gathers files before the first is written.
type writing struct {
	dir   string
	files []output
	err   error
}

type output struct {
	name string
	text string
	from string // a file whose content it gets
	mode fs.FileMode
}

// add plans a file with that text, or with the content and mode of the file from. The first
// error stays in err.
func (w *writing) add(name, text, from string, mode fs.FileMode) {
	if from != "" {
		info, err := os.Stat(from)
		if err == nil && !info.Mode().IsRegular() {
			err = &fs.PathError{Op: "read", Path: from, Err: errors.New("it is no regular file")}
		}
		if err != nil {
			if w.err == nil {
				w.err = &compute.Error{Kind: compute.ErrInvalid, Err: err, Hint: "a bundle names it"}
			}
			return
		}
		mode = info.Mode().Perm()
	}
	w.files = append(w.files, output{name, text, from, mode})
}

// write makes the file with exactly its mode, whatever the umask. It never replaces a file.
func (o output) write(dir string) error {
	name := filepath.Join(dir, o.name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, o.mode)
	if err != nil {
		return err
	}
	var in io.Reader = strings.NewReader(o.text)
	if o.from != "" {
		source, err := os.OpenFile(o.from, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			f.Close()
			return err
		}
		defer source.Close()
		in = source
	}
	_, err = io.Copy(f, in)
	return errors.Join(err, f.Chmod(o.mode), f.Close())
}

// bundles writes those of the old configuration.
func (w *writing) bundles(c *Config, conv *Converted) {
	for _, b := range c.Bundles {
		base := path.Join("bundles", b.Name)
		keys, content := b.Layout()
		for _, name := range slices.Sorted(maps.Keys(content)) {
			w.add(path.Join(base, name), "", content[name], 0)
		}
		var conf strings.Builder
		conf.WriteString("# made of an old configuration, in which a script that failed did not stop those after it\n")
		section := ""
		for _, k := range keys {
			if k.Section != section {
				section = k.Section
				fmt.Fprintf(&conf, "\n[%s]\n", section)
			}
			fmt.Fprintf(&conf, "%s = %s\n", k.Key, k.Text)
		}
		w.add(path.Join(base, "bundle.conf"), conf.String(), "", 0o644)
	}
	if len(c.Keys)+len(conv.Keys) == 0 {
		return
	}
	used := map[string]bool{}
	base := path.Join("bundles", keysBundle)
	for _, k := range c.Keys {
		w.add(path.Join(base, "pubkeys", unused(filepath.Base(k), used)), "", k, 0)
	}
	if len(conv.Keys) > 0 {
		w.add(path.Join(base, "pubkeys", unused("imported", used)), strings.Join(conv.Keys, "\n")+"\n", "", 0o644)
	}
	w.add(path.Join(base, "bundle.conf"), "# the public keys that every node gets\n", "", 0o644)
	conv.Deploy["bundles"] = strings.TrimSuffix(keysBundle+", "+conv.Deploy["bundles"], ", ")
}

func unused(name string, used map[string]bool) string {
	out := name
	for n := 2; used[out]; n++ {
		out = fmt.Sprintf("%s.%d", name, n)
	}
	used[out] = true
	return out
}

// conf is the text of hostler.conf. Values that a reader could take for something else go into
// files of their own.
func (w *writing) conf(conv *Converted) string {
	var b strings.Builder
	b.WriteString("# made of an old configuration by hostler compat import\n")
	if conv.Secret != "" {
		conv.Deploy["secret-key"] = w.secret("secret-key", conv.Secret)
	}
	section := func(name string, values map[string]string, literal func(string) bool) {
		if len(values) == 0 {
			return
		}
		fmt.Fprintf(&b, "\n[%s]\n", name)
		for _, key := range slices.Sorted(maps.Keys(values)) {
			value := values[key]
			if strings.ContainsAny(key, "=:#;[]\"'`\n ") || key == "" {
				fmt.Fprintf(&b, "# %q cannot be a key, and is left out\n", key)
				continue
			}
			if literal(key) && !plain(value) {
				value = w.secret("var-"+key, value)
			} else if !plain(value) && !literal(key) && name != "deploy" && name != "deploy.vars" {
				fmt.Fprintf(&b, "# %s is left out: its value does not fit into a line\n", key)
				continue
			}
			fmt.Fprintf(&b, "%s = %s\n", key, value)
		}
	}
	section("deploy", conv.Deploy, func(string) bool { return false })
	section("deploy.vars", conv.Vars, func(key string) bool { return !conv.Referred[key] })
	section("deploy.images", conv.Images, func(string) bool { return false })
	section("deploy.image-bundles", conv.ImageBundles, func(string) bool { return false })
	return b.String()
}

// secret puts a value into a file, and returns the reference to it.
func (w *writing) secret(name, value string) string {
	file := path.Join("secrets", strings.ReplaceAll(name, "/", "_"))
	w.add(file, value+"\n", "", 0o600)
	abs, err := filepath.Abs(filepath.Join(w.dir, file))
	if err != nil && w.err == nil {
		w.err = err
	}
	return "file:" + abs
}

// plain reports whether a value reads as itself in INI, and is no secret by the look of it.
func plain(s string) bool {
	kind, _, ok := strings.Cut(s, ":")
	return s != "" && s == strings.TrimSpace(s) && !strings.ContainsAny(s, "\n\r\"'`;#\\") &&
		!(ok && slices.Contains([]string{"env", "file", "command", "keyring"}, kind))
}
