// Command webpage makes the page that is embedded in hostler: it bundles controller/web/ui with
// esbuild into controller/web/dist. The packages of npm that it needs are fetched once, by `npm ci`
// and controller/web/ui/package-lock.json, into the user's cache. hostler itself is built from
// controller/web/dist, without it.
//
//	go run -C tools ./webpage [-ui DIR] [-out DIR] [-modules]
//
// With -modules it fetches the packages, prints where they are, and makes nothing.
package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

func main() {
	ui := flag.String("ui", "../controller/web/ui", "the page's sources")
	out := flag.String("out", "../controller/web/dist", "where the bundle goes; what is there is taken away")
	only := flag.Bool("modules", false, "fetch the packages, and say where they are")
	flag.Parse()
	modules, err := fetch(*ui)
	if err == nil && *only {
		fmt.Println(modules)
		return
	}
	if err == nil {
		err = bundle(*ui, modules, *out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "webpage:", err)
		os.Exit(1)
	}
}

// fetch has npm put the packages of the lock file into the cache, once, and returns where they are.
func fetch(ui string) (string, error) {
	lock, err := os.ReadFile(filepath.Join(ui, "package-lock.json"))
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "hostler-page", fmt.Sprintf("%x", sha256.Sum256(lock))[:16])
	modules := filepath.Join(dir, "node_modules")
	if _, err := os.Stat(modules); err == nil {
		return modules, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh)
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(filepath.Join(ui, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(fresh, name), text, 0o644)
		}
		if err != nil {
			return "", err
		}
	}
	npm := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = fresh
	if said, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, said)
	}
	if err := os.Rename(fresh, dir); err != nil {
		if _, e := os.Stat(modules); e != nil { // else another one was quicker
			return "", err
		}
	}
	return modules, nil
}

// bundle makes the page.
func bundle(ui, modules, out string) error {
	ui, err := filepath.Abs(ui)
	if err != nil {
		return err
	}
	if modules, err = filepath.Abs(modules); err != nil {
		return err
	}
	// The names of files are hashes of what is in them and of where that comes from: so it comes
	// from the same place everywhere.
	work, err := os.MkdirTemp("", "webpage-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	for name, to := range map[string]string{"src": filepath.Join(ui, "src"), "node_modules": modules} {
		if err := os.Symlink(to, filepath.Join(work, name)); err != nil {
			return err
		}
	}
	built := api.Build(api.BuildOptions{
		AbsWorkingDir: work, PreserveSymlinks: true, EntryPoints: []string{"src/main.tsx", "src/style.css"}, Outdir: "/out", Write: false,
		Bundle: true, Splitting: true, Format: api.FormatESModule, Target: api.ES2022, Platform: api.PlatformBrowser,
		MinifyWhitespace: true, MinifyIdentifiers: true, MinifySyntax: true, LegalComments: api.LegalCommentsNone, Charset: api.CharsetUTF8,
		JSX: api.JSXAutomatic, JSXImportSource: "preact", EntryNames: "[name]-[hash]", ChunkNames: "[name]-[hash]",
		AssetNames:  "[name]-[hash]",
		TsconfigRaw: "{}", Metafile: true, LogLevel: api.LogLevelSilent,
		Plugins: []api.Plugin{lawful()}, Loader: map[string]api.Loader{".css": api.LoaderCSS},
	})
	if len(built.Errors) > 0 {
		return errors.New(strings.Join(api.FormatMessages(built.Errors, api.FormatMessagesOptions{}), ""))
	}
	page, err := os.ReadFile(filepath.Join(ui, "src", "index.html"))
	if err != nil {
		return err
	}
	files := map[string][]byte{}
	for _, f := range built.OutputFiles {
		name := filepath.Base(f.Path)
		files["assets/"+name] = f.Contents
		stem, _, _ := strings.Cut(name, "-")
		page = bytes.ReplaceAll(page, []byte("%"+stem+filepath.Ext(name)+"%"), []byte("/assets/"+name))
	}
	if at := regexp.MustCompile(`%[a-z.]+%`).Find(page); at != nil {
		return fmt.Errorf("index.html names %s, which was not made", at)
	}
	files["index.html"] = page
	if files["LICENSES.txt"], err = licences(modules, built.Metafile); err != nil {
		return err
	}
	if files["icon.svg"], err = os.ReadFile(filepath.Join(ui, "src", "icon.svg")); err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	for name, text := range files {
		path := filepath.Join(out, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// lawful changes what in the terminal's code a strict Content-Security-Policy forbids: style
// elements and style attributes. The first become sheets of the document, the second are set as
// properties; both are allowed. Where another version has other code it fails.
func lawful() api.Plugin {
	changes := []struct {
		from  *regexp.Regexp
		to    string
		times int
	}{
		{regexp.MustCompile(`[\w.]+\.createElement\("style"\)`), `__sheet()`, 3},
		{
			regexp.MustCompile(`(\w+)\.setAttribute\("style",` + "`" + `\$\{\w+\.getAttribute\("style"\)\|\|""\}\$\{(\w+)\};` + "`" + `\)`),
			`$1.style.cssText+=";"+$2`, 1,
		},
	}
	return api.Plugin{Name: "lawful", Setup: func(b api.PluginBuild) {
		b.OnLoad(api.OnLoadOptions{
			Filter: `[\\/]@xterm[\\/]xterm[\\/]lib[\\/]xterm\.mjs$`,
		}, func(args api.OnLoadArgs) (api.OnLoadResult, error) {
			text, err := os.ReadFile(args.Path)
			if err != nil {
				return api.OnLoadResult{}, err
			}
			for _, c := range changes {
				if n := len(c.from.FindAll(text, -1)); n != c.times {
					return api.OnLoadResult{}, fmt.Errorf("%s has %d times what matches %s, and not %d", args.Path, n, c.from, c.times)
				}
				text = c.from.ReplaceAll(text, []byte(c.to))
			}
			all := `import{sheet as __sheet}from"hostler-sheet";` + string(text)
			return api.OnLoadResult{Contents: &all, Loader: api.LoaderJS, ResolveDir: filepath.Dir(args.Path)}, nil
		})
		b.OnLoad(api.OnLoadOptions{Filter: `[\\/]xterm\.css$`}, func(args api.OnLoadArgs) (api.OnLoadResult, error) {
			text, err := os.ReadFile(args.Path)
			all := string(text)
			// it becomes a sheet with the terminal, and not before
			return api.OnLoadResult{Contents: &all, Loader: api.LoaderText}, err
		})
		b.OnResolve(api.OnResolveOptions{Filter: `^hostler-sheet$`}, func(api.OnResolveArgs) (api.OnResolveResult, error) {
			return api.OnResolveResult{Path: filepath.Join(b.InitialOptions.AbsWorkingDir, "src", "sheet.ts")}, nil
		})
	}}
}

// licences is what the packages that are in the bundle want said of them.
func licences(modules, metafile string) ([]byte, error) {
	var names []string
	for _, m := range regexp.MustCompile(`node_modules/((?:@[^/"]+/)?[^/"]+)/`).FindAllStringSubmatch(metafile, -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	var b bytes.Buffer
	b.WriteString("The page contains parts of these packages.\n")
	for _, name := range slices.Compact(names) {
		text, err := os.ReadFile(filepath.Join(modules, filepath.FromSlash(name), "LICENSE"))
		if err != nil {
			return nil, fmt.Errorf("the licence of %s: %w", name, err)
		}
		fmt.Fprintf(&b, "\n---- %s ----\n\n%s\n", name, bytes.TrimSpace(text))
	}
	return b.Bytes(), nil
}
