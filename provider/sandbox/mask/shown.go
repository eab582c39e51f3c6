//go:build linux

package mask

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Line is a line of the table of what is shown, for the rules and for the documentation.
type Line struct {
	Path string // in homes relative to the home, else absolute; its last element may have a *
	Why  string
}

// shownOnHost returns the shown paths of the host: a system's programs and what they need. Nothing
// else is there.
func shownOnHost() []Line {
	return []Line{
		{"/usr", "the system's programs, libraries and headers"},
		{"/bin", "the system's programs, or a link to them"},
		{"/sbin", "the system's programs, or a link to them"},
		{"/lib*", "the system's libraries, or links to them"},
		{"/etc", "the system's configuration, but for what not everybody may read and what is listed below"},
		{"/nix/store", "programs of Nix, by which /usr is a few links"},
		{"/gnu/store", "programs of Guix"},
		{"/var/lib/dpkg", "which packages are installed"},
		{"/var/lib/apt", "which packages there are"},
		{"/var/lib/rpm", "which packages are installed"},
		{"/var/lib/pacman", "which packages are installed"},
		{"/var/lib/ca-certificates", "whose certificates are believed (SUSE)"},
		{"/var/lib/ca-certificates-java", "whose certificates are believed (Java)"},
		{"/var/lib/gems", "libraries of Ruby"},
		{"/var/lib/ghc", "which libraries of Haskell there are"},
		{"/var/lib/texmf", "formats and fonts of TeX"},
		{"/var/cache/fontconfig", "what fonts there are"},
		{"/opt/android-sdk*", "compilers and tools, as the next ones"},
		{"/opt/cmake*", "tools"},
		{"/opt/conda*", "Python"},
		{"/opt/cuda*", "compilers"},
		{"/opt/flutter*", "tools"},
		{"/opt/gcc*", "compilers"},
		{"/opt/go*", "compilers"},
		{"/opt/gradle*", "tools"},
		{"/opt/hostedtoolcache", "tools of build machines"},
		{"/opt/intel", "compilers"},
		{"/opt/java*", "compilers"},
		{"/opt/jdk*", "compilers"},
		{"/opt/llvm*", "compilers"},
		{"/opt/maven*", "tools"},
		{"/opt/miniconda*", "Python"},
		{"/opt/node*", "compilers"},
		{"/opt/pypy*", "Python"},
		{"/opt/python*", "Python"},
		{"/opt/rh", "compilers (Red Hat)"},
		{"/opt/rocm*", "compilers"},
		{"/opt/ruby*", "Ruby"},
		{"/opt/rust*", "compilers"},
		{"/opt/zig*", "compilers"},
	}
}

// shownInHome returns the shown paths of the caller's own home: caches and programs of tools,
// without credentials. Files are in ConfigFiles.
func shownInHome() []Line {
	return []Line{
		{"go/bin", "programs that go installed"},
		{"go/pkg", "Go's modules"},
		{"sdk", "versions of Go"},
		{".cache/go-build", "Go's cache of builds"},
		{".cache/golangci-lint", "a linter's cache"},
		{".cache/staticcheck", "a linter's cache"},
		{".npm/_cacache", "npm's packages"},
		{".cache/yarn", "Yarn's packages"},
		{".yarn/berry/cache", "Yarn's packages"},
		{".local/share/pnpm", "pnpm's packages and programs"},
		{".cache/node", "Corepack's programs"},
		{".cache/node-gyp", "Node's headers"},
		{".nvm", "versions of Node"},
		{".volta", "versions of Node"},
		{".local/share/fnm", "versions of Node"},
		{".bun/bin", "Bun"},
		{".bun/install/cache", "Bun's packages"},
		{".deno/bin", "Deno"},
		{".cache/deno", "Deno's packages"},
		{".cache/ms-playwright", "browsers for tests"},
		{".local/bin", "programs that pip, pipx and others installed"},
		{".local/lib", "libraries that pip installed"},
		{".cache/pip", "pip's packages"},
		{".pyenv", "versions of Python"},
		{".virtualenvs", "environments of Python"},
		{".local/share/virtualenvs", "environments of Python"},
		{".local/share/pipx", "environments of Python"},
		{".local/pipx", "environments of Python"},
		{".local/share/uv", "versions and tools of Python"},
		{".cache/uv", "uv's packages"},
		{".cache/pypoetry", "Poetry's packages and environments"},
		{"miniconda3", "Python"},
		{"miniforge3", "Python"},
		{"anaconda3", "Python"},
		{"mambaforge", "Python"},
		{".conda/envs", "environments of conda"},
		{".conda/pkgs", "conda's packages"},
		{".cache/pre-commit", "programs that check commits"},
		{".cargo/bin", "programs that cargo installed"},
		{".cargo/registry", "cargo's packages"},
		{".cargo/git", "cargo's packages"},
		{".rustup", "versions of Rust"},
		{".cache/sccache", "a cache of compilers"},
		{".ccache", "a cache of compilers"},
		{".cache/ccache", "a cache of compilers"},
		{".cache/bazelisk", "versions of Bazel"},
		{".cache/zig", "Zig's cache of builds"},
		{".conan/data", "Conan's packages"},
		{".conan2/p", "Conan's packages"},
		{".m2/repository", "Maven's packages"},
		{".m2/wrapper", "versions of Maven"},
		{".gradle/caches", "Gradle's packages"},
		{".gradle/wrapper", "versions of Gradle"},
		{".sdkman/candidates", "versions of Java and its tools"},
		{".ivy2/cache", "packages of Scala"},
		{".cache/coursier", "packages of Scala"},
		{".gem/ruby", "libraries of Ruby"},
		{".local/share/gem/ruby", "libraries of Ruby"},
		{".bundle/cache", "Bundler's packages"},
		{".rbenv", "versions of Ruby"},
		{".rvm", "versions of Ruby"},
		{".cache/composer", "Composer's packages"},
		{".composer/cache", "Composer's packages"},
		{".nuget/packages", "packages of .NET"},
		{".dotnet/tools", "programs of .NET"},
		{".dotnet/sdk", "versions of .NET"},
		{".dotnet/shared", "versions of .NET"},
		{".ghcup", "versions of Haskell"},
		{".cabal/bin", "programs that cabal installed"},
		{".cabal/packages", "cabal's packages"},
		{".cabal/store", "cabal's packages"},
		{".local/state/cabal/store", "cabal's packages"},
		{".stack/programs", "versions of Haskell"},
		{".stack/snapshots", "Stack's packages"},
		{".opam", "versions and packages of OCaml"},
		{".hex/packages", "packages of Elixir"},
		{".mix", "programs of Elixir"},
		{".julia/packages", "packages of Julia"},
		{".julia/artifacts", "packages of Julia"},
		{".julia/compiled", "packages of Julia"},
		{".julia/registries", "which packages of Julia there are"},
		{".pub-cache", "packages of Dart"},
		{".asdf", "versions of many tools"},
		{".local/share/mise", "versions of many tools"},
		{"Android/Sdk", "tools for Android"},
		{".platformio/packages", "compilers for small machines"},
		{".espressif", "compilers for small machines"},
		{"perl5", "libraries of Perl"},
		{".fonts", "fonts"},
		{".local/share/fonts", "fonts"},
		{".terminfo", "what terminals there are"},
	}
}

// ConfigFiles returns the files of the caller's home that sandboxes get copies of, without lines
// that look like credentials.
func ConfigFiles() []Line {
	return []Line{
		{".gitconfig", "who makes commits, and how git works"},
		{".config/git/config", "who makes commits, and how git works"},
		{".config/git/ignore", "what git leaves out"},
		{".config/git/attributes", "how git takes files"},
		{".config/go/env", "how Go works"},
		{".cargo/config.toml", "how cargo works"},
		{".config/ccache/ccache.conf", "how ccache works"},
	}
}

// shownMarkdown writes the tables of what is shown.
func shownMarkdown(b *strings.Builder) {
	for _, part := range []struct {
		title  string
		places []Line
	}{{"On the host", shownOnHost()}, {"In your home", shownInHome()}, {"Copied from your home", ConfigFiles()}} {
		fmt.Fprintf(b, "| %s | why |\n|---|---|\n", part.title)
		for _, p := range part.places {
			fmt.Fprintf(b, "| `%s` | %s |\n", p.Path, p.Why)
		}
		b.WriteString("\n")
	}
}

// scanned are the shown directories in which files that not everybody may read are hidden: services
// keep their secrets there, and root's sandboxes could read them.
func scanned() []string { return []string{"/etc", "/usr/local/etc"} }

// telling matches the names of files that are meant to be secret; the keys of package archives are
// public.
var telling = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)secret|credential|token|htpasswd|keytab|passwd-|private|\.(key|p12|pfx|jks)$`)
})

// isTelling reports whether a file is a secret by its name.
func isTelling(p string) bool {
	return telling().MatchString(path.Base(p)) && !below(p, "/etc/apt") && !below(p, "/etc/pki/rpm-gpg")
}

// closed adds wishes for a directory: for files that not everybody may read, for secrets by name,
// and for all that is neither file, directory nor link.
func (w *walker) closed(dir string, wishes []wish) []wish {
	names := w.list(dir)
	if names == nil { // too large to be looked through, or not there
		return wishes
	}
	closed := why{Secret, "not everybody may read it, or its name says that it is a secret"}
	for name, k := range names {
		p := path.Join(dir, name)
		if k == isLink {
			continue
		}
		s, err := sign(w.real(p))
		switch {
		case err != nil:
		case k == isDir && s.mode&0o005 == 0o005 && !isTelling(p):
			wishes = w.closed(p, wishes)
		case k == isDir:
			wishes = append(wishes, wish{p, Empty, closed})
		case k != isDir && !isTelling(p) && s.mode&0o004 != 0 && s.mode&0o170000 == 0o100000:
		default:
			wishes = append(wishes, wish{p, Hide, closed})
		}
	}
	return wishes
}

// Shown is a place of the host that a sandbox shows.
type Shown struct {
	Path  string
	Asked bool // somebody asked for it by name: it is the working tree, or the user's own
}

// shownPlaces returns the shown places, sorted: those of the tables, the user's own, and the tree.
// It adds the links on the way to them to links.
func (o *Options) shownPlaces(w *walker, b *ruleSet, asked []string, links map[string]string) ([]Shown, error) {
	byPath := map[string]Shown{}
	add := func(p string, asked bool) error {
		place, what, err := w.links(p, links)
		if err != nil || what != isDir && what != isOther || place == "/" {
			return err
		}
		byPath[place] = Shown{place, asked || byPath[place].Asked}
		return nil
	}
	table := shownOnHost()
	if o.Home != "" && o.Home != "/" {
		for _, p := range shownInHome() {
			table = append(table, Line{path.Join(o.Home, p.Path), p.Why})
		}
	}
	for _, p := range table {
		all := []string{p.Path}
		if dir, name := path.Split(p.Path); strings.Contains(name, "*") {
			names, err := w.match(path.Clean(dir), name)
			if err != nil {
				return nil, err
			}
			all = nil
			for _, n := range names {
				all = append(all, path.Join(dir, n))
			}
		}
		for _, p := range all {
			if err := add(p, false); err != nil {
				return nil, err
			}
		}
	}
	if o.given != "" {
		if _, _, err := w.links(o.given, links); err != nil {
			return nil, err
		}
	}
	for _, p := range asked {
		if err := add(p, true); err != nil {
			return nil, err
		}
	}
	var out []Shown
	for _, s := range byPath {
		if !b.hidden(s.Path) {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b Shown) int { return strings.Compare(a.Path, b.Path) })
	return slices.DeleteFunc(out, func(s Shown) bool { // it is seen with what it is in
		return slices.ContainsFunc(out, func(of Shown) bool { return below(s.Path, of.Path) && !b.between(s.Path, of.Path) })
	}), nil
}

// hidden reports whether nothing of a place shows, whatever is shown above it.
func (b *ruleSet) hidden(p string) bool {
	if k, ok := b.rules[p]; ok {
		return k != Apart
	}
	return b.needless(p)
}

// between reports whether a path from a directory down to a place below it is hidden, so that the
// place stands apart.
func (b *ruleSet) between(p, dir string) bool {
	for q := path.Dir(p); ; q = path.Dir(q) {
		if k, ok := b.rules[q]; ok && k != Apart {
			return true
		}
		if q == dir || q == "/" {
			return false
		}
	}
}
