package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A buildTree is a tree that is made by one script and built by another.
type buildTree struct {
	name         string
	tools        string // programs that it needs, spaces between
	make, build  string
	namesAlone   string // a pattern of paths whose contents differ from build to build
	needsOwnHome bool   // its tools may be in root's home, where no other user gets to them
}

// builds are what has to work in a sandbox as it does outside.
var builds = []buildTree{
	{name: "make in parallel", tools: "make gcc", make: `for i in 1 2 3 4; do echo "int f$i(void){return $i;}" >f$i.c; done
echo 'int f4(void); int main(void){return f4();}' >main.c
printf 'prog: main.o f1.o f2.o f3.o f4.o\n\tgcc -o $@ $^\nclean:\n\trm -f *.o prog\n' >Makefile`, build: `make -j4; ./prog`},
	{name: "configure", tools: "make gcc ar", make: `cat >configure <<'E'
#!/bin/sh
echo 'int main(void){return 0;}' >conftest.c && gcc -o conftest conftest.c && ./conftest || exit 77
rm -f conftest*; echo '#define OK 1' >config.h
printf 'all: libx.a t\nlibx.a: x.o\n\tar rcD $@ $^\nt: t.c libx.a\n\tgcc -o $@ t.c -L. -lx -lm\ncheck: t\n\t./t\n' >Makefile
E
chmod +x configure; echo '#include "config.h"
int x(void){return OK;}' >x.c; echo 'int x(void); int main(void){return x()-1;}' >t.c`, build: `./configure && make && make check`},
	{name: "a failing build", tools: "make gcc", make: `printf 'all:\n\tgcc -c bad.c\n' >Makefile; echo 'int main(' >bad.c`, build: `make`},
	{name: "a symlinked directory", tools: "make gcc", make: `mkdir real; echo 'int main(void){return 3;}' >real/a.c; ln -s real src
printf 'src/a: src/a.c\n\tgcc -o $@ $<\n' >Makefile`, build: `make; src/a`},
	{name: "shell", tools: "sh awk sed",
		make:  `printf '#!/bin/sh\nset -e\nmkdir -p out; for i in a b; do echo $i | sed s/a/c/ >out/$i; done; awk 1 out/* >all; exit 5\n' >build.sh; chmod +x build.sh`,
		build: `./build.sh`},
	{name: "git", tools: "git", make: `git init -q -b main; git config user.name n; git config user.email e@x; echo a >a; git add a`,
		build: `export GIT_AUTHOR_DATE=@1000000000+0000 GIT_COMMITTER_DATE=@1000000000+0000
git status --short && git commit -qm one && echo b >>a && git commit -qam two && git log --format=%H >log && git worktree add -q -b side ../side && git gc -q; git diff --exit-code HEAD~1 >d`,
		namesAlone: `\./\.git/.*`},
	{name: "a submodule", tools: "git make", make: `mkdir in out; cd in; git init -q; git config user.name n; git config user.email e@x
printf 'all:\n\techo built >made\n' >Makefile; git add .; git commit -qm in; cd ../out; git init -q; git -c protocol.file.allow=always submodule --quiet add ../in sub`,
		build:      `cd out && git submodule status --recursive >state && git -C sub log --format=%s >log && make -C sub`,
		namesAlone: `.*/\.git/.*`},
	{name: "Python with tests", tools: "python3", make: `mkdir p; touch p/__init__.py; echo 'def f(): return 1' >p/m.py
printf 'import unittest\nfrom p.m import f\nclass T(unittest.TestCase):\n  def test(self): self.assertEqual(f(), 1)\n' >test_m.py`,
		build: `python3 -B -m unittest -q`, namesAlone: `.*\.pyc`, needsOwnHome: true},
	{name: "pip from a directory", tools: "python3 pip3", make: `mkdir w; cd w; python3 - <<'E'
import zipfile
z = zipfile.ZipFile("one-1.0-py3-none-any.whl", "w")
z.writestr("one.py", "x = 1\n")
z.writestr("one-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: one\nVersion: 1.0\n")
z.writestr("one-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
z.writestr("one-1.0.dist-info/RECORD", "one.py,,\none-1.0.dist-info/METADATA,,\none-1.0.dist-info/WHEEL,,\none-1.0.dist-info/RECORD,,\n")
E`, build: `pip3 install -q --disable-pip-version-check --no-index --find-links w --target lib one && PYTHONPATH=lib python3 -B -c 'import one; print(one.x)' >out`,
		namesAlone: `.*\.pyc`, needsOwnHome: true},
	{name: "a virtual environment", tools: "python3",
		make:  `python3 -m venv --without-pip .venv; echo 'import sys; print(sys.prefix)' >t.py`,
		build: `.venv/bin/python t.py >out`, needsOwnHome: true},
	{name: "node with workspaces", tools: "node npm", make: `mkdir -p a b; echo '{"name":"all","private":true,"workspaces":["a","b"]}' >package.json
echo '{"name":"a","version":"1.0.0","scripts":{"build":"node -e \"require(\\\"fs\\\").writeFileSync(\\\"out\\\",require(\\\"b\\\"))\""},"dependencies":{"b":"1.0.0"}}' >a/package.json
echo '{"name":"b","version":"1.0.0","main":"i.js"}' >b/package.json; echo 'module.exports="b"' >b/i.js`,
		build: `npm install --offline --no-audit --no-fund --silent && npm run build -w a --silent`},
	{name: "npm ci from its cache", tools: "node npm", make: `mkdir dep; echo '{"name":"dep","version":"1.0.0","main":"i.js"}' >dep/package.json; echo 'module.exports=1' >dep/i.js; (cd dep; npm pack --silent)
mv dep/dep-1.0.0.tgz .; echo '{"name":"top","version":"1.0.0","dependencies":{"dep":"file:dep-1.0.0.tgz"}}' >package.json
npm install --offline --no-audit --no-fund --silent; rm -rf node_modules`, build: `npm ci --offline --no-audit --no-fund --silent && node -e 'process.exit(require("dep"))'`},
	{name: "go, generated and vendored", tools: "go", make: `mkdir -p gen vendor/example.test/v; echo 'module example.test/m

go 1.21

require example.test/v v1.0.0' >go.mod
printf '# example.test/v v1.0.0\n## explicit; go 1.21\nexample.test/v\n' >vendor/modules.txt; printf 'package v\n\nconst V = 1\n' >vendor/example.test/v/v.go
printf 'package main\n\nimport "example.test/v"\n\n//go:generate sh -c "echo package main >g.go; echo const G = 4 >>g.go"\nfunc main() { println(v.V + G) }\n' >main.go`,
		build: `go generate && go build -mod=vendor -o prog && ./prog 2>out`, namesAlone: `\./prog`, needsOwnHome: true},
	{name: "cargo", tools: "cargo", make: `mkdir -p src dep/src; printf '[package]\nname = "top"\nversion = "1.0.0"\nedition = "2021"\n[dependencies]\ndep = { path = "dep" }\n' >Cargo.toml
printf '[package]\nname = "dep"\nversion = "1.0.0"\nedition = "2021"\n' >dep/Cargo.toml; echo 'pub fn f() -> i32 { 7 }' >dep/src/lib.rs; echo 'fn main() { std::process::exit(dep::f()) }' >src/main.rs`,
		build: `CARGO_INCREMENTAL=0 cargo build -q --offline && target/debug/top`, namesAlone: `\./target/.*`, needsOwnHome: true},
}

// TestBuilds: what people build goes the same way in a sandbox as outside: the same exit status,
// and the same files. The sandbox comes first, since nothing of what it writes is left.
func TestBuilds(t *testing.T) {
	sandboxes(t)
	m := shownMachine(t)
	m.program = lookIn(plainPath(t), "hostler")
	toolHome(t, m)
	if os.Getuid() == 0 { // and an ordinary user's, without what is in root's home
		t.Run("as a user", func(t *testing.T) { buildsAs(t, userMachine(t), true) })
	}
	buildsAs(t, m, false)
}

// toolHome gives a home the tools and caches of the real one, and a PATH that leads to them.
func toolHome(t *testing.T, m *machine) {
	t.Helper()
	real, path := os.Getenv("HOME"), os.Getenv("PATH")
	for _, dir := range []string{".cargo/bin", ".rustup", ".pyenv", ".nvm", ".cache/go-build"} {
		from, to := filepath.Join(real, dir), filepath.Join(m.home, dir)
		if fi, err := os.Stat(from); err != nil || !fi.IsDir() {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(from, to); err != nil {
			t.Fatal(err)
		}
	}
	m.env = append(m.env, "PATH="+strings.ReplaceAll(path, real+"/", m.home+"/"))
}

// userMachine is the machine of an ordinary user, with the usual programs.
func userMachine(t *testing.T) *machine {
	t.Helper()
	m := shownMachine(t)
	m.program = lookIn(plainPath(t), "hostler")
	run := ""
	for _, kv := range m.env {
		if dir, ok := strings.CutPrefix(kv, "XDG_RUNTIME_DIR="); ok {
			run = dir
		}
	}
	m.as(somebody)
	if out, err := exec.Command("chown", "-R", "54321:54321", m.home, run).CombinedOutput(); err != nil {
		t.Fatalf("err = %v\nout = %s; want no error", err, out)
	}
	m.env = append(m.env, "PATH=/usr/local/bin:/usr/bin:/bin")
	return m
}

// baseTools are on every machine that can build and test hostler, so CI lacks none of them.
var baseTools = strings.Fields("sh awk sed make gcc ar git go")

// buildsAs builds each tree in a sandbox and outside, and compares.
func buildsAs(t *testing.T, m *machine, user bool) {
	for _, b := range builds {
		if user && b.needsOwnHome {
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			one := *m
			one.t, one.work = t, filepath.Join(m.home, "project", strings.ReplaceAll(b.name, " ", "-"))
			for _, tool := range strings.Fields(b.tools) {
				if _, exit := plainly(&one, m.home, "command -v "+tool); exit != 0 {
					if os.Getenv("HOSTLER_REQUIRE_LAB") != "" && slices.Contains(baseTools, tool) {
						t.Fatalf("%s: not installed, and it is required", tool)
					}
					t.Skipf("%s: not installed", tool)
				}
			}
			if out, exit := plainly(&one, m.home, "mkdir -p "+one.work+" && cd "+one.work+" && set -e; "+b.make); exit != 0 {
				t.Fatalf("the tree cannot be made: %s", out)
			}
			script := "(" + b.build + "\n) >../said 2>&1; status=$?; cat ../said >&2; rm ../said\nexport LC_ALL=C\nfind . | sort; find . -type l -printf '%p %l\\n' | sort\n" +
				"find . -type f ! -regex '" + b.namesAlone + "' -exec sha256sum {} + | sort -k2\nexit $status"
			got, said, exit := one.run("run", "sandbox", "--", "sh", "-c", script)
			want, status := plainly(&one, one.work, script)
			if exit != status {
				t.Fatalf("exit status %d, outside %d\n%s%s", exit, status, got, said)
			}
			if got != want {
				t.Errorf("other files than outside:\n%s", differing(got, want))
			}
		})
	}
}

// plainly runs a script as the machine's user, outside of sandboxes, and returns what it prints.
func plainly(m *machine, dir, script string) (string, int) {
	m.t.Helper()
	cmd := m.command()
	cmd.Path, cmd.Args, cmd.Dir, cmd.Err = "/bin/sh", []string{"sh", "-c", script}, dir, nil
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState == nil {
		m.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// differing lists the lines that are in one of two texts alone.
func differing(got, want string) string {
	var out []string
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for _, line := range g {
		if !slices.Contains(w, line) {
			out = append(out, "inside  "+line)
		}
	}
	for _, line := range w {
		if !slices.Contains(g, line) {
			out = append(out, "outside "+line)
		}
	}
	return strings.Join(out[:min(len(out), 30)], "\n")
}
