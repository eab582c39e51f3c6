package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// bundle configures one, by the texts of its files.
func (m *machine) bundle(name string, files map[string]string) {
	m.t.Helper()
	for file, text := range files {
		file = filepath.Join(m.home, ".config", "hostler", "bundles", name, file)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			m.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			m.t.Fatal(err)
		}
	}
}

// deploying starts a deploy, calls then as soon as ready says so of what was printed until now, and
// returns all that it printed on standard error and its exit status. A ready of nil calls then at
// once.
func (m *machine) deploying(ready func(said string) bool, then func(*os.Process), args ...string) (said string, exit int) {
	m.t.Helper()
	cmd := m.command(append([]string{"deploy"}, args...)...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	if ready == nil {
		then(cmd.Process)
	}
	for r := bufio.NewReader(stderr); ; {
		line, err := r.ReadString('\n')
		said += line
		if ready != nil && ready(said) {
			ready = nil
			then(cmd.Process)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			m.t.Fatal(err)
		}
	}
	return said, exitOf(cmd.Wait())
}

// TestDeployInterrupted interrupts a deploy at each of its steps. Until a node is handed out
// nothing stays; from then on it is kept or destroyed as was asked, what ran there has ended, and
// who goes on there is not hindered.
func TestDeployInterrupted(t *testing.T) {
	m := newMachine(t)
	m.source("full", "type = fake\nmaximum = 1\n")
	m.source("slow", "type = fake\n[fake]\ncreate-time = 10m\n")
	m.source("boots", "type = fake\n[fake]\nboot = 10m\n")
	m.source("home", "type = fake\n[fake]\nrun = home\n")
	begun := filepath.Join(m.dir, "begun")
	m.bundle("file", map[string]string{"bundle.conf": "files = " + filepath.Join(m.dir, "there", "f"), "files/f": "text\n"})
	m.bundle("script", map[string]string{
		"bundle.conf": "scripts = first.sh, second.sh", "scripts/first.sh": "echo x >>" + m.dir + "/firsts\n",
		"scripts/second.sh": "[ ! -e " + m.dir + "/mended ] || exit 0\necho $$ >" + begun + "\necho begun\nexec sleep 1000\n",
	})
	// The first utility that touches a file that is being written stays at that.
	bin := filepath.Join(m.dir, "bin")
	chmod, err := exec.LookPath("chmod")
	if err != nil {
		t.Fatal(err)
	}
	text := "#!/bin/sh\ncase \"$*\" in */there/*) ;; *) exec " + chmod + " \"$@\";; esac\n[ ! -e " + m.dir + "/mended ] || exec " + chmod + " \"$@\"\necho $$ >" + begun + "\nexec sleep 1000\n"
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "chmod"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	m.env = append(m.env, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	m.must("acquire", "-s", "full")
	said := func(word string) func(string) bool {
		return func(text string) bool { return strings.Contains(text, word) }
	}
	for _, c := range []struct {
		name   string
		args   []string
		ready  func(string) bool // nil: wait
		wait   func() bool
		signal syscall.Signal
		made   bool
	}{
		{"waits", []string{"-s", "full"}, said("waiting"), nil, syscall.SIGINT, false},
		{
			"is made", []string{"-s", "slow"}, nil,
			func() bool { return strings.Contains(m.must("status", "-v", "slow"), "creating") }, syscall.SIGINT, false,
		},
		{
			"boots", []string{"-s", "boots"}, nil,
			func() bool { return strings.Contains(m.must("status", "-v", "boots"), "boots-") }, syscall.SIGTERM, false,
		},
		{
			"is written to", []string{"-s", "home", "-b", "file", "--as", "self"}, nil,
			func() bool { return exists(begun) }, syscall.SIGINT, true,
		},
		{"runs a script", []string{"-s", "home", "-b", "script", "--as", "self"}, said("begun\n"), nil, syscall.SIGTERM, true},
	} {
		for _, policy := range []string{"keep", "destroy"} {
			t.Run(c.name+" "+policy, func(t *testing.T) {
				m.t = t
				for _, name := range []string{
					begun, filepath.Join(m.dir, "mended"), filepath.Join(m.dir, "firsts"), filepath.Join(m.dir, "there"),
				} {
					_ = os.RemoveAll(name)
				}
				out, exit := m.deploying(c.ready, func(p *os.Process) {
					if c.wait != nil {
						until(t, c.name, c.wait)
					}
					if err := p.Signal(c.signal); err != nil {
						t.Error(err)
					}
				}, append([]string{"node-1", "--on-failure", policy}, c.args...)...)
				if exit != 128+int(c.signal) {
					t.Errorf("exit status %d: %s", exit, out)
				}
				if text, err := os.ReadFile(begun); c.made {
					pid, bad := strconv.Atoi(strings.TrimSpace(string(text)))
					if err != nil || bad != nil {
						t.Fatalf("err = %v, bad = %v; want no error and bad == nil", err, bad)
					}
					until(t, "what ran there has ended", func() bool { return syscall.Kill(pid, 0) != nil })
				}
				list := m.must("list", "node-1", "-q")
				switch {
				case !c.made:
					if !strings.Contains(out, "interrupted: nothing is made") || strings.Contains(list, "node-1") {
						t.Errorf("%s, and there is %s", out, list)
					}
					until(t, "nothing is left", func() bool {
						text := m.must("status", "-v", c.args[1])
						return !strings.Contains(text, "creating") && !strings.Contains(text, "discarding") &&
							(c.name == "waits" || !strings.Contains(text, c.args[1]+"-"))
					})
				case policy == "destroy":
					if !strings.Contains(out, "node-1: destroyed\n") ||
						!strings.Contains(out, "interrupted: node-1: destroyed") || strings.Contains(list, "node-1") {
						t.Errorf("%s, and there is %s", out, list)
					}
				default:
					if !strings.Contains(out, "node-1: it is kept as home-") ||
						!strings.Contains(out, "interrupted: node-1: kept, and not all is on it") || !strings.Contains(list, "node-1") {
						t.Errorf("%s, and there is %s", out, list)
					}
					if err := os.WriteFile(filepath.Join(m.dir, "mended"), nil, 0o644); err != nil {
						t.Fatal(err)
					}
					m.must("bundle", "apply", c.args[3], "--on", "node-1", "--as", "self")
					if text, _ := os.ReadFile(filepath.Join(m.dir, "firsts")); c.args[3] == "script" && string(text) != "x\n" {
						t.Errorf("the first script ran again: %q", text)
					}
					m.must("destroy", "node-1", "--yes")
				}
			})
		}
	}
	m.t = t
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// TestDeployVanished turns a host off in the middle of a script. When it is on again the deploy
// goes on: what has ended is not run again, what was cut short is. Who does not want to wait for
// that has his node named and kept.
func TestDeployVanished(t *testing.T) {
	m, root := nodeLab(t)
	m.bundle("gone", map[string]string{
		"bundle.conf":       "scripts = first.sh, second.sh",
		"scripts/first.sh":  "echo x >>/var/tmp/firsts\n",
		"scripts/second.sh": "echo x >>/var/tmp/seconds\n[ ! -e /var/tmp/mended ] || exit 0\necho begun\nexec sleep 1000\n",
	})
	power := func(words ...string) {
		t.Helper()
		if kv, err := labScript("ssh-hosts", words...); err != nil {
			t.Errorf("%q: kv = %v err = %v; want no error", words, kv, err)
		}
	}
	for _, c := range []struct {
		name string
		then func(*os.Process)
		want []string
		exit int
		runs string
	}{
		{"comes back", func(*os.Process) {
			power("fault", "1", "off")
			if err := os.WriteFile(filepath.Join(root, "var/tmp/mended"), nil, 0o644); err != nil {
				t.Error(err)
			}
			power("heal", "1")
		}, []string{"node-1: ready after "}, 0, "x\nx\n"},
		{"is given up", func(p *os.Process) {
			power("fault", "1", "off")
			if err := p.Signal(os.Interrupt); err != nil {
				t.Error(err)
			}
		}, []string{
			"node-1: it is kept as web-lab1: hostler shell node-1, hostler destroy node-1; to go on where it failed: hostler bundle apply gone --on node-1\n",
			"interrupted: node-1: kept, and not all is on it",
		}, 130, "x\n"},
	} {
		said, exit := m.deploying(
			func(said string) bool { return strings.Contains(said, "begun\n") }, c.then, "node-1", "-s", "web", "-b",
			"gone",
		)
		if exit != c.exit {
			t.Errorf("%s: exit status %d: %s", c.name, exit, said)
		}
		for _, want := range c.want {
			if !strings.Contains(said, want) {
				t.Errorf("%s: it does not say %q: %s", c.name, want, said)
			}
		}
		for name, want := range map[string]string{"firsts": "x\n", "seconds": c.runs} {
			if text, err := os.ReadFile(filepath.Join(root, "var/tmp", name)); err != nil || string(text) != want {
				t.Errorf("%s: %s ran %q, %v", c.name, name, text, err)
			}
		}
		power("heal", "1")
		until(t, "it is there again", func() bool {
			_, _, exit := m.run("run", "node-1", "--", "true")
			return exit == 0
		})
		m.must("destroy", "node-1", "--yes")
		power("reset", "1")
	}
}

// TestDeployKinds deploys to a sandbox and to a chroot: files, keys and scripts come there, an
// apply after it finds all as it is, and what is destroyed is gone.
func TestDeployKinds(t *testing.T) {
	for _, kind := range []string{"sandbox", "chroot"} {
		t.Run(kind, func(t *testing.T) {
			m := newMachine(t)
			switch kind {
			case "sandbox":
				sandboxes(t)
				m.source("box", "type = sandbox\n")
			case "chroot":
				m.source("box", "type = chroot\n[chroot]\nbase = "+lab(t, "base-rootfs", "tiny")["rootfs"]+"\n")
			}
			m.bundle("web", map[string]string{
				"bundle.conf":            "files = /etc/hostler-web.conf\nscripts = web.sh\n[args]\nport = 80\n[file /etc/hostler-web.conf]\ntemplate = yes\nmode = 0640",
				"files/hostler-web.conf": "# provision-template-type: template-string\nport $port\n",
				"scripts/web.sh":         "cat /etc/hostler-web.conf\n",
				"pubkeys/nobody.pub":     "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA nobody@nowhere\n",
			})
			_, said, exit := m.run("deploy", "node-1", "-s", "box", "-b", "web", "-t", "port=8080")
			if exit != 0 || !strings.Contains(said, "port 8080\n") {
				t.Fatalf("exit status %d: %s", exit, said)
			}
			if got := m.must(
				"run", "node-1", "--cwd", "/", "--", "sh", "-c",
				"tail -n 1 /etc/hostler-web.conf; stat -c %a /etc/hostler-web.conf",
			); got != "port 8080\n640\n" {
				t.Errorf("there is %q", got)
			}
			if got := m.must("bundle", "apply", "web", "--on", "node-1", "-t", "port=8080", "-q"); got != "" {
				t.Errorf("an apply after it: %q", got)
			}
			m.must("destroy", "node-1", "--yes")
			if exists("/etc/hostler-web.conf") {
				t.Error("it is on this machine")
			}
			if got := m.must("list"); strings.Contains(got, "node-1") {
				t.Errorf("there is still %s", got)
			}
		})
	}
}
